"""The report is the same whether its results come from MLflow, from another MLflow, or from the store."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.planning.plan import Item
from harness.report import find_report
from harness.tracking import read_results, record, tracking_uri
from harness.tracking.run_spec import TRAININGS, describe_cells
from harness.tracking.writer import Publisher
from reports.figures import read_curves
from reports.figures.identities import find_identities
from reports.inputs import Lineage, Part, split
from reports.report import REPORT, STAMP, write_report
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
def home(finished: Path, data: Path, tmp_path: Path) -> Path:
    """Such a home that may be harmed."""
    shutil.copytree(finished, tmp_path / "home")
    record(*make(tmp_path / "home", data, STUDY))
    return tmp_path / "home"


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_every_source_of_results_gives_the_same_bytes(
    origin: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    REPORT.write("try", origin)
    ours = files(origin / "reports" / "try")
    assert {"index.html", "index.md", "sheets/davis16-val/a.png"} <= ours.keys()
    assert "warning" not in caplog.text
    shutil.rmtree(origin / "reports")
    REPORT.write("try", origin, from_store=True)
    assert files(origin / "reports" / "try") == ours
    REPORT.write("try", tmp_path, tracking=tracking_uri(origin))
    assert files(tmp_path / "reports" / "try") == ours


def test_results_that_mlflow_shows_differently_come_from_the_home(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = read_results(home, "try")
    assert not caplog.text
    client = MlflowClient(tracking_uri(home))
    (one, _) = recorded(home, "cell")
    right = one.data.metrics["J_mean"]
    client.log_metric(one.info.run_id, "J_mean", 0.123)
    assert read_results(home, "try") == before
    assert "does not show 1 of them as recorded" in caplog.text
    caplog.clear()
    client.log_metric(one.info.run_id, "J_mean", right)
    read_results(home, "try")
    assert not caplog.text


def test_a_home_without_mlflow_database_warns(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "mlflow.db").unlink()
    assert {one.status for one in read_results(home, "try")} == {"done"}
    assert "there is no MLflow database" in caplog.text
    assert not (home / "mlflow.db").exists()


def test_a_report_on_another_mlflow_is_logged_there_once(origin: Path, tmp_path: Path) -> None:
    REPORT.write("try", tmp_path, tracking=tracking_uri(origin))
    (parent,) = recorded(origin, "study")
    folder = Path(parent.info.artifact_uri.removeprefix("file://")) / "report"
    assert (folder / "index.html").read_bytes() == (tmp_path / "reports/try/index.html").read_bytes()
    (folder / "index.html").unlink()
    REPORT.write("try", tmp_path, tracking=tracking_uri(origin))
    assert not (folder / "index.html").exists()


@pytest.fixture
def elsewhere(home: Path, data: Path, tmp_path: Path) -> Part:
    """The part of a cell with a training and identity vectors behind it, from an MLflow whose store is gone."""
    plan, store = make(home, data, STUDY)
    training = trained(store)
    plan = replace(plan, items={**plan.items, training.key: Item(stage=training, state="cached", reason="")})
    analyses = {}
    for phase in ("before", "after"):
        folder = home / "store" / "identities" / phase
        folder.mkdir(parents=True)
        vectors(folder)
        analyses[f"identities/{phase}/a"] = str(folder)
    runs = describe_cells(plan, store)
    cell = next(run for run in runs if run.role == "cell")
    marked = replace(cell, analyses=analyses, tags={**cell.tags, TRAININGS: training.key})
    publisher = Publisher(home, "try")
    with publisher.locked():
        publisher.publish([marked, *(run for run in runs if run.role == "training")])
    (home / "store").rename(tmp_path / "gone")
    results = read_results(tmp_path / "elsewhere", "try", tracking=tracking_uri(home))
    return split(one for one in results if one.variant == cell.tags["variant"])[0]


def test_training_curves_come_from_the_runs_without_the_store(elsewhere: Part) -> None:
    (curve,) = read_curves(elsewhere, Lineage())
    assert (curve.name, list(curve.steps), list(curve.values)) == ("loss", [0, 10], [1.5, 0.5])


def test_identity_vectors_come_from_the_runs_without_the_store(elsewhere: Part, tmp_path: Path) -> None:
    found = find_identities(elsewhere, "davis16-val", Lineage())
    assert {name: set(phases) for name, phases in found.items()} == {"a": {"before", "after"}}
    assert all(path.is_file() and tmp_path / "elsewhere" in path.parents for path in found["a"].values())


def test_missing_masks_of_another_machine_are_reported(home: Path, tmp_path: Path, data: Path) -> None:
    results = [replace(one, masks={}) for one in read_results(home, "try")]
    write_report(results, "try", tmp_path / "report")
    assert "the masks are in a store that is not on this machine" in (tmp_path / "report" / "index.md").read_text()


def test_the_harness_finds_the_report_by_its_entry_point() -> None:
    assert find_report() is REPORT
