"""What MLflow opens with: views of a study's cells, and links to them that work and name nobody."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from harness.cli.mlflow import links
from harness.cli.run import print_results
from harness.datasets import load_protocols
from harness.execution.queue import ReadyQueue
from harness.tracking import read_results, record, recording, resync, tracking_uri, ui_address
from harness.tracking.run_spec import CELL, TRAINING, RunSpec
from harness.tracking.views import NOTE, PREFIX, View, describe_views
from tests.finished import STUDY, make, recorded


def experiment_of(home: Path) -> Experiment:
    found = MlflowClient(tracking_uri(home)).get_experiment_by_name("try")
    assert found is not None
    return found


def tags_of(home: Path) -> dict[str, str]:
    return dict(experiment_of(home).tags)


def set_tag(home: Path, name: str, value: str) -> None:
    MlflowClient(tracking_uri(home)).set_experiment_tag(experiment_of(home).experiment_id, name, value)


def decoded(value: str) -> dict[str, Any]:
    """The state in a saved view, as MLflow's page reads it: a JSON object with a name, a time and the packed state."""
    whole = json.loads(value)
    assert isinstance(whole["name"], str)
    assert isinstance(whole["createdAt"], int)
    method, packed = whole["state"].split(";")
    assert method == "deflate"
    return dict(json.loads(zlib.decompress(base64.b64decode(packed, validate=True))))


def saved_views(home: Path) -> dict[str, dict[str, Any]]:
    """Title → state of the views that MLflow holds."""
    found = {name: value for name, value in tags_of(home).items() if name.startswith(PREFIX)}
    return {json.loads(value)["name"]: decoded(value) for value in found.values()}


