"""Square views of frames with the mask of one object in them, and the boxes that they are cut along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two exclusive. May reach over the image's rim."""


@dataclass(frozen=True)
class View:
    """One frame with the mask of one object in it, both square and of the network's size."""

    frame: Image
    """side × side × 3."""

    mask: Image
    """side × side: 0, 1, or 255 for void."""


def resample(image: Image, box: Box, side: int, *, labels: bool = False) -> Image:
    """The part of an image inside `box`, resized to a square; outside the image the rim is repeated (0 in labels)."""
    top, left, bottom, right = box
    height, width = image.shape[:2]
    part = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    rims = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(rims):
        kind = cv2.BORDER_CONSTANT if labels else cv2.BORDER_REPLICATE
        part = np.asarray(cv2.copyMakeBorder(part, *rims, kind, value=0), np.uint8)
    shrinking = part.shape[0] >= side and part.shape[1] >= side
    how = cv2.INTER_NEAREST if labels else cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (side, side), interpolation=how), np.uint8)


def whole(image: Image) -> Box:
    """The box of all of an image."""
    return 0, 0, image.shape[0], image.shape[1]


def bounding_box(mask: NDArray[np.bool_]) -> Box | None:
    """The tight box of what is true; None if nothing is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def grow(box: Box, margins: tuple[float, float, float, float], least: int = 16) -> Box:
    """A box with margins at top, left, bottom, right, in its own sides; no side shorter than `least` pixels."""
    top, left, bottom, right = box
    height, width = max(bottom - top, least), max(right - left, least)
    middle, centre = (top + bottom) / 2, (left + right) / 2
    return (
        round(middle - height * (0.5 + margins[0])),
        round(centre - width * (0.5 + margins[1])),
        round(middle + height * (0.5 + margins[2])),
        round(centre + width * (0.5 + margins[3])),
    )


def clip(box: Box, shape: tuple[int, ...]) -> Box:
    """The part of a box that lies in an image of that shape."""
    return max(box[0], 0), max(box[1], 0), min(box[2], shape[0]), min(box[3], shape[1])
