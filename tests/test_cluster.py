"""What is asked of a cluster before anything runs on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import ResourceError
from harness.execution.cluster import Cluster, Node, check_nodes, joined_ray, probe_node
from harness.stage import Resources
from harness.store import Store, StoreAddress
from tests.engine import toy


def node(name: str, cpus: float, gpus: float = 0.0, memory: float = 8e9) -> Node:
    return Node(id=name, address=name, cpus=cpus, gpus=gpus, memory=memory)


def test_a_stage_that_no_single_node_can_run_is_an_error(tmp_path: Path) -> None:
    big = toy(tmp_path / "log", "big", resources=Resources(gpus=2))
    with pytest.raises(ResourceError, match="toy big asks for 2 GPUs, and the largest of 2 nodes has 1"):
        check_nodes([big], (node("a", 4, gpus=1), node("b", 4, gpus=1)))


def test_gpus_and_memory_must_be_on_one_node(tmp_path: Path) -> None:
    both = toy(tmp_path / "log", "both", resources=Resources(gpus=0.5, memory=16e9))
    separate = (node("gpu", 4, gpus=1), node("memory", 4, memory=64e9))
    with pytest.raises(ResourceError, match="16 GB"):
        check_nodes([both], separate)
    check_nodes([both], (*separate, node("both", 1, gpus=1, memory=32e9)))


def test_exclusive_stages_go_to_the_node_with_most_gpus_then_cores() -> None:
    nodes = node("a", 64), node("b", 8, gpus=1), node("c", 16, gpus=1)
    cluster = Cluster(nodes=nodes, storage=Path("unused"))
    assert cluster.largest.id == "c"
    assert (cluster.cpus, cluster.gpus) == (88, 2)


def test_a_stage_gets_no_more_cores_than_a_node_with_its_gpus_has() -> None:
    cluster = Cluster(nodes=(node("big", 64), node("gpu", 2, gpus=1)), storage=Path("unused"))
    assert cluster.cores_for(Resources()) == 64
    assert cluster.cores_for(Resources(gpus=0.5)) == 2


def test_a_node_that_does_not_see_the_store_is_reported(tmp_path: Path) -> None:
    found, _ = probe_node(StoreAddress(home=tmp_path / "elsewhere"), "probe", False)
    assert "does not see" in found
    assert "--home" in found


def test_locks_that_do_not_hold_on_a_node_are_reported(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock("probe"):
        assert probe_node(store.address, "probe", False)[0] == ""
    assert "locks" in probe_node(store.address, "probe", False)[0]  # as where the driver's lock is not seen


def test_ray_s_client_addresses_are_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    with (
        pytest.raises(ResourceError, match="on a node of the cluster"),
        joined_ray("ray://somewhere:10001", Store(tmp_path)),
    ):
        os.abort()  # never reached
