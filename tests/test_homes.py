"""A home that was moved is the same home in another place; a copy is a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from harness.cli.main import main
from harness.cli.run import report
from harness.results import load_results
from harness.results.study_file import FOLDERS
from harness.store import store_id
from harness.tracking import load_runs, read_results, record, resync
from tests.engine import ROOT
from tests.finished import STUDY, make, recorded, shown

SMALL = STUDY.replace(", two: {}", "")
SIGNS = "a%2Fb?c#d e'f\"ü%20"
"""Name of a folder whose characters have a meaning in a URI or a shell."""


@pytest.fixture
def complete(home: Path, data: Path) -> Path:
    """A home with results, MLflow and a report."""
    record(*make(home, data))
    assert report("try", home)
    return home


def moved(home: Path) -> Path:
    return home.rename(home.with_name("moved"))


def copied(home: Path) -> Path:
    return Path(shutil.copytree(home, home.with_name("copy"), symlinks=True))


def contents(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def texts(home: Path) -> str:
    """What the home keeps about its studies."""
    return "".join(path.read_text() for folder in FOLDERS for path in (home / folder).glob("*.json"))


def artifacts(home: Path) -> list[Path]:
    """Scores of the study's cells where MLflow finds them."""
    runs = [run for run in recorded(home, "cell") if run.data.tags["status"] == "done"]
    assert runs
    places = [Path(url2pathname(urlparse(run.info.artifact_uri).path)) / "total.json" for run in runs]
    assert all(place.is_file() for place in places)
    return places


