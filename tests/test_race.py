"""Processes that go through one plan at once, on one store, do each of its stages once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from harness.store.local import Store
from tests.engine import ROOT, runs, toy

COUNT = 12
PROGRAM = """
import sys
from pathlib import Path
from harness.store.local import Store
from harness.execution.worker import make_job, work
from tests.test_race import plan
store = Store(Path(sys.argv[1]))
sys.exit(0 if all([work(make_job(stage, store, 1, "")) for stage in plan(Path(sys.argv[2]))]) else 1)
"""


def plan(log: Path):
    """One training, and what needs it."""
    train = toy(log, "train", seconds=0.3)
    return [train, *(toy(log, f"segment-{number}", {"network": train}, seconds=0.1) for number in range(COUNT))]


def test_two_processes_with_one_plan_run_each_stage_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "home"), str(tmp_path / "log")]
    racers = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [racer.wait() for racer in racers] == [0, 0]
    counts = Counter(runs(tmp_path / "log"))
    assert set(counts) == {stage.config.tag for stage in plan(tmp_path / "log")}
    assert set(counts.values()) == {1}
    store = Store(tmp_path / "home")
    assert {key for _, key in store.published()} == {stage.key for stage in plan(tmp_path / "log")}
    assert not list((store.root / "damaged").iterdir())
