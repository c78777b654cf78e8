"""How long a plan of 10,000 cells takes, and how much memory.

    pytest tests/benchmarks/bench_plan.py --benchmark-enable -s

The study is generated: 1,000 variants of DIPNet (ω, crop, and every tenth with a one-shot learning rate of its own) on
two benchmarks of the embedded miniature with five seeds: 10,000 cells, 55,100 stages. CPU seconds are printed, which
depend less on what else the machine does. The aims: the whole command within 5 s and 500 MB; of this, study and plan
3.5 CPU seconds. BENCH_VARIANTS makes it smaller."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.datasets import load_protocols, write_miniature
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.planning.study import load_study
from harness.store.local import Store

VARIANTS = int(os.environ.get("BENCH_VARIANTS", "1000"))
HEAD = """
name: generated
method: dipnet
benchmarks: [davis16-val, davis17-val]
seeds: [0, 1, 2, 3, 4]
variants:
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study, the data, and a home that knows the data."""
    place = tmp_path_factory.mktemp("plan")
    write_miniature(place / "data", 0)
    lines = []
    for number in range(VARIANTS):
        rate = 1e-3 if number % 10 else 1e-3 + 1e-6 * number
        crop = "true" if number % 2 else "false"
        lines.append(f"  v{number}: {{omega: {number / VARIANTS}, crop: {crop}, one_shot.learning_rate: {rate:.6f}}}")
    (place / "study.yaml").write_text(HEAD + "\n".join(lines) + "\n")
    protocols = load_protocols()
    gather([protocols[name] for name in ("davis16-val", "davis17-val")], place / "data", place / "home/facts.sqlite")
    return place


def test_study_and_plan(benchmark, place):
    """Reading the study and planning it, in a process that has imported everything."""
    protocols = load_protocols()
    inputs = gather(
        [protocols[name] for name in ("davis16-val", "davis17-val")], place / "data", place / "home/facts.sqlite"
    )

    def plan():
        begin = time.process_time()
        made = make_plan(load_study(place / "study.yaml", protocols), inputs, Store(place / "home"))
        return made, time.process_time() - begin

    made, cpu = benchmark.pedantic(plan, rounds=1)
    benchmark.extra_info["cpu"] = cpu
    print(f"\n{len(made.cells)} cells, {len(made.items)} stages: {cpu:.2f} CPU seconds for study and plan")
    assert len(made.cells) == 10 * VARIANTS
    assert len(made.items) == 55_100 or VARIANTS != 1000


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_command(benchmark, place, more):
    """The whole command, imports and the look at the data included; megabytes at its peak (Linux)."""
    peak = "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    code = (
        f"import sys\nfrom pathlib import Path\nfrom harness.cli.main import main\nmain(['run', *sys.argv[1:]])\n{peak}"
    )
    options = [place / "study.yaml", "--data", place / "data", "--home", place / "home", "--plan", *more]
    command = [sys.executable, "-c", code, *map(str, options)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = benchmark.pedantic(
        subprocess.run, (command,), {"capture_output": True, "text": True, "check": True}, rounds=1
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    megabytes = int(done.stderr.split()[-1]) // 1024
    benchmark.extra_info |= {"megabytes": megabytes, "cpu": cpu}
    print(f"\nthe whole command: {cpu:.2f} CPU seconds, {megabytes} MB")
