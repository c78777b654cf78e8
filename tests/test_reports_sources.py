"""Where the rows of a report come from: MLflow, any other MLflow, the store; the report is the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from harness.planning.plan import Item
from harness.tracking.run_spec import TRAININGS, project
from harness.tracking.sync import read_rows, record
from harness.tracking.writer import Publisher, tracking_uri
from reports.figures.identities import find_identities
from reports.figures.training import read_curves
from reports.inputs.cells import Part, check_rows, split
from reports.inputs.lineage import Lineage
from reports.report import STAMP, write
from tests.finished import make, recorded
from tests.test_record import trained
from tests.test_reports_lineage import vectors

STUDY = "{name: try, method: first-mask, benchmarks: [davis16-val], variants: {one: {}, two: {}}}"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, finished: Path, data: Path) -> Path:
    """A finished home that MLflow shows."""
    home = tmp_path_factory.mktemp("origin") / "home"
    shutil.copytree(finished, home)
    record(*make(home, data, STUDY))
    return home


@pytest.fixture
def home(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished home that may be harmed; its rows still name the scores of the one that it was copied from."""
    shutil.copytree(origin, tmp_path / "home")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{origin / 'mlflow.db'}")
    return tmp_path / "home"


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_same_rows_from_mlflow_any_mlflow_and_the_store_give_the_same_bytes(
    origin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("try", origin)
    ours = files(origin / "reports" / "try")
    assert {"index.html", "index.md", "sheets/davis16-val/a.png"} <= ours.keys()
    assert "warning" not in capsys.readouterr().err
    shutil.rmtree(origin / "reports")
    write("try", origin, from_store=True)
    assert files(origin / "reports" / "try") == ours
    write("try", tmp_path, tracking=tracking_uri(origin))
    assert files(tmp_path / "reports" / "try") == ours


def test_what_mlflow_does_not_show_as_recorded_is_told_and_taken_from_beside_the_store(
    origin: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_rows(home, "try")
    assert not capsys.readouterr().err
    client = MlflowClient(tracking_uri(origin))
    (one, _) = recorded(origin, "cell")
    right = one.data.metrics["J_mean"]
    client.log_metric(one.info.run_id, "J_mean", 0.123)
    pd.testing.assert_frame_equal(read_rows(home, "try"), before)
    assert "does not show 1 of them as recorded" in capsys.readouterr().err
    client.log_metric(one.info.run_id, "J_mean", right)
    read_rows(home, "try")
    assert not capsys.readouterr().err


def test_a_home_without_an_mlflow_database_says_where_its_rows_are_from(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (home / "mlflow.db").unlink()
    assert set(read_rows(home, "try").status) == {"done"}
    assert "there is no MLflow database" in capsys.readouterr().err
    assert not (home / "mlflow.db").exists()


def test_a_report_of_another_mlflow_is_among_its_artifacts_once(origin: Path, tmp_path: Path) -> None:
    write("try", tmp_path, tracking=tracking_uri(origin))
    (parent,) = recorded(origin, "study")
    folder = Path(parent.info.artifact_uri.removeprefix("file://")) / "report"
    assert (folder / "index.html").read_bytes() == (tmp_path / "reports/try/index.html").read_bytes()
    (folder / "index.html").unlink()
    write("try", tmp_path, tracking=tracking_uri(origin))
    assert not (folder / "index.html").exists()


@pytest.fixture
def elsewhere(home: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    """The part of a cell with a training and identity vectors behind it, from an MLflow whose store is gone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    plan, store = make(home, data, STUDY)
    training = trained(store)
    plan = replace(plan, items={**plan.items, training.key: Item(stage=training, state="cached", reason="")})
    analyses = {}
    for phase in ("before", "after"):
        folder = home / "store" / "identities" / phase
        folder.mkdir(parents=True)
        vectors(folder)
        analyses[f"identities/{phase}/a"] = str(folder)
    runs = project(plan, store)
    cell = next(run for run in runs if run.role == "cell")
    marked = replace(cell, analyses=analyses, tags={**cell.tags, TRAININGS: training.key})
    publisher = Publisher(home, "try")
    with publisher.alone():
        publisher.publish([marked, *(run for run in runs if run.role == "training")])
    (home / "store").rename(tmp_path / "gone")
    frame = read_rows(tmp_path / "elsewhere", "try", tracking=tracking_uri(home))
    return split(check_rows(frame[frame.variant == cell.tags["variant"]]))[0]


def test_curves_of_trainings_come_from_the_runs_where_the_store_is_not(elsewhere: Part) -> None:
    (curve,) = read_curves(elsewhere, Lineage())
    assert (curve.name, list(curve.steps), list(curve.values)) == ("loss", [0, 10], [1.5, 0.5])


def test_identity_vectors_come_from_the_runs_where_the_store_is_not(elsewhere: Part, tmp_path: Path) -> None:
    found = find_identities(elsewhere, "davis16-val", Lineage())
    assert {name: set(phases) for name, phases in found.items()} == {"a": {"before", "after"}}
    assert all(path.is_file() and tmp_path / "elsewhere" in path.parents for path in found["a"].values())


def test_masks_that_lie_elsewhere_are_told(home: Path, tmp_path: Path, data: Path) -> None:
    frame = read_rows(home, "try").assign(masks="{}")
    from reports.report import write_report

    write_report(frame, "try", tmp_path / "report")
    assert "the masks lie in a store that is not on this machine" in (tmp_path / "report" / "index.md").read_text()
