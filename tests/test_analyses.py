"""Analyses of a cell are planned with it, and its result names their folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Item, make_plan
from harness.planning.study import load_study
from harness.results import collect_results
from harness.store.local import Store
from tests.engine import make_davis16, toy

STUDY = "{name: try, method: first-mask, benchmarks: [davis16-val], variants: {one: {}}}"
DIPNET = (
    "{name: try, method: dipnet, benchmarks: [davis16-val], variants: {one: {crop: false, analyses: [identities]}}}"
)


def planned(tmp_path: Path, text: str):
    (tmp_path / "study.yaml").write_text(text)
    protocols = load_protocols()
    material = gather([protocols["davis16-val"]], make_davis16(tmp_path / "data"), tmp_path / "facts.sqlite")
    store = Store(tmp_path / "home")
    return make_plan(load_study(tmp_path / "study.yaml", protocols), material, store), store


def test_an_analysis_that_a_study_asks_for_is_in_its_plan(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, DIPNET)
    labels = [item.stage.label for item in plan.items.values() if item.stage.name == "identities"]
    assert sorted(labels) == [f"identities {when} training in {name}" for when in ("after", "before") for name in "ab"]


def test_a_result_names_the_folders_of_its_analyses(tmp_path: Path) -> None:
    plan, store = planned(tmp_path, STUDY)
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, ""))
    analysis = toy(tmp_path / "log", "analysis")
    items = {**plan.items, analysis.key: Item(stage=analysis, state="to run", reason="new")}
    cell = replace(plan.cells[0], analyses={"curve/a": analysis})
    plan = replace(plan, cells=(cell,), items=items)
    (result,) = collect_results(plan, store)
    assert (result.status, result.reason, dict(result.analyses)) == ("done", "not analyzed yet", {})
    assert not result.filled
    assert work(make_job(analysis, store, 1, ""))
    (result,) = collect_results(plan, store)
    assert result.filled
    assert (Path(result.analyses["curve/a"]) / "done.txt").is_file()
