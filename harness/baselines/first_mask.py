"""The smallest method there is: the first mask, copied to every frame. What no method at all gets."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.config import Config
from harness.datasets.pixels import write_mask
from harness.method import CellPlan, CellRequest
from harness.stage import Resources, Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.datasets import Sequence
    from harness.stage import Task

VOID = 255


class FirstMaskConfig(Config):
    """Nothing to choose."""


@dataclass(frozen=True)
class FirstMask:
    """The method that studies call `first-mask`."""

    label: str = "first mask copied"
    config: type[FirstMaskConfig] = FirstMaskConfig

    def plan(self, request: CellRequest) -> CellPlan:
        """One stage a sequence; timed on the first one."""
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
    """Writes `masks/<frame>.png` for every frame."""
    video: Sequence = task.data["video"]
    mask = _first(video)
    folder = task.folder / "masks"
    folder.mkdir()
    for index in range(len(video)):
        write_mask(folder / f"{video.frame_name(index)}.png", mask)


def measure(task: Task) -> None:
    """Writes `timing.json`: seconds per frame of copying the mask, decoding and writing of files aside."""
    video: Sequence = task.data["video"]
    mask = _first(video)
    begin = time.perf_counter()
    for _ in range(len(video)):
        mask.copy()
    seconds = (time.perf_counter() - begin) / len(video)
    (task.folder / "timing.json").write_text(json.dumps({"seconds_per_frame": seconds, "video": video.name}))


def _first(video: Sequence) -> NDArray[np.uint8]:
    """Ids of the first frame; where the truth leaves pixels void, background."""
    mask = video.mask(0)
    return np.where(mask == VOID, 0, mask).astype(np.uint8)
