"""Videos as methods see them, and videos read from a folder of frames."""

from __future__ import annotations

from collections.abc import Mapping
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
        """Ids of the objects, ascending. They are in the first mask, unless the video has `prompts` (prompts_of)."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def frame_name(self, index: int, /) -> str:
        """Return the name of a frame's mask file, without its ending."""

    def frame(self, index: int, /) -> Image:
        """Return a frame: RGB, height × width × 3."""

    def mask(self, index: int, /) -> Image:
        """Return the ids of a frame, height × width; raises LookupError where the truth is missing."""


class FolderVideo:
    """The images of a folder, in the order of their numbers, and the masks in which objects are seen first."""

    def __init__(
        self, frames: Path | str, first_mask: Path | str, later: Mapping[str, Path | str] | None = None
    ) -> None:
        """Read the names and the masks; frames are decoded on demand.

        The values of a mask are object ids (0 background, 255 void). A first mask of nothing but 0 and 255 is one
        object. `later`: name of a frame, without its ending → mask of the objects that appear there; ids of earlier
        masks are background in it. Raises DataError if there are no frames, no object in a mask, or their sizes
        differ."""
        found = list_files(Path(frames), None, FRAME_ENDINGS)
        if not found:
            raise DataError(
                f"{frames}: {describe(Path(frames))} found, a folder of {', '.join(FRAME_ENDINGS)} expected"
            )
        self.names = in_order(found, Path(frames))
        self.files = [found[name] for name in self.names]
        self.prompts: dict[int, tuple[int, ...]] = {}
        self._masks: dict[int, Image] = {}
        given = {**{self.names[0]: first_mask}, **(later or {})}
        if unknown := sorted(given.keys() - {*self.names}):
            raise DataError(
                f"{given[unknown[0]]}: {frames} has no frame {unknown[0]}; name a frame without its ending, such as "
                f"{self.names[-1]}"
            )
        for name in sorted(given, key=self.names.index):
            self._add(self.names.index(name), Path(given[name]))
        self.object_ids = tuple(sorted(one for ids in self.prompts.values() for one in ids))

    def _add(self, index: int, file: Path) -> None:
        """Take the mask of a frame. Raises DataError if it shows no new object, or has another size than the frame."""
        ids = read_mask(file)
        values = {int(value) for value in np.unique(ids)} - {0}
        if not self.prompts and values == {VOID}:
            ids, values = (ids != 0).astype(np.uint8), {1}
        new = values - {VOID}.union(*self.prompts.values())
        if not new:
            known = " but those of earlier masks" if self.prompts else ""
            raise DataError(f"{file}: no object found{known}; expected values above 0 where the objects are")
        if (size := self.frame(index).shape[:2]) != ids.shape:
            raise DataError(f"{file}: {ids.shape[1]}×{ids.shape[0]}, but the frames are {size[1]}×{size[0]}")
        self.prompts[index] = tuple(sorted(new))
        self._masks[index] = np.where(np.isin(ids, [*new, VOID]), ids, 0).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.files)

    def frame_name(self, index: int) -> str:
        """Return the name of a frame's file, without its ending."""
        return self.names[index]

    def frame(self, index: int) -> Image:
        """Return a frame: RGB, height × width × 3. Raises DataError for a damaged file."""
        return read_frame(self.files[index])

    def mask(self, index: int) -> Image:
        """Return the ids of the objects that appear in a frame; raises LookupError if there is no mask of it."""
        if index not in self._masks:
            raise LookupError(f"{self.files[index]}: only frames in which objects appear have a mask")
        return self._masks[index]
