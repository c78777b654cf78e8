"""Boundaries of a truth and a prediction, and how much of each matches the other: bit-parallel, eight planes per byte.

Both masks of an object are cut into `LANES` blocks of rows, and block j of the truth becomes bit j of a byte, of the
prediction bit j + 4. Neighbors in a row or a column are then neighbors in memory, so that shifting both masks by any
distance is reading at another offset, and the disk that matching needs is a few dozen OR operations on a quarter of the
object's bytes. Halo rows above and below carry the ends of the neighboring blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.008
"""Distance at which boundary pixels still match, as a share of the image diagonal (DAVIS)."""

ADAPTIVE = 0.1
"""The same for MOSE v2's Ḟ, as a share of the root of the object's area."""

LANES = 4
TRUTH, PREDICTION = 0x0F, 0xF0
"""Bits of the two masks."""

DOWN, UP = 0xEE, 0x77
"""Bits that remain inside their mask when a byte is shifted to the next block, to the one before."""

Bytes = NDArray[np.uint8]


def radius(height: int, width: int) -> int:
    """Return the tolerance in pixels for an image of that size."""
    return math.ceil(TOLERANCE * math.sqrt(height * height + width * width))


def boundary(seg: Bytes, rows: int, columns: int, stride: int, *, height: int, right: bool, bottom: bool) -> Bytes:
    """Return the boundary pixels of both masks: those that differ from their right, lower or lower-right neighbor.

    `seg`: `rows` + 1 rows of `stride` bytes, flat, `columns` in use, the last row and the columns beyond free for use
    here. `height`: rows of the object over all blocks. `right`, `bottom`: it ends at the image's border; pixels beyond
    the border equal those on it, so that only the other direction counts there, and the corner is no boundary."""
    size = rows * stride
    grid = seg.reshape(rows + 1, stride)
    if right:
        grid[:rows, columns] = grid[:rows, columns - 1]
    np.bitwise_and(grid[0] >> 1, UP, out=grid[rows])
    block, row = divmod(height - 1, rows)
    lane = 0x11 << block
    if bottom:
        grid[row + 1] |= grid[row] & lane
    padded = np.empty(size + stride + 1, np.uint8)  # one byte more for the last lower-right neighbor
    padded[:-1], padded[-1] = seg, 0
    here = padded[:size]
    edge = here ^ padded[1 : size + 1]
    edge |= here ^ padded[stride : stride + size]
    edge |= here ^ padded[stride + 1 :]
    found = edge.reshape(rows, stride)
    found[:, columns:] = 0
    if bottom and row + 1 < rows:
        found[row + 1] &= 0xFF ^ lane
    return edge


def adaptive_radius(height: int, width: int, area: int) -> float:
    """Return the tolerance of MOSE v2's Ḟ in pixels for a true mask of `area` pixels.

    It is the smaller of ⌈0.1 · √area⌉ and 0.008 · √(h² + w²), the latter not rounded, as in the evaluator
    (henghuiding/MOSE-api, MOSEv2/sam2_rcms/tools/metricsv2.py, `f_measure_adaptive`)."""
    return min(TOLERANCE * math.sqrt(height * height + width * width), math.ceil(ADAPTIVE * math.sqrt(area)))


def dilate(edge: Bytes, rows: int, stride: int, size: int, distance: float) -> Bytes:
    """Return all pixels within `distance` of a boundary pixel, separately for each mask; `rows` × `stride`, flat.

    `rows` ≥ `size` ≥ `distance`, and the last `size` columns of `edge` are 0; those of the result are undefined."""
    halo = size * stride
    length = rows * stride
    whole = length + 2 * halo
    wide = np.zeros((2, whole + 2 * size), np.uint8)  # in turns; `size` zeros at both ends
    now, then = wide
    start = size + halo
    now[start : start + length] = edge
    np.bitwise_and(edge[length - halo :] << 1, DOWN, out=now[size:start])
    np.bitwise_and(edge[:halo] >> 1, UP, out=now[start + length : start + length + halo])
    result = np.zeros(length, np.uint8)
    bitwise_or: Any = np.bitwise_or
    for left, right, covered, places in _disk(distance):
        if left or right:
            middle = then[size : size + whole]
            bitwise_or(now[size - left : size - left + whole], now[size + right : size + right + whole], out=middle)
            if not covered:
                bitwise_or(middle, now[size : size + whole], out=middle)
            now, then = then, now
        for row, column in places:
            place = start + row * stride + column
            bitwise_or(result, now[place : place + length], out=result)
    return result


Step = tuple[int, int, bool, tuple[tuple[int, int], ...]]


@cache
def _disk(distance: float) -> tuple[Step, ...]:
    """Return the steps that grow the rows of a full disk.

    Each has the pixels by which to widen a run to the left and to the right, whether its two shifted copies cover the
    run itself, and where the disk has a row of the run reached: its height, and the column of the run's origin."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, first, last in _rows(distance):
        rows.setdefault((first, last), []).append(row)
    steps: list[Step] = []
    goals = sorted(rows, key=lambda run: run[1] - run[0])
    origin = first = last = goals[0][0]
    for goal in goals:
        found = tuple((row, origin) for row in rows[goal])
        if goal == (first, last):
            steps.append((0, 0, False, found))
        while goal != (first, last):
            length = last - first + 1
            left, right = min(first - goal[0], length), min(goal[1] - last, length)
            first, last = first - left, last + right
            steps.append((left, right, left + right <= length, found if goal == (first, last) else ()))
    return tuple(steps)


def _rows(distance: float) -> Iterator[tuple[int, int, int]]:
    """Yield row, first and last column of a full disk around a pixel.

    If the distance is not whole, the disk lies a fraction of a pixel off the center, as that of scikit-image does,
    whose grid begins at −`distance`, when its middle column is the anchor (`cv2.dilate`). A disk that would hold no
    pixel (distances of half a pixel, in tiny images) is the pixel itself."""
    grid = np.arange(-distance, distance + 1)
    inside = grid[None, :] ** 2 + grid[:, None] ** 2 <= distance**2
    middle = len(grid) // 2
    inside[middle, middle] |= not inside.any()
    for row, columns in enumerate(inside):
        if columns.any():
            found = np.flatnonzero(columns)
            yield row - middle, int(found[0]) - middle, int(found[-1]) - middle
