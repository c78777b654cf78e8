"""Coarse masks as a segmentation network will meet them: true masks that are disturbed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor

from vos.config import CoarseConfig
from vos.geometry import Box, Image
from vos.samples import known_tensor, masks_tensor


def hinted(masks: Sequence[Image], config: CoarseConfig, size: int, rng: Generator) -> dict[str, Tensor]:
    """Return the `truth` of true masks, where it is `known`, and disturbed coarse masks of it as `hints`."""
    hints = np.stack([coarse_mask(mask, size, config, rng) for mask in masks])[:, None]
    return {"hints": torch.from_numpy(hints), "truth": masks_tensor(masks), "known": known_tensor(masks)}


def coarse_mask(mask: Image, size: int, config: CoarseConfig, rng: Generator) -> Float[np.ndarray, "size size"]:
    """Return the mask dilated or eroded by a kernel of random size and scaled to size × size, in 0..1."""
    solid = disturbed((mask == 1).astype(np.uint8), config, rng)
    coarse = cv2.resize(solid.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    sigma = rng.uniform(0, config.blur) if config.blur else 0.0
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma) if sigma > 0.1 else coarse
    strength = 1 - rng.uniform(0, config.fade) if config.fade else 1.0
    return np.asarray(coarse * np.float32(strength), np.float32)


def disturbed(solid: Image, config: CoarseConfig, rng: Generator) -> Image:
    """Dilate or erode a mask of 0 and 1, shift it, and add an ellipse to it or cut one from it."""
    kernel = int(rng.integers(0, config.kernel + 1))
    if kernel > 1:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
        changed = cv2.dilate(solid, ellipse) if rng.random() < 0.5 else cv2.erode(solid, ellipse)
        # An empty coarse mask would teach the network to segment objects it was not asked for.
        solid = np.asarray(changed, np.uint8) if changed.any() else solid
    box = Box.around(solid == 1)
    if box is None:
        return solid
    if config.shift:
        down, right = rng.uniform(-config.shift, config.shift, 2) * (box.height, box.width)
        move = np.array([[1, 0, right], [0, 1, down]], np.float64)
        solid = np.asarray(cv2.warpAffine(solid, move, solid.shape[::-1], flags=cv2.INTER_NEAREST), np.uint8)
    if rng.random() < config.blobs:
        add = rng.random() < 0.5
        rows, columns = solid.shape
        center = (
            (int(rng.integers(columns)), int(rng.integers(rows)))
            if add
            else (int(rng.integers(box.left, box.right)), int(rng.integers(box.top, box.bottom)))
        )
        width, height = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4)
        axes = (max(1, int(box.width * width)), max(1, int(box.height * height)))
        blob = cv2.ellipse(np.zeros_like(solid), center, axes, rng.uniform(0, 180), 0, 360, 1, -1)
        solid = np.where(blob == 1, np.uint8(add), solid).astype(np.uint8)
    return solid
