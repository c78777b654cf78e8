"""Objects that appear later: a sequence as parts, each of which is a shorter video with its objects from the start.

A method gets the mask of an object in the frame that shows it first. The objects that start in one frame are a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.datasets.sequence import Sequence


@dataclass(frozen=True, kw_only=True)
class Part:
    """A sequence from a frame on, with only the objects that start there; whatever else its masks show is background.

    Frames are counted from its own first one."""

    whole: Sequence
    start: int
    """Index of its first frame in the whole sequence; objects start there."""

    @property
    def name(self) -> str:
        """Name of the sequence, and where the part starts if that is later: `dogs`, `dogs-from-00030`."""
        return part_name(self.whole.name, self.whole, self.start)

    @property
    def frames(self) -> tuple[Path, ...]:
        """Image files in time order."""
        return self.whole.frames[self.start :]

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of its objects, ascending."""
        return self.whole.prompts[self.start]

    @property
    def prompts(self) -> dict[int, tuple[int, ...]]:
        """All of its objects start in its first frame."""
        return {0: self.object_ids}

    def __len__(self) -> int:
        return len(self.frames)

    def frame_name(self, index: int) -> str:
        """Return the frame's file name without its ending, such as `00012`."""
        return self.whole.frame_name(self.start + index)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return RGB, height × width × 3, 0..255. Raises DataError naming the file."""
        return self.whole.frame(self.start + index)

    def files_of_mask(self, index: int) -> tuple[Path, ...]:
        """Return the files that hold the ground truth of one frame."""
        return self.whole.files_of_mask(self.start + index)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Return ids, height × width: its objects' only. Raises DataError, LookupError without truth."""
        ids = self.whole.mask(self.start + index)
        return np.where(np.isin(ids, self.object_ids), ids, 0).astype(np.uint8)


def parts_of(video: Sequence | Part) -> dict[int, Part]:
    """Return index of a frame → the part that starts there, in time order; the first is 0. A part is its own part."""
    return {0: video} if isinstance(video, Part) else {start: Part(whole=video, start=start) for start in video.prompts}


def given_masks(video: Sequence | Part) -> dict[int, NDArray[np.uint8]]:
    """Return all that a method may know of the truth: index of a frame → ids of the objects that start there.

    Void pixels and other objects are background."""
    return {start: part.mask(0) for start, part in parts_of(video).items()}


def part_name(name: str, video: Any, start: int) -> str:
    """Return how the part of a video from a frame on is called, by the name of the whole."""
    return f"{name}-from-{video.frame_name(start)}" if start else name


def prompts_of(video: Any) -> Mapping[int, tuple[int, ...]]:
    """Return index of a frame → ids of the objects that start there, as `Sequence.prompts`, for any video of `vos`.

    All objects of a video that does not say start in its first frame."""
    found: Mapping[int, tuple[int, ...]] = getattr(video, "prompts", None) or {0: video.object_ids}
    return found


def timed_video(videos: Mapping[str, Any]) -> str:
    """Return the name of the video on which methods are timed: that of median length.

    Videos with objects that appear later count only if there are no others; then their first parts are timed."""
    plain = {name: video for name, video in videos.items() if len(prompts_of(video)) == 1} or videos
    return sorted(plain, key=lambda name: (len(plain[name]), name))[len(plain) // 2]
