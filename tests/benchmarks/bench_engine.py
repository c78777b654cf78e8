"""What the engine costs: a trivial stage against a trivial trial of plain Ray Tune, and two nodes against one.

    pytest tests/benchmarks/bench_engine.py --benchmark-enable

Ratios are printed. The aims: at most 1.3 times a trial for a stage, at least 1.9 times the work with two nodes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import joined_ray, local_ray
from harness.schedule import run_stages
from harness.stage import Resources
from harness.store import Store
from tests.engine import toy

COUNT = int(os.environ.get("BENCH_STAGES", "500"))
CPUS = 2


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with local_ray(CPUS, 0):
        yield


def _trivial(config: dict[str, Any]) -> None:
    """Nothing."""


def _plain_tune(folder: Path, count: int) -> float:
    from ray import tune

    begin = time.perf_counter()
    tune.Tuner(
        tune.with_resources(_trivial, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(count)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    return (time.perf_counter() - begin) / count


def _stages(folder: Path, count: int) -> float:
    store = Store(folder / "home")
    stages = [toy(folder / "log.txt", f"t{number}") for number in range(count)]
    begin = time.perf_counter()
    board = run_stages(stages, store, cpus=CPUS)
    assert len(board.done) == count
    return (time.perf_counter() - begin) / count


def test_a_trivial_stage_against_a_trivial_trial(benchmark: Any, ray_up: None, tmp_path: Path) -> None:
    _plain_tune(tmp_path / "warm", 10)
    trial = _plain_tune(tmp_path / "tune", COUNT)
    stage = benchmark.pedantic(lambda: _stages(tmp_path, COUNT), rounds=1)
    benchmark.extra_info |= {"stage": stage, "trial": trial, "ratio": stage / trial}
    print(f"\n{COUNT} each: {stage:.4f} s a stage, {trial:.4f} s a trial, ratio {stage / trial:.2f}")


def _sleeping(address: str, folder: Path, count: int) -> float:
    """Seconds for so many stages that sleep for one."""
    store = Store(folder / "home")
    stages = [toy(folder / "log.txt", f"t{number}", seconds=1.0, resources=Resources()) for number in range(count)]
    with joined_ray(address, store) as cluster:
        warm = [toy(folder / "log.txt", f"w{number}") for number in range(2 * cluster.cpus)]
        run_stages(warm, store, cpus=CPUS, cluster=cluster)
        begin = time.perf_counter()
        board = run_stages(stages, store, cpus=CPUS, cluster=cluster)
        seconds = time.perf_counter() - begin
    assert len(board.done) == count
    return seconds


def test_two_nodes_against_one(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    temp = Path(f"/tmp/vos-bench-{os.getpid()}")
    (temp / "ray").mkdir(parents=True)
    monkeypatch.setenv("RAY_TMPDIR", str(temp))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    nodes = {"num_cpus": 4, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**nodes, "include_dashboard": False})
    try:
        one = _sleeping(cluster.address, tmp_path / "one", 80)
        cluster.add_node(**nodes)
        two = benchmark.pedantic(lambda: _sleeping(cluster.address, tmp_path / "two", 80), rounds=1)
    finally:
        cluster.shutdown()
        shutil.rmtree(temp, ignore_errors=True)
    benchmark.extra_info |= {"one": one, "two": two, "ratio": one / two}
    print(f"\n80 stages that sleep 1 s: {one:.1f} s on one node, {two:.1f} s on two, ratio {one / two:.2f}")
