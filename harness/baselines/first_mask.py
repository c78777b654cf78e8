"""The trivial baseline: the first mask of each object is copied to every later frame.

An object that appears later covers earlier ones where they overlap."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.config import Config
from harness.datasets import Sequence, write_mask
from harness.datasets.part import parts_of
from harness.method import CellPlan, CellRequest
from harness.stage import Resources, Stage, Task


@dataclass(frozen=True)
class FirstMask:
    """The method that studies call `first-mask`."""

    label: str = "first mask copied"
    config: type[Config] = Config
    """There are no options."""

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan one stage per sequence, and timing on the first one."""
        segment = {
            name: Stage(
                name="segment",
                label=f"copy first mask, {data.name}",
                run="harness.baselines.first_mask:segment",
                config=request.config,
                data={"video": data},
            )
            for name, data in request.sequences.items()
        }
        timed = next(iter(request.sequences.values()))
        timing = Stage(
            name="time",
            label=f"time first mask, {timed.name}",
            run="harness.baselines.first_mask:measure",
            config=request.config,
            data={"video": timed},
            resources=Resources(exclusive=True),
            machine=request.machine,
        )
        return CellPlan(segment=segment, timing=timing)


METHOD = FirstMask()


def segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    video: Sequence = task.data["video"]
    folder = task.folder / "masks"
    folder.mkdir()
    for index, mask in enumerate(_copies(video)):
        write_mask(folder / f"{video.frame_name(index)}.png", mask)


def measure(task: Task) -> None:
    """Write `timing.json`: seconds per frame to copy the mask, without decoding and writing files."""
    video: Sequence = task.data["video"]
    mask = next(_copies(video))
    start = time.perf_counter()
    for _ in range(len(video)):
        mask.copy()
    seconds = (time.perf_counter() - start) / len(video)
    (task.folder / "timing.json").write_text(json.dumps({"seconds_per_frame": seconds, "video": video.name}), "utf-8")


def _copies(video: Sequence) -> Iterator[NDArray[np.uint8]]:
    """Yield the ids of every frame."""
    parts = parts_of(video)
    ids = parts[0].mask(0)
    for index in range(len(video)):
        if index and index in parts:
            later = parts[index].mask(0)
            ids = np.where(later, later, ids)
        yield ids
