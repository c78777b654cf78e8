"""Training samples: clips of frames and masks drawn from videos or stills, varied, and made into tensors.

Everything is drawn from the generator passed in, so that a step's batch depends only on its seed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from harness.datasets import VOID
from vos.config import AugmentationConfig, TrainingConfig
from vos.geometry import Box, Image, View
from vos.paste import paste
from vos.video import Video

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_LEVELS = np.arange(256, dtype=np.float32)[None, :, None]
_NORMALIZED = (_LEVELS / 255 - MEAN) / DEVIATION
"""1 × 256 × 3: the normalized value of each level and channel. Looking it up takes a tenth of the time of computing."""

_ATTEMPTS = 100

MINIMUM_PIXELS = 48
"""Fewest pixels that a pasted object leaves of those that a sample is about, in the first view."""

MOST_OBJECTS = 200
"""Most objects of a training image; all of them are the foreground."""


def frames_tensor(frames: Sequence[Image]) -> Float[Tensor, "n 3 h w"]:
    """Return RGB images of one size, normalized as ImageNet's; channels last in memory, as the networks take them."""
    return torch.from_numpy(np.stack([cv2.LUT(frame, _NORMALIZED) for frame in frames])).permute(0, 3, 1, 2)


def images_of(frames: Float[Tensor, "n 3 h w"]) -> NDArray[np.uint8]:
    """Return the images that `frames_tensor` was given: n × height × width × 3."""
    images = frames.float().cpu().numpy().transpose(0, 2, 3, 1) * DEVIATION + MEAN
    return np.asarray((255 * images).round().clip(0, 255), np.uint8)


def masks_tensor(masks: Sequence[Image], objects: int = 1) -> Float[Tensor, "n objects h w"]:
    """Return for each object 1 where a mask has its number (from 1), else 0 (void too)."""
    numbers = np.arange(1, objects + 1, dtype=np.uint8)[:, None, None]
    return torch.from_numpy((np.stack(masks)[:, None] == numbers).astype(np.float32))


def known_tensor(masks: Sequence[Image]) -> Float[Tensor, "n 1 h w"]:
    """Return 0 where the truth is void, else 1."""
    return torch.from_numpy((np.stack(masks) != VOID).astype(np.float32)[:, None])


def area_truth(
    truth: Float[Tensor, "n k h w"], known: Float[Tensor, "n 1 h w"], size: tuple[int, int]
) -> tuple[Float[Tensor, "n k H W"], Float[Tensor, "n 1 H W"]]:
    """Return truth (0 or 1; 0 in void) and knowledge (0 in void) scaled down by area.

    A cell's truth is the share of its known area that the object covers, and its knowledge the share that is known."""
    share = area_mean(known, size)
    return area_mean(truth, size) / share.clamp(min=1e-6), share


def area_mean(maps: Float[Tensor, "n k h w"], size: tuple[int, int]) -> Float[Tensor, "n k H W"]:
    """Return maps scaled down by area."""
    # Without the dimension of channels, which torch would pool with kernels for many channels: five times as fast.
    return functional.adaptive_avg_pool2d(maps.flatten(0, 1), size).unflatten(0, maps.shape[:2])


def clip_sample(
    videos: Sequence[Video],
    config: TrainingConfig,
    side: int,
    rng: Generator,
    *,
    frames: int,
    ordered: bool = False,
    objects: int = 1,
) -> list[View]:
    """Draw a clip of `frames` frames of one video, with the masks of an object that the first of them shows.

    With `objects` above 1, the masks are of so many at most, numbered from 1; a pasted one comes on top.

    Of a video: different frames out of `clip_window` consecutive ones (repeated if it has fewer), in random order or
    in time order. Of a still image: the image, then itself shifted and rotated. One flip, affine map and change of
    color for the whole clip."""
    views = _clip(videos, config, side, rng, frames, ordered, objects)
    share = config.augmentation.paste
    if share > 0 and rng.random() < share:
        pasted = paste(views, _clip(videos, config, side, rng, frames, ordered, 1), rng)
        if objects == 1:
            about = (int(rng.integers(1, 3)),)
            pasted = [View(view.frame, numbered(view.mask, [about])) for view in pasted]
        if object_pixels(pasted[0].mask).sum() >= MINIMUM_PIXELS:
            views = pasted
    return vary(views, config.augmentation, rng)


def shown_clip(
    videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator, *, frames: int, objects: int = 1
) -> list[View]:
    """Draw a clip in time order, as `clip_sample` does, whose first view shows an object.

    Objects that the first view does not show are background in all of them; the others are numbered from 1. Raises
    ValueError if no clip shows any."""
    for _ in range(_ATTEMPTS):
        views = clip_sample(videos, config, side, rng, frames=frames, ordered=True, objects=objects)
        if shown := [(int(i),) for i in np.unique(views[0].mask[object_pixels(views[0].mask)])]:
            return [View(view.frame, numbered(view.mask, shown)) for view in views]
    raise ValueError(
        f"no object covers a pixel of {side}×{side} in {_ATTEMPTS} clips: is this the right training data?"
    )


def view_of(frame: Image, mask: Image, config: AugmentationConfig, side: int, rng: Generator) -> View:
    """Return one variation of a frame and its mask at the network's size."""
    view = View.cut(frame, mask, crop_box(mask == 1, config, rng), side)
    return vary([view], config, rng)[0]


