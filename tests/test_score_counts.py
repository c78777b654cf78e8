"""The six counts of the bit-parallel kernel against a slow, plain reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.score.boundary import radius
from harness.score.counts import count_objects
from harness.score.raster import Raster, from_array

CASES, PER_TEST = 2400, 200


def plain_boundary(mask):
    """The rule as it is stated: right, lower and lower-right neighbour; last row and column in one direction only."""
    height, width = mask.shape
    edge = np.zeros((height, width), bool)
    edge[:-1, :-1] = (
        (mask[:-1, :-1] != mask[:-1, 1:]) | (mask[:-1, :-1] != mask[1:, :-1]) | (mask[:-1, :-1] != mask[1:, 1:])
    )
    edge[-1, :-1] = mask[-1, :-1] != mask[-1, 1:]
    edge[:-1, -1] = mask[:-1, -1] != mask[1:, -1]
    return edge


def plain_dilation(edge, size):
    height, width = edge.shape
    near = np.zeros((height + 2 * size, width + 2 * size), bool)
    ys, xs = np.nonzero(edge)
    for dy in range(-size, size + 1):
        for dx in range(-size, size + 1):
            if dy * dy + dx * dx <= size * size:
                near[ys + dy + size, xs + dx + size] = True
    return near[size : size + height, size : size + width]


def plain_counts(truth, prediction):
    size = math.ceil(0.008 * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    gt, fg = plain_boundary(truth), plain_boundary(prediction)
    masks = (
        truth & prediction,
        truth | prediction,
        fg,
        gt,
        fg & plain_dilation(gt, size),
        gt & plain_dilation(fg, size),
    )
    return tuple(int(mask.sum()) for mask in masks)


def random_mask(rng, height, width, objects):
    """Noise of any density, boxes that may touch or leave the borders, blobs, single pixels, empty and full masks."""
    ids = rng.integers(1, objects + 1, (height, width)).astype(np.uint8)
    kind = rng.integers(7)
    if kind == 0:
        return np.where(rng.random((height, width)) < rng.random() ** 2, ids, 0).astype(np.uint8)
    if kind == 1:
        return np.zeros((height, width), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    if kind == 2:
        mask[:] = rng.integers(1, objects + 1)
        return mask
    if kind == 3:
        mask[rng.integers(height), rng.integers(width)] = rng.integers(1, objects + 1)
        return mask
    rows, columns = np.mgrid[:height, :width]
    for index in range(1, objects + 1):
        y, x = rng.integers(-height // 4, height + height // 4 + 1), rng.integers(-width // 4, width + width // 4 + 1)
        if kind == 4:
            mask[max(y, 0) : max(y + int(rng.integers(1, height + 1)), 0), max(x, 0) : max(x + width // 3 + 1, 0)] = (
                index
            )
        else:
            a, b = rng.uniform(0.5, height / 2 + 1), rng.uniform(0.5, width / 2 + 1)
            mask[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 <= 1] = index
    return mask


def random_pair(rng, height, width, objects):
    truth = random_mask(rng, height, width, objects)
    if rng.random() < 0.4:  # a prediction as a method makes it: moved a little, with holes
        moved = np.roll(truth, rng.integers(-3, 4, 2), (0, 1))
        return truth, np.where(rng.random(truth.shape) < 0.98, moved, 0).astype(np.uint8)
    return truth, random_mask(rng, height, width, objects)


def assert_equals_plain(truth, prediction, objects):
    found = count_objects(from_array(truth), from_array(prediction), range(1, objects + 1))
    assert found == [plain_counts(truth == index, prediction == index) for index in range(1, objects + 1)]


@pytest.mark.parametrize("seed", range(CASES // PER_TEST))
def test_all_counts_equal_the_plain_reference_on_random_masks(seed):
    rng = np.random.default_rng(seed)
    for _ in range(PER_TEST):
        height, width = (int(side) for side in rng.integers(1, rng.choice([4, 20, 120]), 2))
        objects = int(rng.integers(1, 5))
        assert_equals_plain(*random_pair(rng, height, width, objects), objects)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (700, 1), (130, 854), (480, 854), (1080, 1920)])
def test_counts_equal_the_reference_at_usual_and_degenerate_sizes(height, width):
    rng = np.random.default_rng(height)
    for _ in range(2):
        assert_equals_plain(*random_pair(rng, height, width, 2), 2)


def test_counts_equal_the_reference_if_an_object_touches_every_border():
    for top, left, bottom, right in np.ndindex(2, 2, 2, 2):
        truth = np.zeros((40, 60), np.uint8)
        truth[3 * (1 - top) : 40 - 3 * bottom, 3 * (1 - left) : 60 - 3 * right] = 1
        for other in (truth, truth[::-1].copy(), truth[:, ::-1].copy(), np.zeros_like(truth), np.ones_like(truth)):
            assert_equals_plain(truth, other, 1)


def test_the_bytes_between_rows_of_a_decoded_png_do_not_count():
    rng = np.random.default_rng(1)
    truth, prediction = (rng.integers(0, 3, (50, 33)).astype(np.uint8) for _ in range(2))
    padded = [np.pad(mask, ((0, 0), (1, 6))) for mask in (truth, prediction)]
    rasters = [Raster(mask.tobytes(), 50, 33, 40, offset=1) for mask in padded]
    assert count_objects(*rasters, (1, 2)) == count_objects(from_array(truth), from_array(prediction), (1, 2))


@pytest.mark.parametrize(("size", "pixels"), [((480, 854), 8), ((1080, 1920), 18), ((1, 1), 1), ((75, 100), 1)])
def test_tolerance_is_a_share_of_the_diagonal_rounded_up(size, pixels):
    assert radius(*size) == pixels
