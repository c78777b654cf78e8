"""The shipped study of a method that is a command: as the docs show it, and equal to the built-in baseline."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.planning.study import load_study
from harness.results import collect_results
from harness.store.local import Store
from tests.engine import ROOT, make_davis16

STUDY, TRACKER = ROOT / "studies" / "external.yaml", ROOT / "studies" / "first_mask_tracker.py"
PYTHON = "../.venv/bin/python"


def test_the_docs_show_the_shipped_tracker_and_its_command() -> None:
    page = (ROOT / "docs" / "external.md").read_text()
    assert TRACKER.read_text() in page
    assert next(line.strip() for line in STUDY.read_text().splitlines() if line.strip().startswith("command:")) in page


def test_the_first_mask_as_a_command_scores_like_the_built_in_one(tmp_path: Path) -> None:
    shutil.copy(TRACKER, tmp_path)
    (tmp_path / "external.yaml").write_text(STUDY.read_text().replace(PYTHON, sys.executable))
    protocols, store = load_protocols(), Store(tmp_path / "home")
    study = load_study(tmp_path / "external.yaml", protocols)
    benchmarks = [protocols[name] for name in study.benchmarks]
    material = gather(benchmarks, make_davis16(tmp_path / "data"), tmp_path / "facts")
    plan = make_plan(study, material, store, machine="a machine")
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "")), store.failure(stage.key)
    results = {one.variant: one for one in collect_results(plan, store) if one.benchmark == "davis16-val"}
    assert 0 < results["copied"].values["J_mean"] < 1
    assert results["copied"].values == results["first-mask"].values
    assert results["copied"].seconds_per_frame is not None
