"""MLflow shows what the store holds: once, again without doubles, from nothing, and not at all without harm."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.datasets import load_protocols
from harness.datasets.protocol import DAVIS
from harness.errors import ResourceError, StoreError, StudyError
from harness.planning.plan import Item
from harness.results import CellResult, check_study_files
from harness.score import MEASURES, Measure
from harness.stage import Stage
from harness.store.local import Failure, Store
from harness.tracking import log_report, read_results, record, tracking_uri
from tests.engine import toy
from tests.finished import STUDY, finish, make, recorded


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, finished: Path, data: Path) -> Path:
    """A finished home that MLflow shows."""
    home = tmp_path_factory.mktemp("shown") / "home"
    shutil.copytree(finished, home)
    record(*make(home, data))
    return home


def result_of(home: Path, variant: str, benchmark: str) -> CellResult:
    """The one result of a cell."""
    (found,) = [one for one in read_results(home, "try") if (one.variant, one.benchmark) == (variant, benchmark)]
    return found


def test_a_result_holds_what_its_cell_scored(shown: Path) -> None:
    one = result_of(shown, "one", "davis16-val")
    total = json.loads((Path(one.score_folder) / "total.json").read_text())
    assert one.values == total
    assert (one.status, one.reason, one.origin, one.data_kind) == ("done", "", "measured", "real")
    assert one.hardware == "a machine"
    assert one.seconds_per_frame is not None
    assert one.seconds_per_frame > 0
    assert set(one.masks) == {"a", "b"}
    assert all(Path(folder, "00000.png").is_file() for folder in one.masks.values())


def test_a_result_survives_json(shown: Path) -> None:
    for one in read_results(shown, "try"):
        assert CellResult.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_fields_of_another_version_are_a_named_error(shown: Path) -> None:
    document = read_results(shown, "try")[0].to_dict()
    with pytest.raises(StoreError, match="left_out"):
        CellResult.from_dict({**document, "left_out": ""})
    document.pop("origin")
    with pytest.raises(StoreError, match="origin"):
        CellResult.from_dict(document)


def test_an_added_measure_is_in_results_and_in_mlflow(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worst = Measure(name="J_worst", title="worst J", source="J", statistic=lambda values: float(values.min()))
    monkeypatch.setitem(MEASURES, worst.name, worst)
    protocols = load_protocols()
    measures = (worst.name, *DAVIS)
    changed = {name: one.model_copy(update={"measures": measures}) for name, one in protocols.items()}
    monkeypatch.setattr("tests.finished.load_protocols", lambda: changed)
    home = finish(tmp_path / "home", data)
    record(*make(home, data))
    one = result_of(home, "one", "davis16-val")
    assert one.values["J_worst"] == json.loads((Path(one.score_folder) / "total.json").read_text())["J_worst"]
    run = next(run for run in recorded(home, "cell") if run.data.tags["variant"] == "one" and run.data.metrics)
    assert run.data.metrics["J_worst"] == one.values["J_worst"]
    assert one.measures == measures


def test_saved_results_of_another_version_are_a_named_error(home: Path, data: Path) -> None:
    plan, store = make(home, data)
    record(plan, store)
    (home / "rows" / "try.json").write_text('{"rows": []}')
    with pytest.raises(StoreError, match="another version"):
        read_results(home, "try")
    with pytest.raises(StoreError, match=f"rm -f {home}/plans/try.json {home}/rows/try.json {home}/records/try.json$"):
        check_study_files(home, "try")


def test_a_skipped_cell_has_a_result_with_the_reason(shown: Path) -> None:
    results = [one for one in read_results(shown, "try") if one.benchmark == "davis17-val"]
    assert {one.status for one in results} == {"skipped"}
    assert all("DAVIS 2017" in one.reason for one in results)
    assert not any(one.values for one in results)


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
    before, results = {run.info.run_id for run in recorded(home, "cell")}, read_results(home, "try")
    record(plan, store)
    assert {run.info.run_id for run in recorded(home, "cell")} == before
    assert len(recorded(home, "study")) == 1
    assert read_results(home, "try") == results


def test_a_deleted_database_is_built_again_from_the_store(home: Path, data: Path) -> None:
    record(*make(home, data))
    results = read_results(home, "try")
    (home / "mlflow.db").unlink()
    record(*make(home, data))
    assert len(recorded(home, "cell")) == 4
    assert read_results(home, "try") == results


def test_a_variant_that_the_study_no_longer_has_leaves_the_results(home: Path, data: Path) -> None:
    record(*make(home, data))
    record(*make(home, data, STUDY.replace("one: {}, two", "two")))
    assert {one.variant for one in read_results(home, "try")} == {"two"}
    assert len(recorded(home, "cell")) == 2


def test_a_failed_stage_is_in_the_result_of_its_cell(home: Path, data: Path) -> None:
    plan, store = make(home, data)
    cell = plan.cells[0]
    assert cell.score is not None
    shutil.rmtree(store.folder("score", cell.score.key))
    store.fail(Failure(key=cell.score.key, label="score", error="no luck", traceback="", log="", when=0.0))
    record(plan, store)
    result = result_of(home, "one", "davis16-val")
    assert (result.status, result.reason) == ("failed", "score DAVIS16 val: no luck")
    assert result.score_folder == ""


def test_a_server_that_is_down_costs_a_warning_and_no_result(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plan, store = make(home, data)
    assert record(plan, store)[0].done
    results = read_results(home, "try")
    assert "http://127.0.0.1:9" in caplog.text
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    record(plan, store)
    assert read_results(home, "try") == results


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
    assert run.data.metrics["samples_per_second"] == 42.5


def trained(store: Store) -> Stage:
    stage = toy(Path("unused"), "training")
    place = store.start(stage.key)
    (place.folder / "curves.csv").write_text("step,name,value\n0,loss,1.5\n10,loss,0.5\n")
    (place.folder / "throughput.json").write_text('{"samples_per_second": 42.5, "waiting_share": 0.1}')
    store.publish(stage.name, stage.key, stage.label, stage.identity, {"seconds": 3.0})
    return stage


def test_a_report_is_among_the_artifacts_of_the_study(home: Path, data: Path, tmp_path: Path) -> None:
    record(*make(home, data))
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.md").write_text("# try")
    for name in ("tables/one.csv", "large/one.png", "large/.local"):
        (tmp_path / "report" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "report" / name).touch()
    log_report(home, "try", tmp_path / "report")
    (parent,) = recorded(home, "study")
    names = {item.path for item in MlflowClient(tracking_uri(home)).list_artifacts(parent.info.run_id, "report")}
    assert names == {"report/index.md", "report/tables"}


def test_a_study_that_was_never_run_has_no_results(tmp_path: Path) -> None:
    assert read_results(tmp_path / "home", "never") == []


def test_any_tracking_uri_gives_the_recorded_results(home: Path, data: Path, tmp_path: Path) -> None:
    record(*make(home, data))
    there = read_results(tmp_path / "elsewhere", "try", tracking=tracking_uri(home))
    assert there == read_results(home, "try")


def test_scores_come_from_the_runs_if_there_is_no_store(home: Path, data: Path, tmp_path: Path) -> None:
    record(*make(home, data))
    before = [Path(one.score_folder) / "frames.csv" for one in read_results(home, "try") if one.done]
    expected = [path.read_text() for path in before]
    (home / "store").rename(tmp_path / "gone")
    results = read_results(tmp_path / "elsewhere", "try", tracking=tracking_uri(home))
    after = [Path(one.score_folder) / "frames.csv" for one in results if one.done]
    assert [path.read_text() for path in after] == expected
    assert all(tmp_path / "elsewhere" in path.parents for path in after)


def test_an_unreachable_mlflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ResourceError, match="study try cannot be read"):
        read_results(tmp_path, "try", tracking="http://127.0.0.1:9")
    with pytest.raises(StudyError, match="no cell of a study 'try'"):
        read_results(tmp_path, "try", tracking=f"sqlite:///{tmp_path / 'new.db'}")


def test_results_from_the_store_need_no_mlflow(home: Path, data: Path) -> None:
    record(*make(home, data))
    before = read_results(home, "try")
    (home / "mlflow.db").unlink()
    assert read_results(home, "try", from_store=True) == before
    shutil.rmtree(next(one.score_folder for one in before if one.done))
    waiting = [one for one in read_results(home, "try", from_store=True) if one.status == "waiting"]
    assert {one.reason for one in waiting} == {"its scores are no longer in the store"}
    assert not any(one.values or one.score_folder for one in waiting)
