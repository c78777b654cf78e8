"""What the engine costs: a trivial stage against a trivial trial of plain Ray Tune, and two nodes against one.

    pytest tests/benchmarks/bench_engine.py --benchmark-enable -s

Ratios are printed, and the driver's own CPU seconds, which depend less on what else the machine does. The aims: at most
1.3 times a trial for a stage, at least 1.9 times the work with two nodes. Both nodes are this machine, so that starting
the workers of two takes it twice as long as of one, which two machines would not: rates are printed from then on too.
BENCH_STAGES and BENCH_SLEEPERS make it smaller: ratios then say little, as what happens once weighs more."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.execution.cluster import joined_ray, local_ray
from harness.execution.tune import run_stages
from harness.stage import Resources
from harness.store.local import MANIFEST, Store
from tests.engine import toy

COUNT = int(os.environ.get("BENCH_STAGES", "500"))
SLEEPERS = int(os.environ.get("BENCH_SLEEPERS", "80"))
"""Stages that sleep for a second; two nodes do eight at once."""

CPUS = 2


@pytest.fixture
def ray_up() -> Iterator[None]:
    with local_ray(CPUS, 0):
        yield


def _trivial(config: dict[str, Any]) -> None:
    """Nothing."""


Cost = tuple[float, float]
"""Seconds of wall time, and CPU seconds of the driver, for each of many."""


def _plain_tune(folder: Path, count: int) -> Cost:
    from ray import tune

    begin = time.perf_counter(), time.process_time()
    tune.Tuner(
        tune.with_resources(_trivial, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(count)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    return _each(begin, count)


def _stages(folder: Path, count: int) -> Cost:
    folder.mkdir(exist_ok=True)
    store = Store(folder / "home")
    stages = [toy(folder / "log.txt", f"t{number}") for number in range(count)]
    begin = time.perf_counter(), time.process_time()
    queue = run_stages(stages, store, cpus=CPUS)
    assert len(queue.done) == count
    return _each(begin, count)


def _each(begin: Cost, count: int) -> Cost:
    return (time.perf_counter() - begin[0]) / count, (time.process_time() - begin[1]) / count


def test_a_trivial_stage_against_a_trivial_trial(benchmark: Any, ray_up: None, tmp_path: Path) -> None:
    _plain_tune(tmp_path / "warm", min(COUNT, 10))
    _stages(tmp_path / "warm-too", min(COUNT, 10))
    trial, trial_cpu = _plain_tune(tmp_path / "tune", COUNT)
    stage, stage_cpu = benchmark.pedantic(lambda: _stages(tmp_path, COUNT), rounds=1)
    benchmark.extra_info |= {"stage": stage, "trial": trial, "ratio": stage / trial}
    benchmark.extra_info |= {"stage_cpu": stage_cpu, "trial_cpu": trial_cpu}
    print(f"\n{COUNT} each: {stage:.4f} s a stage, {trial:.4f} s a trial, ratio {stage / trial:.2f}")
    print(f"of this, CPU seconds of the driver: {stage_cpu:.4f} a stage, {trial_cpu:.4f} a trial")


Sleep = tuple[float, float]
"""Seconds for all, and stages a second from when every slot has finished its first one."""


def _sleeping(address: str, folder: Path, count: int) -> Sleep:
    """So many stages that sleep for a second each."""
    store = Store(folder / "home")
    stages = [toy(folder / "log.txt", f"t{number}", seconds=1.0, resources=Resources()) for number in range(count)]
    with joined_ray(address, store) as cluster:
        warm = [toy(folder / "log.txt", f"w{number}") for number in range(2 * cluster.cpus)]
        run_stages(warm, store, cpus=CPUS, cluster=cluster)
        begin = time.perf_counter()
        queue = run_stages(stages, store, cpus=CPUS, cluster=cluster)
        seconds = time.perf_counter() - begin
        ends = sorted((store.folder(one.name, one.key) / MANIFEST).stat().st_mtime for one in stages)
    assert len(queue.done) == count
    first, rest = ends[cluster.cpus - 1], len(ends) - cluster.cpus
    return seconds, rest / (ends[-1] - first)


def test_two_nodes_against_one(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    temp = Path(f"/tmp/vos-bench-{os.getpid()}")
    (temp / "ray").mkdir(parents=True)
    monkeypatch.setenv("RAY_TMPDIR", str(temp))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    nodes = {"num_cpus": 4, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**nodes, "include_dashboard": False})
    try:
        one, one_rate = _sleeping(cluster.address, tmp_path / "one", SLEEPERS)
        cluster.add_node(**nodes)
        two, two_rate = benchmark.pedantic(lambda: _sleeping(cluster.address, tmp_path / "two", SLEEPERS), rounds=1)
    finally:
        cluster.shutdown()
        shutil.rmtree(temp, ignore_errors=True)
    benchmark.extra_info |= {"one": one, "two": two, "ratio": one / two, "rates": two_rate / one_rate}
    print(f"\n{SLEEPERS} stages that sleep 1 s: {one:.1f} s on one node, {two:.1f} s on two, ratio {one / two:.2f}")
    rates = f"{one_rate:.2f} on one, {two_rate:.2f} on two, ratio {two_rate / one_rate:.2f}"
    print(f"stages a second, once workers are up: {rates}")
