"""Objects of other images pasted into training samples, so that networks must read from the hint which one is meant.

Videos of one object each teach them to find striking objects, whatever the hint (DEVIATIONS.md, row 26)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vos.geometry import Box, View

ANGLE = 20.0
"""Largest rotation of a pasted object, degrees."""

ZOOM = (0.5, 1.2)
"""Range of its size, as a multiple of its original size."""

PLACE = (0.15, 0.85)
"""Range of its center, in sides of the view."""

DRIFT = 0.06
"""Largest further shift from one view to the next, in sides."""


def paste(views: Sequence[View], donors: Sequence[View], rng: Generator) -> list[View]:
    """Put the donors' object into the views, one donor per view, in front of or behind the views' own objects.

    It gets the number after theirs."""
    number = 1 + max(view.objects for view in views)
    box = Box.around(donors[0].mask == 1)
    if box is None:
        return list(views)
    center = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    side = donors[0].mask.shape[0]
    matrix = np.asarray(cv2.getRotationMatrix2D(center, rng.uniform(-ANGLE, ANGLE), rng.uniform(*ZOOM)), np.float64)
    matrix[:, 2] += rng.uniform(*PLACE, 2) * side - center
    flip, before = rng.random(2) < 0.5
    result: list[View] = []
    for view, donor in zip(views, donors, strict=True):
        if result:
            matrix[:, 2] += rng.uniform(-DRIFT, DRIFT, 2) * side
        frame, shape = _moved(donor, matrix, flip=bool(flip))
        seen = shape if before else shape & (view.mask == 0)
        mask = np.where(seen, np.uint8(number), view.mask)
        result.append(View(np.where(seen[..., None], frame, view.frame), mask))
    return result


def _moved(donor: View, matrix: NDArray[np.float64], *, flip: bool) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the donor's frame and object under an affine map, mirrored afterwards or not."""
    size = donor.mask.shape[::-1]
    frame = np.asarray(cv2.warpAffine(donor.frame, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
    solid = (donor.mask == 1).astype(np.uint8)
    shape = cv2.warpAffine(solid, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    if flip:
        frame, shape = frame[:, ::-1], shape[:, ::-1]
    return frame, np.asarray(shape) == 1
