"""Stages on Ray's GPUs, which are numbers here: shares packed, returned, and seen by the stages that asked for them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.config import Config
from harness.execution.cluster import local_ray
from harness.execution.tune import run_stages
from harness.stage import Resources, Stage
from harness.store.local import Store

if TYPE_CHECKING:
    from harness.stage import Task

CPUS, GPUS, HALVES = 8, 2, 4
PATIENCE = 300.0
"""Seconds in which the halves must meet: workers start slowly on a busy machine."""


class PlacedConfig(Config):
    tag: str
    meeting: str = ""
    """Folder in which the stage waits for the other halves; empty: it waits for none."""


def placed(tag: str, resources: Resources, meeting: str = "") -> Stage:
    """Return a stage that writes where and when it ran."""
    config = PlacedConfig(tag=tag, meeting=meeting)
    return Stage(
        name="placed", label=tag, run="tests.test_schedule_gpus:run_placed", config=config, resources=resources
    )


def run_placed(task: Task) -> None:
    begun = time.time()
    if task.config.meeting:
        meeting = Path(task.config.meeting)
        (meeting / task.config.tag).touch()
        while len(list(meeting.iterdir())) < HALVES:
            if time.time() - begun > PATIENCE:
                raise TimeoutError(f"{len(list(meeting.iterdir()))} of {HALVES} stages run at once")
            time.sleep(0.05)
    found: dict[str, object] = {
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "device": task.device,
        "cpus": task.cpus,
    }
    found["process"] = os.getpid()
    (task.folder / "placed.json").write_text(json.dumps(found | {"begun": begun, "ended": time.time()}))


@dataclass(frozen=True)
class Placed:
    """Devices, cores, process and times of a stage that ran."""

    visible: str
    device: str
    cpus: int
    process: int
    begun: float
    ended: float


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Placed]:
    """One run of stages that ask for half a GPU and wait for each other, for both GPUs, and for none."""
    store, meeting = Store(tmp_path_factory.mktemp("gpus") / "home"), tmp_path_factory.mktemp("meeting")
    stages = [placed(f"half{number}", Resources(gpus=0.5, cpus=2), str(meeting)) for number in range(HALVES)]
    stages += [placed("both", Resources(gpus=2)), placed("none", Resources())]
    with local_ray(cpus=CPUS, gpus=GPUS) as cluster:
        queue = run_stages(stages, store, cpus=CPUS, cluster=cluster)
    assert not queue.failed
    folders = {stage.label: store.folder("placed", stage.key) for stage in stages}
    return {label: Placed(**json.loads((folder / "placed.json").read_text())) for label, folder in folders.items()}


def test_halves_of_gpus_run_at_once_and_two_share_each(found: dict[str, Placed]) -> None:
    halves = sorted(one.visible for label, one in found.items() if label.startswith("half"))
    assert halves == ["0", "0", "1", "1"]


def test_a_stage_that_ends_returns_its_share(found: dict[str, Placed]) -> None:
    both = found["both"]
    halves = [one for label, one in found.items() if label.startswith("half")]
    assert all(one.ended <= both.begun or both.ended <= one.begun for one in halves)


def test_a_stage_sees_the_gpus_that_it_asked_for(found: dict[str, Placed]) -> None:
    assert sorted(found["both"].visible.split(",")) == ["0", "1"]
    assert {one.device for label, one in found.items() if label != "none"} == {"cuda"}


def test_a_stage_that_asks_for_no_gpu_sees_none(found: dict[str, Placed]) -> None:
    assert (found["none"].visible, found["none"].device) == ("-1", "cpu")


def test_a_stage_on_a_gpu_has_the_cores_it_reserves(found: dict[str, Placed]) -> None:
    assert (found["half0"].cpus, found["both"].cpus) == (2, 1)


def test_each_stage_has_a_process_whose_end_frees_its_gpu_memory(found: dict[str, Placed]) -> None:
    assert len({one.process for one in found.values()}) == len(found)
