"""The integers behind J and F (harness.score.measures.COUNTS) for all objects of one frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.score.boundary import LANES, PREDICTION, TRUTH, adaptive_radius, boundary, dilate, radius
from harness.score.raster import Raster

Counts = tuple[int, ...]
"""Six integers, or nine with the further ones."""


def count_objects(truth: Raster, prediction: Raster, ids: Iterable[int], *, more: bool = False) -> list[Counts]:
    """Return the counts of these ids; with `more`, MORE_COUNTS too.

    Both masks have equal height, width, stride and offset."""
    return [_count(truth, prediction, index, more=more) for index in ids]


def _count(truth: Raster, prediction: Raster, index: int, *, more: bool) -> Counts:
    stride, value = truth.stride, bytes((index,))
    places = [raster.data.find(value) for raster in (truth, prediction)]
    if max(places) < 0:
        return (0,) * (9 if more else 6)
    first = min(place for place in places if place >= 0) // stride
    last = max(raster.data.rfind(value) for raster in (truth, prediction)) // stride
    # The pixels above and left of the object are boundary too.
    top = max(first - 1, 0)
    height = last + 1 - top
    size = radius(truth.height, truth.width)
    rows = max(-(-height // LANES), size)
    seg = _pack(truth, prediction, index, top, height, rows)
    grid = seg.reshape(rows, stride)
    used = np.flatnonzero(np.bitwise_or.reduce(grid, axis=0))
    left, right = max(int(used[0]) - 1, truth.offset), int(used[-1]) + 1
    columns = right - left
    narrow = -(-(columns + size) // 8) * 8
    crop = np.zeros((rows + 1, narrow), np.uint8)
    crop[:rows, :columns] = grid[:, left:right]
    flat = crop.reshape(-1)
    length = rows * narrow
    words = np.empty((7, length // 8), np.uint64)
    planes = words.view(np.uint8)
    np.bitwise_and(flat[:length], TRUTH, out=planes[0])
    np.bitwise_and(flat[:length], PREDICTION, out=planes[1])
    np.bitwise_and(words[1] >> LANES, words[0], out=words[2])  # what crosses into another byte is masked
    edge = boundary(
        flat,
        rows,
        columns,
        narrow,
        height=height,
        right=right == truth.offset + truth.width,
        bottom=last == truth.height - 1,
    )
    np.bitwise_and(edge, TRUTH, out=planes[3])
    np.bitwise_and(edge, PREDICTION, out=planes[4])
    if min(places) < 0:  # one mask lacks the object: nothing can match
        words[5:] = 0
    else:
        _match(words, dilate(edge, rows, narrow, size, size))
    in_truth, in_prediction, inter, n_gt, n_fg, match_gt, match_fg = _count_bits(words)
    counts = inter, in_truth + in_prediction - inter, n_fg, n_gt, match_fg, match_gt
    if not more:
        return counts
    if min(places) >= 0:
        _match(words, dilate(edge, rows, narrow, size, adaptive_radius(truth.height, truth.width, in_truth)))
    *_, near_gt, near_fg = _count_bits(words[5:])
    return *counts, in_truth, near_fg, near_gt


def _match(words: NDArray[np.uint64], dilated: NDArray[np.uint8]) -> None:
    """Put the boundary pixels that the other boundary, dilated, covers into the last two rows."""
    near = dilated.view(np.uint64)
    np.bitwise_and(words[3], near >> LANES, out=words[5])
    np.bitwise_and(words[4], near << LANES, out=words[6])


def _pack(truth: Raster, prediction: Raster, index: int, top: int, height: int, rows: int) -> NDArray[np.uint8]:
    """Return both masks of an object with one byte per pixel, `rows` × stride, flat.

    Block j of `rows` rows is bit j of the truth and bit j + 4 of the prediction."""
    stride = truth.stride
    start, end = top * stride, (top + height) * stride
    length = rows * stride
    blocks = np.empty((2 * LANES, length), np.bool_)
    for half, raster in ((blocks[:LANES], truth), (blocks[LANES:], prediction)):
        plane = half.reshape(-1)
        np.equal(raster.flat()[start:end], index, out=plane[: end - start])
        plane[end - start :] = False
    bits = blocks.view(np.uint8)
    packed: NDArray[np.uint8] = bits[-1]
    for block in bits[-2::-1]:
        np.add(packed, packed, out=packed)  # a shift; the fastest way on bytes
        np.bitwise_or(packed, block, out=packed)
    return packed


def _count_bits(words: NDArray[np.uint64]) -> list[int]:
    """Return the number of set bits in each row."""
    count: Any = getattr(np, "bitwise_count", None)
    if count is None:  # numpy 1
        return [int.from_bytes(row.tobytes(), "little").bit_count() for row in words]
    return [int(number) for number in count(words).sum(axis=1, dtype=np.int64)]
