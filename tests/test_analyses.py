"""Analyses of a cell, besides its masks: planned with it, asked for in its row, and their folders found there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Item, make_plan
from harness.planning.study import load_study
from harness.results.rows import is_filled, make_rows
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


def test_a_row_names_the_folders_of_its_analyses_and_waits_for_them(tmp_path: Path) -> None:
    plan, store = planned(tmp_path, STUDY)
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, ""))
    analysis = toy(tmp_path / "log", "analysis")
    items = {**plan.items, analysis.key: Item(stage=analysis, state="to run", reason="new")}
    cell = replace(plan.cells[0], analyses={"curve/a": analysis})
    plan = replace(plan, cells=(cell,), items=items)
    row = make_rows(plan, store)[0]
    assert (row["status"], row["reason"], row["analyses"]) == ("done", "not analysed yet", "{}")
    assert not is_filled(row)
    assert work(make_job(analysis, store, 1, ""))
    row = make_rows(plan, store)[0]
    assert is_filled(row)
    assert (Path(json.loads(row["analyses"])["curve/a"]) / "done.txt").is_file()
