"""Masks of any method are recorded as a row of a study that is never taken for one of its variants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from harness.cli.score import main
from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.planning.study import load_study
from harness.results.references import referenced_stages
from harness.results.rows import COLUMNS, SUBMITTED
from harness.store.local import Store
from harness.tracking.sync import read_rows, record, resync, tracking_uri
from tests.engine import make_davis16

STUDY = "{name: try, method: first-mask, benchmarks: [davis16-val], variants: {one: {}}}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_davis16(tmp_path_factory.mktemp("data"))


def hand_in(data: Path, home: Path, *more: str, method: str = "OSVOS", truth: Path | None = None) -> int:
    """The truth itself as somebody's masks, so that they score 1."""
    masks = data / "DAVIS2016/Annotations/480p"
    options = ["--truth", str(truth or masks), "--pred", str(masks), "--protocol", "davis16-val", "--jobs", "1"]
    return main([*options, "--record", "--method", method, "--study", "try", "--home", str(home), *more])


def run_study(data: Path, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home.parent / "study.yaml").write_text(STUDY)
    protocols = load_protocols()
    study = load_study(home.parent / "study.yaml", protocols)
    store = Store(home)
    plan = make_plan(study, gather([protocols["davis16-val"]], data, home / "facts.sqlite"), store, machine="m")
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "")), store.failure(stage.key)
    record(plan, store)


def recorded(home: Path) -> list[Run]:
    client = MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name("try")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_a_study_that_was_run_keeps_its_rows_and_gets_one_that_can_be_compared_and_says_what_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    run_study(data, home)
    assert hand_in(data, home) == 0
    assert "recorded: OSVOS, study try" in capsys.readouterr().out
    rows = read_rows(home, "try").set_index("variant")
    assert list(rows.index) == ["one", "OSVOS"]
    theirs = rows.loc["OSVOS"]
    assert theirs.protocol == rows.loc["one"].protocol
    assert theirs.data_root == rows.loc["one"].data_root
    assert (theirs.scale, theirs.data_kind, theirs.method, theirs.status) == (SUBMITTED, "real", SUBMITTED, "done")
    assert (theirs.J_mean, theirs.sequences) == (1.0, 2)
    assert Path(json.loads(theirs.masks)["a"], "00000.png").is_file()
    run_study(data, home)
    assert list(read_rows(home, "try").variant) == ["OSVOS", "one"]
    shown = {run.data.tags["variant"]: run for run in recorded(home) if run.data.tags["role"] == "cell"}
    assert set(shown) == {"one", "OSVOS"}
    assert shown["OSVOS"].data.metrics["J_mean"] == 1.0
    assert len(shown["OSVOS"].data.params["masks_sha256"]) == 64
    assert (home / "mlflow.db").is_file()


def test_in_a_study_that_was_never_run_the_same_method_again_replaces_itself_and_others_stand_beside(
    data: Path, tmp_path: Path
) -> None:
    for method in ("OSVOS-S", "OSVOS", "osvos s"):
        assert hand_in(data, tmp_path, method=method) == 0
    rows = read_rows(tmp_path, "try")
    assert list(rows.columns) == list(COLUMNS)
    assert list(rows.variant) == ["OSVOS", "osvos s"]
    assert sorted(run.data.tags["role"] for run in recorded(tmp_path)) == ["cell", "cell", "study"]
    assert resync(tmp_path, "try") == 0


def test_a_study_of_nothing_else_keeps_no_store_from_being_cleaned(data: Path, tmp_path: Path) -> None:
    assert hand_in(data, tmp_path) == 0
    assert referenced_stages(tmp_path) == {}


def test_where_mlflow_holds_the_only_rows_the_masks_are_still_found(data: Path, tmp_path: Path) -> None:
    assert hand_in(data, tmp_path) == 0
    before = read_rows(tmp_path, "try")
    (tmp_path / "rows" / "try.json").unlink()
    after = read_rows(tmp_path, "try")
    assert after.masks[0] == before.masks[0]
    assert after.J_mean[0] == before.J_mean[0]


@pytest.mark.parametrize("marker", ["DAVIS2016/EMBEDDED.txt", "EMBEDDED.txt"])
def test_rendered_data_is_not_recorded_as_real(tmp_path: Path, marker: str) -> None:
    data = make_davis16(tmp_path / "data")
    (data / marker).touch()
    assert hand_in(data, tmp_path / "home") == 0
    assert list(read_rows(tmp_path / "home", "try").data_kind) == ["embedded"]


def test_truth_outside_its_dataset_is_an_error_before_anything_is_scored(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth").symlink_to(data / "DAVIS2016/Annotations/480p")
    assert hand_in(data, tmp_path / "home", truth=tmp_path / "truth") == 2
    assert "ImageSets/480p/val.txt" in capsys.readouterr().err
    assert not (tmp_path / "home" / "rows").exists()


@pytest.mark.parametrize(("options", "words"), [(("--method", "*"), "--method"), (("--study", "../up"), "../up")])
def test_a_name_that_cannot_be_used_is_an_error(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert hand_in(data, tmp_path / "home", *options) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("half", [["--record"], ["--method", "OSVOS"]])
def test_record_and_method_go_together(half: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--truth", "t", "--pred", "p", "--protocol", "davis16-val", *half])
    assert "go together" in capsys.readouterr().err


def test_a_score_that_lacks_a_sequence_is_not_recorded(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "a").symlink_to(data / "DAVIS2016/Annotations/480p/a")
    assert hand_in(data, tmp_path / "home", "--pred", str(masks), "--keep-going") == 1
    assert "not recorded" in capsys.readouterr().err
    assert not len(read_rows(tmp_path / "home", "try"))
