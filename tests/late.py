"""Sequences with objects that appear later, as files: the squares of `tests.videos`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets import Sequence
from harness.datasets.pixels import write_frame, write_mask
from tests.videos import Squares


@dataclass(frozen=True)
class LateSquares(Squares):
    """Squares, of which the object i is not there before frame `starts[i - 1]`."""

    objects: int = 2
    starts: tuple[int, ...] = (0, 2)

    @property
    def prompts(self) -> dict[int, tuple[int, ...]]:
        starts = sorted({*self.starts})
        return {start: tuple(i for i in self.object_ids if self.starts[i - 1] == start) for start in starts}

    def drawn(self, index: int) -> NDArray[np.uint8]:
        ids = super().drawn(index)
        late = [i for i in self.object_ids if self.starts[i - 1] > index]
        return np.where(np.isin(ids, late), 0, ids).astype(np.uint8)


def late_sequence(folder: Path, starts: tuple[int, ...] = (0, 2), length: int = 5, name: str = "late") -> Sequence:
    """Write a video of squares with the whole truth; object i appears in frame `starts[i - 1]`."""
    folder.mkdir(parents=True)
    video = LateSquares(length=length, objects=len(starts), starts=starts)
    frames, masks = [], []
    for index in range(length):
        frames.append(folder / f"{5 * index:05d}.png")
        masks.append(folder / f"mask{5 * index:05d}.png")
        write_frame(frames[-1], video.frame(index))
        write_mask(masks[-1], video.mask(index))
    later = starts if any(starts) else ()
    return Sequence(name=name, frames=tuple(frames), masks=tuple(masks), object_ids=video.object_ids, starts=later)
