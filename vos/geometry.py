"""Boxes in images, and square views of frames cut along them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets import VOID

Image = NDArray[np.uint8]


class Box(NamedTuple):
    """A rectangle of pixels; bottom and right are exclusive. It may reach beyond the image."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, image: NDArray[Any]) -> Self:
        """Return the box of a whole image (height × width, or height × width × 3)."""
        return cls(0, 0, image.shape[0], image.shape[1])

    @classmethod
    def around(cls, mask: NDArray[np.bool_]) -> Self | None:
        """Return the tight box of the true pixels, or None if there are none."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return None
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    def grown(self, top: float, left: float, bottom: float, right: float, minimum: int = 16) -> Self:
        """Return the box with margins, given in sides of the box; no side is counted shorter than `minimum` pixels."""
        height, width = max(self.height, minimum), max(self.width, minimum)
        row, column = (self.top + self.bottom) / 2, (self.left + self.right) / 2
        return type(self)(
            round(row - height * (0.5 + top)),
            round(column - width * (0.5 + left)),
            round(row + height * (0.5 + bottom)),
            round(column + width * (0.5 + right)),
        )

    def clipped(self, image: NDArray[Any]) -> Self:
        """Return the part of the box inside an image."""
        height, width = image.shape[:2]
        return type(self)(max(self.top, 0), max(self.left, 0), min(self.bottom, height), min(self.right, width))

    def cut(self, image: Image, side: int, *, labels: bool = False) -> Image:
        """Return the image inside the box, resized to a square; beyond the image its rim repeats (0 in labels).

        Pixels are areas: the centers of the box and of the square coincide, for frames as for labels."""
        height, width = image.shape[:2]
        inside = self.clipped(image)
        part = image[inside.top : inside.bottom, inside.left : inside.right]
        rims = (max(-self.top, 0), max(self.bottom - height, 0), max(-self.left, 0), max(self.right - width, 0))
        if any(rims):
            kind = cv2.BORDER_CONSTANT if labels else cv2.BORDER_REPLICATE
            part = np.asarray(cv2.copyMakeBorder(part, *rims, kind, value=0), np.uint8)
        shrinking = part.shape[0] >= side and part.shape[1] >= side
        # INTER_NEAREST would take the corner of each cell and so move masks against their frames.
        how = cv2.INTER_NEAREST_EXACT if labels else cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, (side, side), interpolation=how), np.uint8)

    def placed(self, maps: NDArray[np.float32], frame: NDArray[Any]) -> NDArray[np.float32]:
        """Return square maps (n × side × side) resized into the box of an otherwise zero frame: n × height × width."""
        result = np.zeros((len(maps), *frame.shape[:2]), np.float32)
        size = self.width, self.height
        for target, values in zip(result, maps, strict=True):
            resized = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
            target[self.top : self.bottom, self.left : self.right] = resized
        return result

    @classmethod
    def around_parts(cls, mask: NDArray[np.bool_], share: float, last: Box) -> Self | None:
        """Return the tight box of the connected parts of a mask that count, or None if there are none.

        Diagonal neighbors are connected. What counts: the largest part, each with at least that share of the true
        pixels, and each with a pixel in the box `last`, which lies inside the image."""
        labels, stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[1:3]
        if len(stats) == 1:
            return None
        areas = stats[1:, cv2.CC_STAT_AREA]
        counts = (areas >= share * areas.sum()) | (areas == areas.max())
        inside = np.bincount(labels[last.top : last.bottom, last.left : last.right].ravel(), minlength=len(stats))
        counts |= inside[1:] > 0
        left, top, width, height = stats[1:][counts, :4].T
        return cls(int(top.min()), int(left.min()), int((top + height).max()), int((left + width).max()))


@dataclass(frozen=True)
class View:
    """One frame (RGB) with a mask of its objects (numbers from 1, 0, or 255 for void), both square and of one size."""

    frame: Image
    mask: Image

    @classmethod
    def cut(cls, frame: Image, mask: Image, box: Box, side: int) -> Self:
        """Return the view of a frame and its mask inside a box."""
        return cls(box.cut(frame, side), box.cut(mask, side, labels=True))

    @property
    def objects(self) -> int:
        """The highest number in the mask; 0 if there is no object."""
        return int(self.mask[self.mask != VOID].max(initial=0))
