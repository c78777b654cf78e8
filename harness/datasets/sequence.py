"""A video with its ground truth, as every layout yields it: paths now, pixels on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.datasets.files import frame_name
from harness.datasets.palette import VOID
from harness.datasets.pixels import read_frame, read_mask
from harness.errors import DataError

Values = Literal["ids", "binary", "foreground"]
"""Meaning of mask values. `ids`: object ids, 255 void in the truth. `binary`: any value but 0 is object 1
(DAVIS16: 1-bit, 0/1, 0/255, a palette). `foreground`: all objects count as one, of id 1; 255 is void in the truth."""


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A video, or a still image (one frame). Nothing is decoded before it is asked for, and nothing is kept."""

    name: str
    frames: tuple[Path, ...]
    """Image files in time order."""

    masks: tuple[Path | tuple[Path | None, ...] | None, ...]
    """Ground truth of each frame: None if there is none; several files, in the order of the ids 1, 2, …, if each
    object has its own (SegTrack v2), None for an object that is not in sight."""

    object_ids: tuple[int, ...]
    """Ids of the objects, ascending; (1,) if the truth is binary or merged."""

    starts: tuple[int, ...] = ()
    """Index of the frame whose mask is the first to show each object, in the order of `object_ids`; empty if that is
    the first frame for all of them. The first frame always shows one."""

    categories: tuple[str, ...] = ()
    """Class of each object, in the order of `object_ids`, if the benchmark averages over classes of objects (`seen` and
    `unseen`); else empty."""

    binary: bool = False
    """Whether the truth is one object, any value but 0; otherwise values are ids, and 255 is void."""

    threshold: int = 0
    """Gray level above which a pixel of a JPEG mask belongs to the object; 0 if no mask may be a JPEG."""

    merged: bool = False
    """Whether all objects count as one with id 1 (foreground benchmarks)."""

    scored: tuple[int, ...] = ()
    """Indices of the frames that the benchmark scores."""

    group: str = ""
    """Class of the video, if the benchmark averages over classes (YouTube-Objects)."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def values(self) -> Values:
        """What the values of the truth mean."""
        return "binary" if self.binary else "foreground" if self.merged else "ids"

    @property
    def prompts(self) -> dict[int, tuple[int, ...]]:
        """Index of a frame → ids of the objects that start there, in time order; the first index is 0."""
        found: dict[int, tuple[int, ...]] = {}
        for start, one in sorted(zip(self.starts or (0,) * len(self.object_ids), self.object_ids, strict=True)):
            found[start] = (*found.get(start, ()), one)
        return found

    def frame_name(self, index: int) -> str:
        """Return the frame's file name without its ending, such as `00012`."""
        return frame_name(self.frames[index])

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return RGB, height × width × 3, 0..255. Raises DataError naming the file."""
        return read_frame(self.frames[index])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Return ids, height × width; 0 is background, 255 void. Raises DataError, LookupError without truth."""
        paths = self.masks[index]
        if not paths:
            raise LookupError(f"{self.name}: frame {index} has no ground truth")
        if isinstance(paths, Path):
            ids = self._read(paths)
            if self.binary:
                ids = (ids != 0).astype(np.uint8)
        else:
            given = [(number, path) for number, path in enumerate(paths, start=1) if path is not None]
            layers = [self._read(path) != 0 for _, path in given]
            ids = np.zeros(layers[0].shape, np.uint8)
            for (number, path), layer in zip(given, layers, strict=True):
                if layer.shape != ids.shape:
                    raise DataError(
                        f"{path}: {_size(layer)}, but {given[0][1]} is {_size(ids)}; download both files again"
                    )
                ids[layer] = number
        return np.where(ids == VOID, VOID, ids != 0).astype(np.uint8) if self.merged else ids

    def _read(self, path: Path) -> NDArray[np.uint8]:
        return read_mask(path, self.threshold or None)

    def files_of_mask(self, index: int) -> tuple[Path, ...]:
        """Return the files that hold the ground truth of one frame."""
        mask = self.masks[index]
        return (mask,) if isinstance(mask, Path) else tuple(path for path in mask or () if path is not None)

    @property
    def mask_files(self) -> list[Path]:
        """All files of the ground truth, in time order."""
        return [path for index in range(len(self.masks)) for path in self.files_of_mask(index)]


def _size(image: NDArray[np.generic]) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"
