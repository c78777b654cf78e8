"""Small videos in memory, for tests of the method: bright squares that wander over noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Squares:
    """`objects` squares, each of its own color; the first one is missing from frame `gone` on."""

    length: int = 6
    objects: int = 1
    gone: int | None = None
    void: bool = False
    seed: int = 0

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(range(1, self.objects + 1))

    def __len__(self) -> int:
        return self.length

    def frame_name(self, index: int) -> str:
        return f"{index:05d}"

    def mask(self, index: int) -> NDArray[np.uint8]:
        return self.drawn(index)

    def drawn(self, index: int) -> NDArray[np.uint8]:
        ids = np.zeros((60, 80), np.uint8)
        for i in self.object_ids:
            if i == 1 and self.gone is not None and index >= self.gone:
                continue
            top, left = 6 + 24 * (i - 1) + index, 10 + 3 * index
            ids[top : top + 18, left : left + 20] = i
            if self.void:
                ids[top, left : left + 20] = 255
        return ids

    def frame(self, index: int) -> NDArray[np.uint8]:
        noise = np.random.default_rng([self.seed, index]).integers(0, 80, (60, 80, 3)).astype(np.uint8)
        ids = self.drawn(index)
        for i in self.object_ids:
            noise[ids == i] = np.roll([230, 60, 120], i)
        return noise


def first_frame(video: Squares) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the first frame and the mask of each of its objects, as one-shot fine-tuning takes them."""
    return video.frame(0), np.stack([video.mask(0) == i for i in video.object_ids])