def test_files_of_a_study_name_no_place_of_their_home(home: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    assert main(["run", str(tmp_path / "study.yaml"), "--data", str(data), "--home", str(home), "--cpus", "1"]) == 0
    assert str(home) not in texts(home)
    assert "<home>/store/score/" in texts(home)


def test_a_moved_home_keeps_results_report_and_mlflow(complete: Path, data: Path) -> None:
    before, runs = read_results(complete, "try"), {run.info.run_id for run in shown(complete, "try")}
    page = (complete / "reports" / "try" / "index.md").read_bytes()
    home = moved(complete)
    assert main(["report", "try", "--from-store", "--home", str(home)]) == 0
    assert (home / "reports" / "try" / "index.md").read_bytes() == page
    assert [replace(one, score_folder="", masks={}) for one in read_results(home, "try")] == [
        replace(one, score_folder="", masks={}) for one in before
    ]
    assert all(home in Path(one.score_folder).parents for one in load_results(home, "try") if one.done)
    assert resync(home, "try") == 0
    assert {run.info.run_id for run in shown(home, "try")} == runs
    assert all(home in path.parents for path in artifacts(home))
    plan, _ = make(home, data)
    assert {item.state for item in plan.items.values()} == {"cached"}
    record(*make(home, data, SMALL))
    assert len(recorded(home, "cell")) == 2
    assert not complete.exists()


def test_submitted_masks_inside_a_home_move_with_it(complete: Path, data: Path) -> None:
    masks = complete / "masks"
    shutil.copytree(data / "DAVIS2016/Annotations/480p", masks)
    truth = str(data / "DAVIS2016/Annotations/480p")
    command = ["score", "--truth", truth, "--pred", str(masks), "--protocol", "davis16-val", "--record"]
    assert main([*command, "--method", "M", "--study", "try", "--home", str(complete)]) == 0
    home = moved(complete)
    (home / "rows" / "try.json").unlink()
    (one,) = [one for one in read_results(home, "try") if one.submitted]
    assert one.masks == {name: str(home / "masks" / name) for name in ("a", "b")}


def test_a_copied_home_leaves_its_original_alone(complete: Path, data: Path) -> None:
    before = contents(complete)
    copy = copied(complete)
    record(*make(copy, data, SMALL))
    assert resync(copy, "try") == 0
    # in a process of its own, since MLflow remembers where it found a run
    subprocess.run([sys.executable, "-m", "reports", "try", "--home", str(copy)], cwd=ROOT, check=True)
    assert contents(complete) == before
    assert len(recorded(copy, "cell")) == 2
    assert all(copy in path.parents for path in artifacts(copy))
    assert str(complete) not in texts(copy)


def test_a_copied_home_does_not_read_from_its_original(complete: Path) -> None:
    copy = copied(complete)
    shutil.rmtree(complete)
    (copy / "rows" / "try.json").unlink()  # MLflow alone is left
    done = [one for one in read_results(copy, "try") if one.done]
    assert all(copy in Path(one.score_folder).parents for one in done)
    assert len(done) == 2


def test_a_copy_deletes_no_runs_of_its_original_on_a_server(
    complete: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = complete.with_name("server.db")
    shutil.copy(complete / "mlflow.db", database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    before = {run.info.run_id for run in shown(complete, "try")}
    copy = copied(complete)
    record(*make(copy, data, SMALL))
    assert f"{copy}: a copy of {complete}" in caplog.text
    stores = [run.data.tags["store"] for run in shown(copy, "try")]
    assert before < {run.info.run_id for run in shown(copy, "try")}
    assert {name: stores.count(name) for name in stores} == {store_id(complete): 5, store_id(copy): 3}
    assert resync(complete, "try") == resync(copy, "try") == 0


def test_a_moved_home_updates_its_places_on_a_server(
    complete: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = complete.with_name("server.db")
    shutil.copy(complete / "mlflow.db", database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    home = moved(complete)
    assert resync(home, "try") == 0
    tags = [run.data.tags["score_folder"] for run in recorded(home, "cell")]
    assert {folder for folder in tags if folder} == {one.score_folder for one in load_results(home, "try") if one.done}


def test_a_home_under_another_name_keeps_its_id(tmp_path: Path) -> None:
    first = store_id(tmp_path / "home")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    assert store_id(tmp_path / "link") == store_id(tmp_path / "home") == first


def test_a_home_moved_to_another_file_system_keeps_its_id(tmp_path: Path) -> None:
    there = Path("/dev/shm")
    if not there.is_dir() or there.stat().st_dev == tmp_path.stat().st_dev or not os.access(there, os.W_OK):
        pytest.skip("no other file system here")
    first = store_id(tmp_path / "home")
    place = there / tmp_path.name / "home"
    try:
        shutil.move(tmp_path / "home", place)
        assert store_id(place) == first
    finally:
        shutil.rmtree(place.parent)


def test_a_copy_is_one_even_if_its_original_was_moved(tmp_path: Path) -> None:
    first = store_id(tmp_path / "home")
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    (tmp_path / "home").rename(tmp_path / "moved")
    assert store_id(tmp_path / "copy") != first
    assert store_id(tmp_path / "moved") == first


def test_a_home_from_another_machine_is_taken_for_a_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = store_id(tmp_path / "home")
    path = tmp_path / "home" / "store" / "id"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere", "inode": 0}))
    second = store_id(tmp_path / "home")
    assert second != first
    assert first in caplog.text
    assert store_id(tmp_path / "home") == second


def test_a_home_restored_in_its_place_keeps_its_id(tmp_path: Path) -> None:
    first = store_id(tmp_path / "home")
    shutil.copytree(tmp_path / "home", tmp_path / "backup")
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "other").mkdir()  # may take the inode
    shutil.move(tmp_path / "backup", tmp_path / "home")
    assert store_id(tmp_path / "home") == first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_copy_that_cannot_be_written_has_the_id_that_it_holds(tmp_path: Path) -> None:
    first = store_id(tmp_path / "home")
    copy = copied(tmp_path / "home")
    (copy / "store").chmod(0o500)
    assert store_id(copy) == first


def test_a_damaged_id_is_a_named_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "id").write_text('{"id": "x", "unknown": 1}')
    (tmp_path / "study.yaml").write_text(STUDY)
    assert main(["plan", str(tmp_path / "study.yaml"), "--home", str(tmp_path)]) == 2
    assert "not the id of a home" in capsys.readouterr().err


def test_an_emptier_report_does_not_replace_a_good_one(
    complete: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = complete / "reports" / "try"
    before = contents(folder)
    shutil.rmtree(complete / "store" / "score")
    assert main(["report", "try", "--from-store", "--home", str(complete)]) == 2
    message = capsys.readouterr().err
    assert "not replaced, as 2 of the 2 cells" in message
    assert f"rm -r {folder}" in message
    (complete / "rows" / "try.json").unlink()
    assert main(["report", "try", "--from-store", "--home", str(complete)]) == 2
    assert contents(folder) == before


def test_a_run_does_not_empty_a_report(complete: Path, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = contents(complete / "reports" / "try")
    shutil.rmtree(complete / "store" / "score")
    record(*make(complete, data))
    assert not report("try", complete)
    assert "not replaced" in caplog.text
    assert contents(complete / "reports" / "try") == before


def test_a_report_of_a_smaller_study_replaces_the_former(complete: Path, data: Path) -> None:
    record(*make(complete, data, SMALL))
    assert report("try", complete)
    assert "Cells filled: 1/1" in (complete / "reports" / "try" / "index.md").read_text()


def test_a_home_may_have_any_name(finished: Path, data: Path, tmp_path: Path) -> None:
    home = tmp_path / SIGNS / "home"
    shutil.copytree(finished / "store", home / "store")
    record(*make(home, data))
    assert report("try", home)
    assert (home / "mlflow.db").is_file()
    assert all(home in path.parents for path in artifacts(home))
    assert resync(home, "try") == 0
    assert [path.name for path in tmp_path.iterdir()] == [SIGNS]
    (tmp_path / SIGNS).rename(tmp_path / "plain")
    home = tmp_path / "plain" / "home"
    assert resync(home, "try") == 0
    assert all(home in path.parents for path in artifacts(home))
    assert len(load_runs(home, "try")) == 5


def test_a_home_whose_name_no_uri_can_hold_is_a_named_error(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    home = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    assert main(["run", str(tmp_path / "study.yaml"), "--data", str(data), "--home", home]) == 2
    assert "give a --home of plain characters" in capsys.readouterr().err
