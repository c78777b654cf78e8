"""MLflow shows what the store holds: once, again without doubles, from nothing, and not at all without harm."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from harness.errors import ResourceError, StudyError
from harness.planning.plan import Item
from harness.results.rows import COLUMNS
from harness.stage import Stage
from harness.store.local import Failure, Store
from harness.tracking.sync import log_report, read_rows, record
from harness.tracking.writer import tracking_uri
from tests.engine import toy
from tests.finished import STUDY, make, recorded


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, finished: Path, data: Path) -> Path:
    """A finished home that MLflow shows."""
    home = tmp_path_factory.mktemp("shown") / "home"
    shutil.copytree(finished, home)
    record(*make(home, data))
    return home


def test_a_row_holds_what_its_cell_scored(shown: Path) -> None:
    rows = read_rows(shown, "try")
    assert list(rows.columns) == list(COLUMNS)
    one = rows.query("variant == 'one' and benchmark == 'davis16-val'").iloc[0]
    total = json.loads((Path(one.score_folder) / "total.json").read_text())
    assert one.J_mean == total["J_mean"]
    assert (one.status, one.reason, one.data_kind, one.hardware) == ("done", "", "real", "a machine")
    assert one.seconds_per_frame > 0
    masks = json.loads(one.masks)
    assert set(masks) == {"a", "b"}
    assert all(Path(folder, "00000.png").is_file() for folder in masks.values())


def test_a_cell_that_is_left_out_has_a_row_with_the_reason(shown: Path) -> None:
    rows = read_rows(shown, "try").query("benchmark == 'davis17-val'")
    assert set(rows.status) == {"left out"}
    assert all("DAVIS 2017" in reason for reason in rows.reason)
    assert all(math.isnan(value) for value in rows.J_mean)


def test_runs_have_parent_metrics_and_artifacts(shown: Path) -> None:
    (parent,) = recorded(shown, "study")
    cells = recorded(shown, "cell")
    assert {run.data.tags["mlflow.parentRunId"] for run in cells} == {parent.info.run_id}
    done = next(run for run in cells if run.data.tags["status"] == "done")
    assert {"J_mean", "F_decay", "JF_mean", "seconds_per_frame"} <= set(done.data.metrics)
    names = {item.path for item in MlflowClient(tracking_uri(shown)).list_artifacts(done.info.run_id)}
    assert {"objects.csv", "sequences.csv"} <= names
    assert {run.info.status for run in cells} == {"FINISHED", "KILLED"}


def test_recording_twice_changes_nothing(home: Path, data: Path) -> None:
    plan, store = make(home, data)
    record(plan, store)
    before, rows = {run.info.run_id for run in recorded(home, "cell")}, read_rows(home, "try")
    record(plan, store)
    assert {run.info.run_id for run in recorded(home, "cell")} == before
    assert len(recorded(home, "study")) == 1
    pd.testing.assert_frame_equal(read_rows(home, "try"), rows)


def test_a_deleted_database_is_built_again_from_the_store(home: Path, data: Path) -> None:
    record(*make(home, data))
    rows = read_rows(home, "try")
    (home / "mlflow.db").unlink()
    record(*make(home, data))
    assert len(recorded(home, "cell")) == 4
    pd.testing.assert_frame_equal(read_rows(home, "try"), rows)


def test_a_variant_that_the_study_no_longer_has_leaves_the_rows(home: Path, data: Path) -> None:
    record(*make(home, data))
    record(*make(home, data, STUDY.replace("one: {}, two", "two")))
    assert set(read_rows(home, "try").variant) == {"two"}
    assert len(recorded(home, "cell")) == 2


def test_a_failed_stage_of_a_cell_is_in_its_row(home: Path, data: Path) -> None:
    plan, store = make(home, data)
    cell = plan.cells[0]
    assert cell.score is not None
    shutil.rmtree(store.folder("score", cell.score.key))
    store.fail(Failure(key=cell.score.key, label="score", error="no luck", traceback="", log="", when=0.0))
    record(plan, store)
    row = read_rows(home, "try").query("variant == 'one' and benchmark == 'davis16-val'").iloc[0]
    assert (row.status, row.reason) == ("failed", "score DAVIS16 val: no luck")
    assert row.score_folder == ""


def test_a_server_that_is_down_costs_a_warning_and_no_row(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plan, store = make(home, data)
    assert record(plan, store)[0]["status"] == "done"
    rows = read_rows(home, "try")
    assert "http://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    record(plan, store)
    pd.testing.assert_frame_equal(read_rows(home, "try"), rows, check_dtype=False)


def test_curves_of_a_training_become_metrics_over_steps_once(home: Path, data: Path) -> None:
    plan, store = make(home, data)
    training = trained(store)
    plan = replace(plan, items={**plan.items, training.key: Item(stage=training, state="cached", reason="")})
    record(plan, store)
    record(plan, store)
    (run,) = recorded(home, "training")
    history = MlflowClient(tracking_uri(home)).get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1.5), (10, 0.5)]
    assert run.info.run_name == training.label


def trained(store: Store) -> Stage:
    stage = toy(Path("unused"), "training")
    place = store.start(stage.key)
    (place.folder / "curves.csv").write_text("step,name,value\n0,loss,1.5\n10,loss,0.5\n")
    store.publish(stage.name, stage.key, stage.label, stage.identity, {"seconds": 3.0})
    return stage


def test_a_report_is_among_the_artifacts_of_the_study(home: Path, data: Path, tmp_path: Path) -> None:
    record(*make(home, data))
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.md").write_text("# try")
    log_report(home, "try", tmp_path / "report")
    (parent,) = recorded(home, "study")
    names = {item.path for item in MlflowClient(tracking_uri(home)).list_artifacts(parent.info.run_id, "report")}
    assert names == {"report/index.md"}


def test_a_study_that_was_never_run_has_no_rows(tmp_path: Path) -> None:
    rows = read_rows(tmp_path / "home", "never")
    assert list(rows.columns) == list(COLUMNS)
    assert rows.empty


COMPARED = [name for name in COLUMNS if name not in {"score_folder", "masks"}]


def test_the_rows_of_any_tracking_uri_are_those_that_were_recorded(home: Path, data: Path, tmp_path: Path) -> None:
    record(*make(home, data))
    there = read_rows(tmp_path / "elsewhere", "try", tracking=tracking_uri(home))
    pd.testing.assert_frame_equal(there[COMPARED], read_rows(home, "try")[COMPARED], check_dtype=False)


def test_where_the_store_is_not_scores_come_from_the_runs(home: Path, data: Path, tmp_path: Path) -> None:
    record(*make(home, data))
    before = read_rows(home, "try").query("status == 'done'")
    expected = [(Path(folder) / "frames.csv").read_text() for folder in before.score_folder]
    (home / "store").rename(tmp_path / "gone")
    rows = read_rows(tmp_path / "elsewhere", "try", tracking=tracking_uri(home)).query("status == 'done'")
    assert [(Path(folder) / "frames.csv").read_text() for folder in rows.score_folder] == expected
    assert all(folder.startswith(str(tmp_path / "elsewhere")) for folder in rows.score_folder)


def test_an_mlflow_that_was_asked_for_and_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ResourceError, match="study try cannot be read"):
        read_rows(tmp_path, "try", tracking="http://127.0.0.1:9")
    with pytest.raises(StudyError, match="no cell of a study 'try'"):
        read_rows(tmp_path, "try", tracking=f"sqlite:///{tmp_path / 'new.db'}")


def test_rows_from_the_store_need_no_mlflow_and_follow_the_store(home: Path, data: Path) -> None:
    record(*make(home, data))
    before = read_rows(home, "try")
    (home / "mlflow.db").unlink()
    pd.testing.assert_frame_equal(read_rows(home, "try", from_store=True), before)
    gone = before.query("status == 'done'").iloc[0]
    shutil.rmtree(gone.score_folder)
    rows = read_rows(home, "try", from_store=True).query("score_folder == '' and status == 'waiting'")
    assert "its scores are no longer in the store" in set(rows.reason)
    assert rows.J_mean.isna().all()
