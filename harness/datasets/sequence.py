"""A video with its truth, as every layout yields it: paths now, pixels on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.pixels import read_frame, read_mask


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A video, or a still image (one frame). Memory does not grow with its length: nothing is decoded before asked."""

    name: str
    frames: tuple[Path, ...]
    """Image files in time order."""

    masks: tuple[Path | None, ...]
    """Truth, one for each frame, None where there is none."""

    object_ids: tuple[int, ...]
    """Ids in the first mask, ascending; (1,) where the truth is binary or merged."""

    binary: bool = False
    """Truth is one object, any value but 0 (DAVIS16); otherwise pixel values are ids and 255 is void."""

    merged: bool = False
    """All objects count as one, of id 1 (foreground benchmarks)."""

    scored: tuple[int, ...] = ()
    """Indices of the frames that count in the benchmark."""

    def __len__(self) -> int:
        return len(self.frames)

    def frame_name(self, index: int) -> str:
        """File name without its ending: `00012`."""
        return self.frames[index].stem

    def frame(self, index: int) -> NDArray[np.uint8]:
        """RGB, height × width × 3, 0..255. Raises DataError naming the file."""
        return read_frame(self.frames[index])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Ids, height × width, 0 background, 255 void (kept, for training). Raises DataError naming the file."""
        path = self.masks[index]
        if path is None:
            raise LookupError(f"{self.name}: frame {index} has no truth")
        ids = read_mask(path)
        if self.binary:
            return (ids != 0).astype(np.uint8)
        if self.merged:
            return np.where(ids == 255, 255, (ids != 0).astype(np.uint8)).astype(np.uint8)
        return ids

    def as_foreground(self) -> Sequence:
        """The same video with all its objects merged into one."""
        return replace(self, merged=True, object_ids=(1,))
