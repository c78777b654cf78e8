"""Training samples (section 3.4): frames and masks drawn from videos or stills, varied, and made into tensors.

Everything is drawn from the generator that is handed in, so that a step's batch depends on its seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from dipnet.config import AugmentationConfig, CoarseConfig, TrainingConfig
from dipnet.paste import paste
from dipnet.view import Box, Image, View, bounding_box, clip, grow, resample, whole

VOID = 255
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_LEVELS = np.arange(256, dtype=np.float32)[None, :, None]
_NORMALISED = (_LEVELS / 255 - MEAN) / DEVIATION
"""1 × 256 × 3: what a value of a channel becomes. Looking it up takes a tenth of the time of computing it."""

_NO_OBJECT = "no object in a hundred frames that were drawn: is this the right training data?"


@runtime_checkable
class Video(Protocol):
    """What a sample is drawn from: a video, or a still image of one frame."""

    @property
    def object_ids(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...
    def frame(self, index: int, /) -> Image: ...
    def mask(self, index: int, /) -> Image: ...


def frames_tensor(frames: Sequence[Image]) -> Float[Tensor, "n 3 h w"]:
    """RGB images of one size, normalised as ImageNet's; channels last in memory, as the networks take them."""
    return torch.from_numpy(np.stack([cv2.LUT(frame, _NORMALISED) for frame in frames])).permute(0, 3, 1, 2)


def images_of(frames: Float[Tensor, "n 3 h w"]) -> NDArray[np.uint8]:
    """What `frames_tensor` was given: n × height × width × 3."""
    images = frames.float().cpu().numpy().transpose(0, 2, 3, 1) * DEVIATION + MEAN
    return np.asarray((255 * images).round().clip(0, 255), np.uint8)


def masks_tensor(masks: Sequence[Image]) -> Float[Tensor, "n 1 h w"]:
    """1 where a mask is 1, else 0 (void too)."""
    return torch.from_numpy((np.stack(masks) == 1).astype(np.float32)[:, None])


def known_tensor(masks: Sequence[Image]) -> Float[Tensor, "n 1 h w"]:
    """0 where the truth is void, else 1."""
    return torch.from_numpy((np.stack(masks) != VOID).astype(np.float32)[:, None])


def one_object(ids: Image, chosen: tuple[int, ...]) -> Image:
    """Ids → 1 where one of the chosen, 0 elsewhere, void kept."""
    return np.where(ids == VOID, VOID, np.isin(ids, chosen)).astype(np.uint8)


def choose_object(ids: Image, foreground: float, rng: Generator) -> tuple[int, ...]:
    """The id of an object that is visible, or, with that probability, of all of them; () if none is."""
    visible = tuple(int(i) for i in np.unique(ids) if i not in (0, VOID))
    if len(visible) > 1 and rng.random() < foreground:
        return visible
    return (int(rng.choice(visible)),) if visible else ()


def crop_box(mask: Image, config: AugmentationConfig, rng: Generator) -> Box:
    """The whole image, or, with the probability of the config, a box around the object with random margins."""
    box = bounding_box(mask == 1)
    if box is None or rng.random() >= config.crop:
        return whole(mask)
    low, high = config.crop_margin
    margins = rng.uniform(low, high, 4)
    return clip(grow(box, (margins[0], margins[1], margins[2], margins[3])), mask.shape)


def vary(views: Sequence[View], config: AugmentationConfig, rng: Generator) -> list[View]:
    """One flip, one affine map and one change of colour, the same for all the views."""
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
    """Frame and mask turned by degrees, zoomed and shifted (in sides) about the centre; rims are mirrored."""
    side = frame.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), angle, zoom)
    matrix[:, 2] += shift * side
    mirrored = cv2.BORDER_REFLECT_101
    turned = cv2.warpAffine(frame, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=mirrored)
    labels = cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_NEAREST, borderMode=mirrored)
    return np.asarray(turned, np.uint8), np.asarray(labels, np.uint8)


def pair_sample(videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator) -> tuple[View, View]:
    """Reference and target for the propagation network, with one object's masks.

    Of a video: two of ten consecutive frames. Of a still: the image, and itself shifted and rotated."""
    views = _pair(videos, config, side, rng)
    if _pasting(config, rng):
        views = paste(views, _pair(videos, config, side, rng), rng)
    reference, target = vary(views, config.augmentation, rng)
    return reference, target


def still_sample(videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator) -> View:
    """A frame with one object's mask, for the segmentation network."""
    views = [_still(videos, config, side, rng)]
    if _pasting(config, rng):
        views = paste(views, [_still(videos, config, side, rng)], rng)
    return vary(views, config.augmentation, rng)[0]