def foreground_view(videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator) -> View:
    """Draw a frame and the mask of all its objects as one, pasted ones included: nothing says which is meant."""
    view = clip_sample(videos, config, side, rng, frames=1, objects=MOST_OBJECTS)[0]
    return View(view.frame, np.where(object_pixels(view.mask), np.uint8(1), view.mask))


def object_pixels(mask: Image) -> NDArray[np.bool_]:
    """Return where any object is; void is none."""
    return (mask != 0) & (mask != VOID)


def numbered(ids: Image, objects: Sequence[tuple[int, ...]]) -> Image:
    """Return the number, from 1, of the object to whose ids a pixel belongs, 0 elsewhere; void stays."""
    numbers = np.zeros(256, np.uint8)
    for number, chosen in enumerate(objects, start=1):
        numbers[list(chosen)] = number
    numbers[VOID] = VOID
    return numbers[ids]


def choose_objects(ids: Image, objects: int, foreground: float, rng: Generator) -> list[tuple[int, ...]]:
    """Return the ids of so many visible objects at most, each by itself, in their order; [] if none is visible.

    One object is, with probability `foreground`, all of them merged."""
    visible = tuple(int(i) for i in np.unique(ids) if i not in (0, VOID))
    if objects == 1 and len(visible) > 1 and rng.random() < foreground:
        return [visible]
    if len(visible) > objects:
        visible = tuple(sorted(int(i) for i in rng.choice(visible, objects, replace=False)))
    return [(i,) for i in visible]


def crop_box(mask: NDArray[np.bool_], config: AugmentationConfig, rng: Generator) -> Box:
    """Return the whole image or, with the config's probability, a box around the object with random margins."""
    box = Box.around(mask)
    if box is None or rng.random() >= config.crop:
        return Box.whole(mask)
    return box.grown(*rng.uniform(*config.crop_margin_range, 4)).clipped(mask)


def vary(views: Sequence[View], config: AugmentationConfig, rng: Generator) -> list[View]:
    """Apply one flip, one affine map and one change of color to all views."""
    flip = rng.random() < config.flip
    angle, zoom = rng.uniform(-config.rotation, config.rotation), rng.uniform(*config.scale)
    shift = rng.uniform(-config.shift, config.shift, 2)
    gain = 1 + rng.uniform(-config.color, config.color) + rng.uniform(-config.color, config.color, 3) / 2
    offset = 128 * rng.uniform(-config.color, config.color)
    changed = np.clip(_LEVELS * gain.astype(np.float32) + np.float32(offset), 0, 255).astype(np.uint8)
    result = []
    for view in views:
        frame, mask = view.frame, view.mask
        if flip:
            frame, mask = np.ascontiguousarray(frame[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        if angle or zoom != 1 or shift.any():
            frame, mask = warp(frame, mask, angle, zoom, shift)
        if config.color:
            frame = np.asarray(cv2.LUT(frame, changed), np.uint8)
        result.append(View(frame, mask))
    return result


def warp(frame: Image, mask: Image, angle: float, zoom: float, shift: NDArray[np.float64]) -> tuple[Image, Image]:
    """Return frame and mask turned by degrees, zoomed and shifted (in sides) about the center; rims are mirrored."""
    side = len(frame)
    matrix = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), angle, zoom), np.float64)
    matrix[:, 2] += shift * side
    mirrored = cv2.BORDER_REFLECT_101
    turned = cv2.warpAffine(frame, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=mirrored)
    labels = cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_NEAREST, borderMode=mirrored)
    return np.asarray(turned, np.uint8), np.asarray(labels, np.uint8)


def _clip(
    videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator, frames: int, ordered: bool, objects: int
) -> list[View]:
    for _ in range(_ATTEMPTS):
        video = videos[int(rng.integers(len(videos)))]
        indices = _indices(len(video), frames, config.clip_window, rng)
        indices = sorted(indices) if ordered else indices
        ids = video.mask(indices[0])
        if chosen := choose_objects(ids, objects, config.foreground, rng):
            break
    else:
        raise ValueError(f"no object in {_ATTEMPTS} frames that were drawn: is this the right training data?")
    distinct = list(dict.fromkeys(indices))
    masks = [numbered(ids if i == indices[0] else video.mask(i), chosen) for i in distinct]
    # A crop around the first frame's mask only would lose an object that moves fast.
    box = crop_box(np.any([object_pixels(mask) for mask in masks], axis=0), config.augmentation, rng)
    cut = {i: View.cut(video.frame(i), mask, box, side) for i, mask in zip(distinct, masks, strict=True)}
    if len(video) > 1:
        return [cut[i] for i in indices]
    views = [cut[0]]
    for _ in range(frames - 1):
        turn = rng.uniform(-config.clip_rotation, config.clip_rotation)
        shift = rng.uniform(-config.clip_shift, config.clip_shift, 2)
        views.append(View(*warp(cut[0].frame, cut[0].mask, turn, 1.0, shift)))
    return views


def _indices(length: int, count: int, window: int, rng: Generator) -> list[int]:
    if count == 1:
        return [int(rng.integers(length))]
    if length == 1:
        return [0] * count
    start, window = int(rng.integers(max(length - window, 0) + 1)), min(window, length)
    return [start + int(i) for i in rng.choice(window, count, replace=count > window)]
