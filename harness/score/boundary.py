"""Boundaries of a truth and a prediction, and how much of each the other reaches: bit-parallel, eight planes a byte.

Both masks of an object are cut into `LANES` blocks of rows, and block j of the truth becomes bit j of a byte, of the
prediction bit j + 4. Neighbours in a row or a column are then neighbours in memory, so that shifting both masks by any
distance is reading at another place, and the disk that matching needs is a few dozen OR operations on a quarter of the
object's bytes. Halo rows above and below carry the ends of the neighbouring blocks."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.008
"""Of the image diagonal: how far a boundary pixel may lie from the other boundary and still match (DAVIS)."""

LANES = 4
TRUTH, PREDICTION = 0x0F, 0xF0
"""Bits of the two masks."""

DOWN, UP = 0xEE, 0x77
"""Bits that remain inside their mask when a byte is shifted to the next block, to the one before."""

Bytes = NDArray[np.uint8]


def radius(height: int, width: int) -> int:
    """The tolerance in pixels, for an image of that size."""
    return math.ceil(TOLERANCE * math.sqrt(height * height + width * width))


def boundary(seg: Bytes, rows: int, columns: int, stride: int, *, height: int, right: bool, bottom: bool) -> Bytes:
    """Boundary pixels of both masks: those that differ from their right, lower or lower-right neighbour.

    `seg`: `rows` + 1 rows of `stride` bytes, flat, `columns` in use, the last row and the columns beyond free for use
    here. `height`: rows of the object over all blocks. `right`, `bottom`: it ends at the image's border; what lies
    behind that border is as on it, so that there only the other direction counts, and the corner is none."""
    size = rows * stride
    grid = seg.reshape(rows + 1, stride)
    if right:
        grid[:rows, columns] = grid[:rows, columns - 1]
    np.bitwise_and(grid[0] >> 1, UP, out=grid[rows])
    block, row = divmod(height - 1, rows)
    lane = 0x11 << block
    if bottom:
        grid[row + 1] |= grid[row] & lane
    padded = np.empty(size + stride + 1, np.uint8)  # one byte more for the last lower-right neighbour
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


def dilate(edge: Bytes, rows: int, stride: int, size: int) -> Bytes:
    """All pixels within `size` of a boundary pixel, each mask by itself; as `edge`: `rows` × `stride`, flat.

    `rows` ≥ `size`, and the last `size` columns of `edge` are 0; what the result has there is without meaning."""
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
    for step, alone, shifts in _disk(size):
        if step:
            middle = then[size : size + whole]
            bitwise_or(now[size - step : size - step + whole], now[size + step : size + step + whole], out=middle)
            if not alone:
                bitwise_or(middle, now[size : size + whole], out=middle)
            now, then = then, now
        for shift in shifts:
            place = start + shift * stride
            bitwise_or(result, now[place : place + length], out=result)
    return result


@cache
def _disk(size: int) -> tuple[tuple[int, bool, tuple[int, ...]], ...]:
    """How to grow the rows of a full disk: by how much to widen a run on both sides, whether its two shifted copies
    cover it without the run itself, and at which heights the disk has a row of the width reached."""
    rows: dict[int, list[int]] = {}
    for shift in range(-size, size + 1):
        rows.setdefault(math.isqrt(size * size - shift * shift), []).append(shift)
    steps = []
    width = 0
    for goal in sorted(rows):
        while width < goal:
            step = min(goal - width, 2 * width + 1)
            steps.append((step, step <= width, () if width + step < goal else tuple(rows[goal])))
            width += step
        if goal == 0:
            steps.append((0, False, tuple(rows[goal])))
    return tuple(steps)
