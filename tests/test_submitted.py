"""Submitted masks are recorded as results of a study that are never mistaken for its variants."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from harness.cli.main import main
from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.planning.study import load_study
from harness.results import referenced_stages
from harness.store.local import Store
from harness.tracking import read_results, record, resync, tracking_uri
from tests.engine import ROOT, make_davis16
from tests.test_datasets_layouts import make_davis17
from tests.test_datasets_sparse_layouts import make_segtrack, make_youtube

STUDY = "{name: try, method: first-mask, benchmarks: [davis16-val], variants: {one: {}}}"


@pytest.fixture
def home(tmp_path: Path, finished: Path) -> Path:
    """A home with nothing but an empty database, since a new one takes seconds."""
    (tmp_path / "home").mkdir()
    shutil.copy(finished / "mlflow.db", tmp_path / "home")
    return tmp_path / "home"


def variants(home: Path) -> list[str]:
    return [one.variant for one in read_results(home, "try")]


def submit(data: Path, home: Path, *more: str, method: str = "OSVOS", truth: Path | None = None) -> int:
    """The truth itself as somebody's masks, so that they score 1."""
    masks = data / "DAVIS2016/Annotations/480p"
    options = ["--truth", str(truth or masks), "--pred", str(masks), "--protocol", "davis16-val", "--jobs", "1"]
    return main(["score", *options, "--record", "--method", method, "--study", "try", "--home", str(home), *more])


def run_study(data: Path, home: Path, benchmark: str = "davis16-val") -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home.parent / "study.yaml").write_text(STUDY.replace("davis16-val", benchmark))
    protocols = load_protocols()
    study = load_study(home.parent / "study.yaml", protocols)
    store = Store(home)
    plan = make_plan(study, gather([protocols[benchmark]], data, home / "facts.sqlite"), store, machine="m")
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "")), store.failure(stage.key)
    record(plan, store)