def view_of(frame: Image, mask: Image, config: AugmentationConfig, side: int, rng: Generator) -> View:
    """One variation of a frame and its mask at the network's size."""
    return vary([_cut(frame, mask, config, side, rng)], config, rng)[0]


def _pasting(config: TrainingConfig, rng: Generator) -> bool:
    share = config.augmentation.paste
    return share > 0 and bool(rng.random() < share)


def _pair(videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator) -> list[View]:
    for _ in range(100):
        video = videos[int(rng.integers(len(videos)))]
        first, second = _pair_indices(len(video), config.pair_window, rng)
        ids = video.mask(first)
        chosen = choose_object(ids, config.foreground, rng)
        if chosen:
            break
    else:
        raise ValueError(_NO_OBJECT)
    reference = one_object(ids, chosen)
    target = reference if first == second else one_object(video.mask(second), chosen)
    # A crop around the reference alone would lose an object that moves fast.
    box = crop_box(np.where(target == 1, target, reference), config.augmentation, rng)
    views = [View(resample(video.frame(first), box, side), resample(reference, box, side, labels=True))]
    if first == second:
        turn = rng.uniform(-config.pair_rotation, config.pair_rotation)
        shift = rng.uniform(-config.pair_shift, config.pair_shift, 2)
        return [*views, View(*warp(views[0].frame, views[0].mask, turn, 1.0, shift))]
    return [*views, View(resample(video.frame(second), box, side), resample(target, box, side, labels=True))]


def _still(videos: Sequence[Video], config: TrainingConfig, side: int, rng: Generator) -> View:
    for _ in range(100):
        video = videos[int(rng.integers(len(videos)))]
        index = int(rng.integers(len(video)))
        ids = video.mask(index)
        chosen = choose_object(ids, config.foreground, rng)
        if chosen:
            return _cut(video.frame(index), one_object(ids, chosen), config.augmentation, side, rng)
    raise ValueError(_NO_OBJECT)


def _cut(frame: Image, mask: Image, config: AugmentationConfig, side: int, rng: Generator) -> View:
    box = crop_box(mask, config, rng)
    return View(resample(frame, box, side), resample(mask, box, side, labels=True))


def coarse_mask(mask: Image, size: int, config: CoarseConfig, rng: Generator) -> NDArray[np.float32]:
    """The mask dilated or eroded by a kernel of random size and scaled to size × size, in 0..1 (section 3.4)."""
    solid = (mask == 1).astype(np.uint8)
    kernel = int(rng.integers(0, config.kernel + 1))
    if kernel > 1:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
        changed = cv2.dilate(solid, ellipse) if rng.random() < 0.5 else cv2.erode(solid, ellipse)
        # An erosion that leaves nothing would teach the network to find an object it is told nothing of.
        solid = np.asarray(changed, np.uint8) if changed.any() else solid
    solid = _disturb(solid, config, rng)
    coarse = cv2.resize(solid.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    sigma = rng.uniform(0, config.blur) if config.blur else 0.0
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma) if sigma > 0.1 else coarse
    strength = 1 - rng.uniform(0, config.fade) if config.fade else 1.0
    return np.asarray(coarse * np.float32(strength), np.float32)


def _disturb(solid: Image, config: CoarseConfig, rng: Generator) -> Image:
    box = bounding_box(solid == 1)
    if box is None:
        return solid
    height, width = box[2] - box[0], box[3] - box[1]
    if config.shift:
        down, right = rng.uniform(-config.shift, config.shift, 2) * (height, width)
        move = np.array([[1, 0, right], [0, 1, down]], np.float64)
        solid = np.asarray(cv2.warpAffine(solid, move, solid.shape[::-1], flags=cv2.INTER_NEAREST), np.uint8)
    if rng.random() < config.blobs:
        add = rng.random() < 0.5
        rows, columns = solid.shape
        centre = (
            (int(rng.integers(columns)), int(rng.integers(rows)))
            if add
            else (int(rng.integers(box[1], box[3])), int(rng.integers(box[0], box[2])))
        )
        axes = (max(1, int(width * rng.uniform(0.1, 0.4))), max(1, int(height * rng.uniform(0.1, 0.4))))
        blob = cv2.ellipse(np.zeros_like(solid), centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
        solid = np.where(blob == 1, np.uint8(add), solid).astype(np.uint8)
    return solid


def _pair_indices(length: int, window: int, rng: Generator) -> tuple[int, int]:
    if length == 1:
        return 0, 0
    start = int(rng.integers(max(length - window, 0) + 1))
    first, second = rng.choice(min(window, length), 2, replace=False)
    return start + int(first), start + int(second)
