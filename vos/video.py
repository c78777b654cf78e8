"""Videos as methods see them, and videos read from a folder of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from harness.datasets import VOID, describe, in_order
from harness.datasets.files import FRAME_ENDINGS, list_files
from harness.datasets.pixels import read_frame, read_mask
from harness.errors import DataError
from vos.geometry import Image


@runtime_checkable
class Video(Protocol):
    """Frames with masks of object ids: a video, or a still image of one frame."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects in the first mask, ascending."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def frame_name(self, index: int, /) -> str:
        """Return the name of a frame's mask file, without its ending."""

    def frame(self, index: int, /) -> Image:
        """Return a frame: RGB, height × width × 3."""

    def mask(self, index: int, /) -> Image:
        """Return the ids of a frame, height × width; raises LookupError where the truth is missing."""


class FolderVideo:
    """The images of a folder, in the order of their numbers, and the mask of the first one."""

    def __init__(self, frames: Path | str, first_mask: Path | str) -> None:
        """Read the names and the first mask; frames are decoded on demand.

        The values of the mask are object ids (0 background, 255 void). A mask of nothing but 0 and 255 is one object.
        Raises DataError if there are no frames, no object in the mask, or their sizes differ."""
        found = list_files(Path(frames), None, FRAME_ENDINGS)
        if not found:
            raise DataError(
                f"{frames}: {describe(Path(frames))} found, a folder of {', '.join(FRAME_ENDINGS)} expected"
            )
        self.names = in_order(found, Path(frames))
        self.files = [found[name] for name in self.names]
        ids = read_mask(Path(first_mask))
        values = {int(value) for value in np.unique(ids)} - {0}
        self._mask = (ids != 0).astype(np.uint8) if values == {VOID} else ids
        self.object_ids = (1,) if values == {VOID} else tuple(sorted(values - {VOID}))
        if not self.object_ids:
            raise DataError(f"{first_mask}: no object found; expected values above 0 where the objects are")
        if (size := self.frame(0).shape[:2]) != ids.shape:
            raise DataError(f"{first_mask}: {ids.shape[1]}×{ids.shape[0]}, but the frames are {size[1]}×{size[0]}")

    def __len__(self) -> int:
        return len(self.files)

    def frame_name(self, index: int) -> str:
        """Return the name of a frame's file, without its ending."""
        return self.names[index]

    def frame(self, index: int) -> Image:
        """Return a frame: RGB, height × width × 3. Raises DataError for a damaged file."""
        return read_frame(self.files[index])

    def mask(self, index: int) -> Image:
        """Return the ids of the first frame; raises LookupError for any other."""
        if index:
            raise LookupError(f"{self.files[index]}: only the first frame has a mask")
        return self._mask
