"""The loop that every method segments a video with: the first mask goes in, and each frame's scores come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from vos.geometry import Image
from vos.video import Video


@runtime_checkable
class Segmenter(Protocol):
    """A method with its trained networks, ready for one video at a time.

    What passes is scores, not labels, so that each method merges its objects by its own rule: a pixel belongs to the
    object of the highest score if that is above one half, else to the background. A method that scores the background
    too returns object / (object + background)."""

    def start(self, frame: Image, objects: Bool[np.ndarray, "objects height width"]) -> None:
        """Take the first frame and its masks; forget any earlier video."""

    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return the score of each object at each pixel of the next frame, in 0..1."""


def segment_video(video: Video, segmenter: Segmenter) -> Iterator[Image]:
    """Yield a mask of object ids (height × width) for every frame; the first is the given one without its void."""
    objects = first_objects(video)
    yield label(objects.astype(np.float32), video.object_ids)
    segmenter.start(video.frame(0), objects)
    for index in range(1, len(video)):
        yield label(segmenter.step(video.frame(index)), video.object_ids)


def first_objects(video: Video) -> Bool[np.ndarray, "objects height width"]:
    """Return the first frame's mask of each object."""
    ids = video.mask(0)
    return np.stack([ids == i for i in video.object_ids])


def label(scores: Float[np.ndarray, "objects height width"], object_ids: tuple[int, ...]) -> Image:
    """Return the id of the highest score at each pixel; 0 (background) where none is above one half."""
    best = scores.argmax(0)
    ids = np.asarray(object_ids, np.uint8)[best]
    return np.where(np.take_along_axis(scores, best[None], 0)[0] > 0.5, ids, 0).astype(np.uint8)


def exclusive(scores: Float[np.ndarray, "objects height width"]) -> Bool[np.ndarray, "objects height width"]:
    """Return the mask of each object as `label` decides; no two overlap."""
    numbers = tuple(range(1, len(scores) + 1))
    ids = label(scores, numbers)
    return np.stack([ids == number for number in numbers])


def merged(objects: Bool[np.ndarray, "objects height width"]) -> Bool[np.ndarray, "1 height width"]:
    """Return all objects as one."""
    return np.asarray(objects.any(0), np.bool_)[None]
