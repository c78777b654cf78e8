"""A method of under 60 lines, installed by its entry point, is planned, run, scored, timed, explained and verified."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.engine import ROOT, make_davis16

TEMPLATE = ROOT / "tests" / "template_method.py"
STUDY = """
name: try
method: template
benchmarks: [davis16-val]
variants:
  whole: {}
  half: {speed: 0.5}
"""
PROGRAM = """
import sys
from pathlib import Path
from harness.cli.main import main
from harness.datasets import load_protocols
from harness.results import collect_results, save_plan, save_results
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.store.local import Store
from harness.planning.study import load_study
from harness.execution.worker import make_job, work
place = Path(sys.argv[1])
protocols, store = load_protocols(), Store(place / "home")
study = load_study(place / "try.yaml", protocols)
material = gather([protocols["davis16-val"]], place / "data", place / "facts")
plan = make_plan(study, material, store, machine="a machine")
for stage in plan.missing:
    assert work(make_job(stage, store, 1, "")), store.failure(stage.key)
results = collect_results(plan, store)
save_plan(plan, store, place / "try.yaml", {})
save_results(store.home, "try", results)
assert all(one.filled and one.seconds_per_frame > 0 for one in results)
print("J", *(f"{one.values['J_mean']:.2f}" for one in results))
print("left", len(make_plan(study, material, store, machine="a machine").missing))
main(["explain", "try", "half", "--home", str(store.home)])
main(["store", "verify", "--home", str(store.home)])
"""


def test_the_template_is_short_and_shown_in_the_docs() -> None:
    assert len(TEMPLATE.read_text().splitlines()) < 60
    assert TEMPLATE.read_text() in (ROOT / "docs" / "methods.md").read_text()


def test_it_is_found_run_scored_timed_explained_and_verified(tmp_path: Path) -> None:
    info = tmp_path / "plugin" / "template-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: template\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.methods]\ntemplate = tests.template_method:METHOD\n")
    make_davis16(tmp_path / "data")
    (tmp_path / "try.yaml").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "plugin")])}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "J 1.00 0.82" in done.stdout  # the motion of the training videos is that of the test videos
    assert "left 0" in done.stdout
    assert "speed=0.5" in done.stdout
    assert "train × 1: train template on davis16-train" in done.stdout  # one training for both variants
    assert "9 finished stages checked, 0 damaged" in done.stdout
