"""The six integers behind J and F, for all objects of one frame."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.008
"""Of the image diagonal: how far a boundary pixel may lie from the other boundary and still match (DAVIS)."""


def radius(height: int, width: int) -> int:
    """The tolerance in pixels."""
    return math.ceil(TOLERANCE * math.sqrt(height * height + width * width))


def count_object(truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> tuple[int, int, int, int, int, int]:
    """The counts (harness.score.measures.COUNTS) of one object; both masks height × width."""
    disk = _disk(radius(*truth.shape))
    fg: Any = _boundary(prediction)
    gt: Any = _boundary(truth)
    return (
        int(np.count_nonzero(truth & prediction)),
        int(np.count_nonzero(truth | prediction)),
        int(np.count_nonzero(fg)),
        int(np.count_nonzero(gt)),
        int(np.count_nonzero(fg & cv2.dilate(gt, disk))),
        int(np.count_nonzero(gt & cv2.dilate(fg, disk))),
    )


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pixels that differ from their right, lower or lower-right neighbour, the border repeated outwards."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return ((here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])).astype(np.uint8)


@cache
def _disk(size: int) -> Any:
    axis = np.arange(-size, size + 1)
    return (axis[:, None] ** 2 + axis**2 <= size * size).astype(np.uint8)