def recorded(home: Path) -> list[Run]:
    client = MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name("try")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_submitted_masks_are_a_comparable_result_of_a_study(
    data: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(data, home)
    assert submit(data, home) == 0
    assert "recorded: OSVOS, study try" in capsys.readouterr().out
    ours, theirs = read_results(home, "try")
    assert (ours.variant, theirs.variant, theirs.method_label) == ("one", "osvos", "OSVOS")
    assert (theirs.protocol, theirs.data_root) == (ours.protocol, ours.data_root)
    assert (ours.origin, theirs.origin) == ("measured", "submitted")
    assert (theirs.scale, theirs.data_kind, theirs.status) == ("", "real", "done")
    assert (theirs.values["J_mean"], theirs.sequences) == (1.0, 2)
    assert Path(theirs.masks["a"], "00000.png").is_file()
    run_study(data, home)
    assert variants(home) == ["osvos", "one"]
    shown = {run.data.tags["variant"]: run for run in recorded(home) if run.data.tags["role"] == "cell"}
    assert set(shown) == {"one", "osvos"}
    assert shown["osvos"].data.metrics["J_mean"] == 1.0
    assert len(shown["osvos"].data.params["masks_sha256"]) == 64
    assert (home / "mlflow.db").is_file()


def test_rows_carry_the_extent_of_partial_data_also_through_mlflow(data: Path, home: Path) -> None:
    run_study(data, home)
    assert submit(data, home) == 0
    (home / "rows/try.json").unlink()
    shown = read_results(home, "try")
    assert [(one.origin, one.extent) for one in shown] == [
        ("measured", "2 of 20 sequences"),
        ("submitted", "2 of 20 sequences"),
    ]


def test_a_method_submitted_again_replaces_itself_only(data: Path, home: Path) -> None:
    for method in ("OSVOS-S", "OSVOS", "osvos s"):
        assert submit(data, home, method=method) == 0
    assert [one.method_label for one in read_results(home, "try")] == ["OSVOS", "osvos s"]
    assert sorted(run.data.tags["role"] for run in recorded(home)) == ["cell", "cell", "study"]
    assert resync(home, "try") == 0


def test_methods_that_are_submitted_at_once_are_all_recorded(data: Path, tmp_path: Path) -> None:
    masks = str(data / "DAVIS2016/Annotations/480p")
    command = [sys.executable, "-m", "harness.score", "--truth", masks, "--pred", masks, "--protocol", "davis16-val"]
    command += ["--jobs", "1", "--record", "--study", "try", "--home", str(tmp_path / "home"), "--method"]
    methods = ["a", "b", "c"]
    scorers = [subprocess.Popen([*command, method], cwd=ROOT, stdout=subprocess.DEVNULL) for method in methods]
    assert [scorer.wait() for scorer in scorers] == [0, 0, 0]
    assert sorted(variants(tmp_path / "home")) == methods
    shown = [run.data.tags.get("variant", "") for run in recorded(tmp_path / "home")]
    assert sorted(shown) == ["", *methods]


def test_submitted_masks_refer_to_no_stage(data: Path, home: Path) -> None:
    assert submit(data, home) == 0
    assert referenced_stages(home) == {}


def test_mlflow_alone_is_enough_to_find_the_masks(data: Path, home: Path) -> None:
    assert submit(data, home) == 0
    before = read_results(home, "try")
    (home / "rows" / "try.json").unlink()
    assert read_results(home, "try") == before


@pytest.mark.parametrize(
    ("protocol", "make", "truth"),
    [
        ("davis17-val", make_davis17, "DAVIS2017/Annotations/480p"),
        ("davis17-foreground", make_davis17, "DAVIS2017"),
        ("segtrack-v2", make_segtrack, "SegTrackv2/GroundTruth"),
        ("youtube-objects", make_youtube, "YouTube-Objects"),
        ("segtrack-v2", make_segtrack, "."),
    ],
)
def test_masks_of_a_study_get_the_scores_of_its_own_stage(
    tmp_path: Path, home: Path, protocol: str, make: Callable[[Path], Path], truth: str
) -> None:
    data, masks = tmp_path / "data", tmp_path / "masks"
    names = {"davis17-val": "DAVIS2017", "davis17-foreground": "DAVIS2017", "segtrack-v2": "SegTrackv2"}
    make(data / names.get(protocol, "YouTube-Objects"))
    run_study(data, home, protocol)
    (own,) = read_results(home, "try")
    masks.mkdir()
    for name, folder in own.masks.items():
        (masks / name).symlink_to(folder)
    options = ["--truth", str(data / truth), "--pred", str(masks), "--protocol", protocol, "--jobs", "1"]
    assert main(["score", *options, "--record", "--method", "Copy", "--study", "try", "--home", str(home)]) == 0
    theirs = next(one for one in read_results(home, "try") if one.origin == "submitted")
    assert (theirs.values, theirs.protocol) == (own.values, own.protocol)
    assert (theirs.sequences, theirs.data_root) == (own.sequences, own.data_root)


@pytest.mark.parametrize("marker", ["DAVIS2016/EMBEDDED.txt", "EMBEDDED.txt"])
def test_rendered_data_is_not_recorded_as_real(tmp_path: Path, home: Path, marker: str) -> None:
    data = make_davis16(tmp_path / "data")
    (data / marker).touch()
    assert submit(data, home) == 0
    assert [one.data_kind for one in read_results(home, "try")] == ["embedded"]


def test_truth_outside_its_dataset_is_an_error_before_scoring(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth").symlink_to(data / "DAVIS2016/Annotations/480p")
    assert submit(data, tmp_path / "home", truth=tmp_path / "truth") == 2
    assert "ImageSets/480p/val.txt" in capsys.readouterr().err
    assert not (tmp_path / "home" / "rows").exists()


@pytest.mark.parametrize(("options", "message"), [(("--method", "*"), "--method"), (("--study", "../up"), "../up")])
def test_a_name_that_cannot_be_used_is_an_error(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert submit(data, tmp_path / "home", *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("half", [["--record"], ["--method", "OSVOS"]])
def test_record_and_method_go_together(half: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--truth", "t", "--pred", "p", "--protocol", "davis16-val", *half]) == 2
    assert "go together" in capsys.readouterr().err


def test_a_score_that_lacks_a_sequence_is_not_recorded(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "a").symlink_to(data / "DAVIS2016/Annotations/480p/a")
    assert submit(data, tmp_path / "home", "--pred", str(masks), "--keep-going") == 1
    assert "not recorded" in capsys.readouterr().err
    assert not read_results(tmp_path / "home", "try")
