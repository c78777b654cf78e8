"""A video with its truth, as every layout yields it: paths now, pixels on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.pixels import read_frame, read_mask
from harness.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A video, or a still image (one frame). Memory does not grow with its length: nothing is decoded before asked."""

    name: str
    frames: tuple[Path, ...]
    """Image files in time order."""

    masks: tuple[Path | tuple[Path, ...] | None, ...]
    """Truth, one for each frame, None where there is none; several files where each object has its own (SegTrackV2),
    in the order of the ids 1, 2, …"""

    object_ids: tuple[int, ...]
    """Ids in the first mask, ascending; (1,) where the truth is binary or merged."""

    binary: bool = False
    """Truth is one object, any value above `threshold`; otherwise pixel values are ids and 255 is void."""

    threshold: int = 0
    """Values above it belong to the object: 0 in clean masks (DAVIS16), 127 in JPEG and blurred ones. Where truth is
    binary or has a file an object."""

    merged: bool = False
    """All objects count as one, of id 1 (foreground benchmarks)."""

    scored: tuple[int, ...] = ()
    """Indices of the frames that count in the benchmark."""

    group: str = ""
    """Class of the video, where the benchmark averages over classes (YouTube-Objects)."""

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
        ids = self._ids(index)
        if self.merged:
            return np.where(ids == 255, 255, ids != 0).astype(np.uint8)
        return ids

    def _ids(self, index: int) -> NDArray[np.uint8]:
        paths = self.masks[index]
        if paths is None:
            raise LookupError(f"{self.name}: frame {index} has no truth")
        if isinstance(paths, Path):
            values = read_mask(paths)
            return (values > self.threshold).astype(np.uint8) if self.binary else values
        ids: NDArray[np.uint8] | None = None
        for number, path in enumerate(paths, start=1):
            inside = read_mask(path) > self.threshold
            if ids is None:
                ids = np.zeros(inside.shape, np.uint8)
            elif ids.shape != inside.shape:
                raise DataError(f"{path}: {_size(inside)}, but {paths[0]} is {_size(ids)}; fetch both files again")
            ids[inside] = number
        if ids is None:
            raise LookupError(f"{self.name}: frame {index} has no truth")
        return ids

    def as_foreground(self) -> Sequence:
        """The same video with all its objects merged into one."""
        return replace(self, merged=True, object_ids=(1,))


def _size(image: NDArray) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"