def found_by(home: Path, state: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Variant and benchmark of the runs that MLflow shows in a view."""
    client = MlflowClient(tracking_uri(home))
    runs = client.search_runs(
        [experiment_of(home).experiment_id], state["searchFilter"], order_by=[state["orderByKey"]]
    )
    return {(run.data.tags["variant"], run.data.tags["benchmark"]) for run in runs}


def test_the_table_has_its_columns_sorted_by_j_and_grouped_by_benchmark(home: Path, data: Path) -> None:
    record(*make(home, data))
    table = saved_views(home)["All cells"]
    assert table["selectedColumns"] == [
        *("params.`variant`", "params.`benchmark`", "metrics.`J_mean`", "metrics.`F_mean`"),
        *("metrics.`J_recall`", "metrics.`F_recall`", "metrics.`seconds_per_frame`"),
    ]
    assert (table["orderByKey"], table["orderByAsc"]) == ("metrics.`J_mean`", False)
    assert table["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "benchmark"}]
    assert table["groupsExpanded"] == {"param.benchmark.davis16-val": True, "param.benchmark.davis17-val": True}
    assert found_by(home, table) == {
        (variant, benchmark) for variant in ("one", "two") for benchmark in ("davis16-val", "davis17-val")
    }
    done = next(run for run in recorded(home, "cell") if run.data.tags["status"] == "done")
    assert {name.split("`")[1] for name in table["selectedColumns"]} <= done.data.metrics.keys() | done.data.params


def test_each_benchmark_with_scores_has_charts_of_its_cells(home: Path, data: Path) -> None:
    record(*make(home, data))
    views = saved_views(home)
    assert views.keys() == {"All cells", "DAVIS16 val"}  # no cell of DAVIS 2017 has data
    assert found_by(home, views["DAVIS16 val"]) == {("one", "davis16-val"), ("two", "davis16-val")}
    charts = views["DAVIS16 val"]["compareRunCharts"]
    assert [(one["type"], one.get("metricKey")) for one in charts[:2]] == [("BAR", "J_mean"), ("BAR", "F_mean")]
    sections = {one["uuid"] for one in views["DAVIS16 val"]["compareRunSections"]}
    assert {one["metricSectionId"] for one in charts} <= sections


def test_charts_show_the_measures_that_the_benchmark_names_first(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures = ("JF_mean", "J_decay", "J_last")
    changed = {name: one.model_copy(update={"measures": measures}) for name, one in load_protocols().items()}
    monkeypatch.setattr("tests.finished.load_protocols", lambda: changed)
    record(*make(home, data))
    views = saved_views(home)
    charts = views["DAVIS16 val"]["compareRunCharts"]
    assert [one.get("metricKey") for one in charts[:3]] == ["JF_mean", "J_last", "seconds_per_frame"]
    for state in views.values():
        assert state["orderByKey"] == "metrics.`JF_mean`"
    shown = [f"metrics.`{name}`" for name in ("JF_mean", "J_last", "seconds_per_frame")]
    assert views["All cells"]["selectedColumns"][2:] == shown


def test_versions_without_saved_views_read_the_same_state(home: Path, data: Path) -> None:
    record(*make(home, data))
    values = [value for name, value in tags_of(home).items() if name.startswith(PREFIX)]
    assert values
    for value in values:
        assert decoded(value).items() <= json.loads(value).items()
        assert len(value) <= 5000  # what MLflow 3.5 takes


def test_the_experiment_is_of_model_training_and_unfolds_its_cells(home: Path, data: Path) -> None:
    record(*make(home, data))
    assert tags_of(home)["mlflow.experimentKind"] == "custom_model_development"
    assert {run.data.tags["mlflow.runType"] for run in recorded(home, "cell")} == {"evaluation"}


def test_resync_restores_views_and_leaves_those_of_others(home: Path, data: Path) -> None:
    record(*make(home, data))
    before = tags_of(home)
    mine = next(name for name in before if name.startswith(PREFIX))
    client, experiment = MlflowClient(tracking_uri(home)), experiment_of(home).experiment_id
    client.delete_experiment_tag(experiment, mine)
    client.delete_experiment_tag(experiment, "mlflow.experimentKind")
    set_tag(home, next(name for name in before if name.startswith(PREFIX) and name != mine), "damaged")
    parent = json.loads(before[mine])["parent"]
    orphan = View(key="of-nobody", title="", mode="TABLE", state={}).value("0" * 32, 0)
    stale = View(key="old", title="", mode="TABLE", state={}).value(parent, 0)
    set_tag(home, f"{PREFIX}of-nobody", orphan)
    set_tag(home, f"{PREFIX}old", stale)
    theirs = {f"{PREFIX}own": json.dumps({"name": "my view", "createdAt": 1, "state": "{}"}), f"{PREFIX}older": "x"}
    for name, value in theirs.items():
        set_tag(home, name, value)
    assert resync(home, "try") == 0
    assert tags_of(home) == before | theirs
    assert resync(home, "try") == 0
    assert tags_of(home) == before | theirs


def test_a_note_of_the_user_is_kept(home: Path, data: Path) -> None:
    record(*make(home, data))
    assert "[All cells](#/experiments/" in tags_of(home)[NOTE]
    set_tag(home, NOTE, "mine")
    resync(home, "try")
    assert tags_of(home)[NOTE] == "mine"


def test_cells_of_a_deleted_parent_run_are_found_again(home: Path, data: Path) -> None:
    record(*make(home, data))
    (parent,) = recorded(home, "study")
    MlflowClient(tracking_uri(home)).delete_run(parent.info.run_id)
    assert resync(home, "try") == 1
    (new,) = recorded(home, "study")
    assert {run.data.tags["mlflow.parentRunId"] for run in recorded(home, "cell")} == {new.info.run_id}
    assert saved_views(home).keys() == {"All cells", "DAVIS16 val"}
    assert len(found_by(home, saved_views(home)["All cells"])) == 4


def test_views_exist_while_the_study_runs(tmp_path: Path, data: Path, finished: Path) -> None:
    home = tmp_path / "home"
    plan, store = make(home, data)
    shutil.copy(finished / "mlflow.db", home / "mlflow.db")
    board = ReadyQueue(missing={stage.key: stage for stage in plan.missing}, expected={})
    target = plan.cells[0].score
    assert target is not None
    with recording(plan, store, 60.0) as recorder:
        shutil.copytree(finished / "store", home / "store", dirs_exist_ok=True)
        for stage in plan.cells[0].targets:
            board.finish(stage.key, published=True)
            recorder.watch(board.ended, board.done)
        end = time.monotonic() + 60
        client = MlflowClient(tracking_uri(home))
        while not ((found := client.get_experiment_by_name("try")) and NOTE in found.tags) and time.monotonic() < end:
            time.sleep(0.1)
        assert saved_views(home).keys() == {"All cells", "DAVIS16 val"}


def test_homes_on_one_server_have_views_of_their_own(
    home: Path, finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    other = tmp_path / "second" / "home"
    shutil.copytree(finished / "store", other / "store")
    record(*make(home, data))
    first = {name: value for name, value in tags_of(home).items() if name.startswith(PREFIX)}
    record(*make(other, data, STUDY.replace(", two: {}", "")))
    both = {name: value for name, value in tags_of(home).items() if name.startswith(PREFIX)}
    assert first.items() < both.items()
    (added,) = [decoded(both[name]) for name in both.keys() - first.keys() if name.endswith("-cells")]
    assert {variant for variant, _ in found_by(home, added)} == {"one"}


def test_a_server_that_refuses_a_tag_costs_one_warning(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("this server takes no tags of http://me:sesame@host")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    monkeypatch.setattr("harness.tracking.writer._without_views", set())
    results = record(*make(home, data))
    resync(home, "try")
    assert caplog.text.count("this server takes no tags") == 1
    assert "sesame" not in caplog.text
    assert len(recorded(home, "cell")) == 4
    assert read_results(home, "try") == results
    assert links(home, "try") == []


def test_the_end_of_a_run_prints_a_command_and_links_that_work(
    tmp_path: Path, finished: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "my own" / "home"
    shutil.copytree(finished, home)
    plan, store = make(home, data)
    assert print_results(plan, store, record(plan, store), 1.0)
    printed = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(printed) if line.startswith("MLflow: "))
    assert shlex.split(printed[start])[-4:] == ["mlflow", "ui", "--home", str(home)]
    shown = dict(line.strip().split(": ", 1) for line in printed[start + 1 :] if "#/experiments/" in line)
    assert list(shown) == ["All cells", "DAVIS16 val"]
    for url, mode in zip(shown.values(), ("TABLE", "CHART"), strict=True):
        assert url.startswith("http://127.0.0.1:5000/#/experiments/")
        assert re.fullmatch(r"[\w:/#?=&.-]+", url, re.ASCII)
        page = urlsplit(urlsplit(url).fragment)
        assert page.path == f"/experiments/{experiment_of(home).experiment_id}/runs"
        (key,) = parse_qs(page.query)["viewStateShareKey"]
        assert PREFIX + key in tags_of(home)
        assert parse_qs(page.query)["workflowType"] == ["machine_learning"]
        assert parse_qs(page.query)["compareRunsMode"] == [mode]


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://me:sesame@127.0.0.1:8080/mlflow/", "http://127.0.0.1:8080/mlflow"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("https://me:sesame@tracker.example.org/mlflow", ""),
        ("http://10.0.0.7:5000?token=sesame", ""),
        ("postgresql://me:sesame@db.example.org/mlflow", "http://127.0.0.1:5007"),
    ],
)
def test_links_name_no_user_password_or_other_host(
    uri: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert ui_address(tmp_path, 5007) == address


def cell(variant: str, benchmark: str, **changes: Any) -> RunSpec:
    options = changes.pop("options", {})
    tags = {"variant": variant, "benchmark": benchmark, "benchmark_title": benchmark.upper(), "protocol": "abcdef0"}
    tags |= {"scale": "mini", "data_kind": "real", "seed": "0", "status": "done", "options": json.dumps(options)}
    params = {name: json.dumps(value) for name, value in {"fixed": 1, "a": 0, "b": 0, **options}.items()}
    return RunSpec(id=variant, role=CELL, name=variant, tags=tags | changes, params=params)


def test_scales_are_compared_apart_and_submitted_masks_with_the_only_scale() -> None:
    mini, submitted = cell("one", "b"), cell("theirs", "b", scale="", origin="submitted")
    (_, both) = describe_views([mini, submitted], "p" * 32)
    assert "scale" not in both.state["searchFilter"]
    _, light, small = describe_views([mini, cell("one", "b", scale="light"), submitted], "p" * 32)
    assert [light.title, small.title] == ["B (light, real)", "B (mini, real)"]
    assert "tags.`scale` = 'light'" in light.state["searchFilter"]
    assert len({light.key, small.key}) == 2


def test_options_in_which_variants_differ_are_the_axes() -> None:
    cells = [cell("plain", "b"), cell("x", "b", options={"a": 1, "fixed": 1}), cell("y", "b", options={"a": 2, "b": 1})]
    chart = describe_views(cells, "p" * 32)[1].state["compareRunCharts"]
    (axes,) = [one["selectedParams"] for one in chart if one["type"] == "PARALLEL"]
    assert axes == ["a", "b"]


def test_trainings_have_a_view_of_their_losses() -> None:
    (view,) = describe_views([RunSpec(id="t", role=TRAINING, name="train")], "p" * 32)
    assert [one["metricKey"] for one in view.state["compareRunCharts"]] == ["loss"]
    assert "tags.`role` = 'training'" in view.state["searchFilter"]


def test_a_benchmark_may_have_any_name() -> None:
    _, view = describe_views([cell("one", "mine & [yours] ü")], "p" * 32)
    assert view.key == "pppppppp-mine-yours--abcdef"
