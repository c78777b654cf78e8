"""J and F from pixel counts, and their statistics over the frames of a video, as the DAVIS evaluator defines them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

COUNTS = ("inter", "union", "n_fg", "n_gt", "match_fg", "match_gt")
"""The six integers behind J and F of one object in one frame: pixels in both masks, pixels in either, boundary pixels
of the prediction and of the truth, and how many of each lie within the tolerance of the other boundary."""

RECALL_THRESHOLD = 0.5
DECAY_BINS = 4


class Statistics(NamedTuple):
    """Of one measure over the scored frames of one object; each in 0..1, decay in -1..1."""

    mean: float
    recall: float
    decay: float


def region_similarity(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """J, the intersection over the union; 1 where both masks are empty. `counts`: … × 6, see COUNTS."""
    inter, union = counts[..., 0], counts[..., 1]
    return np.where(union == 0, 1.0, inter / np.maximum(union, 1))


def boundary_measure(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """F, the harmonic mean of boundary precision and recall. `counts`: … × 6, see COUNTS.

    Neither mask has a boundary: 1. Only one has: 0, whatever the other mask is. No boundary pixel matches: 0."""
    n_fg, n_gt, match_fg, match_gt = (counts[..., index] for index in range(2, 6))
    precision = match_fg / np.maximum(n_fg, 1)
    recall = match_gt / np.maximum(n_gt, 1)
    total = precision + recall
    both = (n_fg > 0) & (n_gt > 0)
    harmonic = 2 * precision * recall / np.where(total == 0, 1.0, total)
    return np.where(both, harmonic, np.where((n_fg == 0) & (n_gt == 0), 1.0, 0.0))


def decay_edges(frames: int) -> list[int]:
    """Indices of the five edges of the four bins; both edges belong to a bin.

    Equals round(linspace(1, frames, 5) + 1e-10) - 1 of the official code, in integers, so that nothing overflows."""
    return [((frames - 1) * edge + 2) // DECAY_BINS for edge in range(DECAY_BINS + 1)]


def statistics(values: NDArray[np.float64]) -> Statistics:
    """Mean, recall (share of frames strictly above 0.5) and decay (mean of the first quarter minus mean of the last).

    `values`: one dimension, in time order, at least one. Raises DataError if there is none."""
    if not len(values):
        raise DataError("no frame is scored, so there is no mean; a sequence needs a frame besides those left out")
    edges = decay_edges(len(values))
    first, last = values[edges[0] : edges[1] + 1], values[edges[-2] : edges[-1] + 1]
    return Statistics(
        float(np.mean(values)), float(np.mean(values > RECALL_THRESHOLD)), float(np.mean(first) - np.mean(last))
    )
