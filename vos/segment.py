"""The loop that every method segments a video with: given masks go in, and each frame's scores come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float

from harness.datasets.part import prompts_of
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


def segment_video(
    video: Video, segmenter: Segmenter, later: Callable[[int], Segmenter] | None = None
) -> Iterator[Image]:
    """Yield a mask of object ids (height × width) for every frame; the first is the given one without its void.

    Objects that start in a later frame (`prompts_of`) have a segmenter of their own from there on: `later` makes it,
    from the index of that frame. A pixel belongs to the object with the highest score; in the frame where objects
    start, their given mask comes first. Raises ValueError if objects start later and there is no `later`."""
    prompts = prompts_of(video)
    if len(prompts) > 1 and later is None:
        raise ValueError(f"objects start in the frames {[*prompts]}: give `later`, which makes a segmenter for each")
    running: list[Segmenter] = []
    shown: tuple[int, ...] = ()
    for index in range(len(video)):
        frame = video.frame(index)
        scores = [one.step(frame) for one in running]
        ids = np.zeros(frame.shape[:2], np.uint8)
        if scores:
            ids = label(scores[0] if len(scores) == 1 else np.concatenate(scores), shown)
        if index not in prompts:
            yield ids
            continue
        objects = objects_in(video.mask(index), prompts[index])
        given = label(objects.astype(np.float32), prompts[index])
        yield np.where(given, given, ids)
        running.append(segmenter if later is None or not index else later(index))
        running[-1].start(frame, objects)
        shown += prompts[index]


def first_objects(video: Video) -> Bool[np.ndarray, "objects height width"]:
    """Return the first frame's mask of each object, which all start there: a later part is a video of its own."""
    return objects_in(video.mask(0), video.object_ids)


def objects_in(mask: Image, object_ids: tuple[int, ...]) -> Bool[np.ndarray, "objects height width"]:
    """Return the mask of each of these objects in a mask of ids."""
    return np.stack([mask == one for one in object_ids])


def label(scores: Float[np.ndarray, "objects height width"], object_ids: tuple[int, ...]) -> Image:
    """Return the id of the highest score at each pixel; 0 (background) where none is above one half."""
    ids = np.zeros(scores.shape[1:], np.uint8)
    scores = np.asarray(scores, np.float32)
    best = np.full(scores.shape[1:], 0.5, np.float32)
    for number, score in zip(object_ids, scores, strict=True):  # a tenth of the time of argmax over few objects
        here = np.asarray(cv2.compare(score, best, cv2.CMP_GT), np.uint8)  # 255 where it is true
        ids = (ids & ~here) | (np.uint8(number) & here)
        np.maximum(best, score, out=best)
    return ids


def exclusive(scores: Float[np.ndarray, "objects height width"]) -> Bool[np.ndarray, "objects height width"]:
    """Return the mask of each object as `label` decides; no two overlap."""
    numbers = tuple(range(1, len(scores) + 1))
    return objects_in(label(scores, numbers), numbers)


def merged(objects: Bool[np.ndarray, "objects height width"]) -> Bool[np.ndarray, "1 height width"]:
    """Return all objects as one."""
    return np.asarray(objects.any(0), np.bool_)[None]
