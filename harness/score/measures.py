"""J and F from pixel counts, and their statistics over the frames, as the DAVIS evaluator defines them.

A new measure is one function and one entry of `MEASURES`; score tables, results and reports take it from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

COUNTS = ("inter", "union", "n_fg", "n_gt", "match_fg", "match_gt")
"""The six integers behind J and F of one object in one frame: pixels in both masks, pixels in either, boundary pixels
of the prediction and of the truth, and how many of each lie within the tolerance of the other boundary."""

RECALL_THRESHOLD = 0.5
DECAY_BINS = 4


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number in score tables, results and reports, computed from an object's frames or from other measures."""

    name: str
    """Column of the score tables and key of `CellResult.values`."""

    title: str
    source: Literal["J", "F"] | None = None
    """The per-frame values that `statistic` is computed from; None for a mean of other measures."""

    statistic: Callable[[NDArray[np.float64]], float] | None = None
    """The statistic of one object's values over the scored frames, in time order."""

    mean_of: tuple[str, ...] = ()
    """Names of the measures whose mean it is; single objects have no such measure."""

    higher_is_better: bool = True
    digits: int = 3
    """Decimals in tables."""

    headline: bool = False
    """Whether tables that show only a few measures have it."""

    @property
    def heading(self) -> str:
        """The title with the arrow that papers print: `J mean ↑`."""
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"


def region_similarity(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return J, the intersection over the union; 1 if both masks are empty. `counts`: … × 6, see COUNTS."""
    inter, union = counts[..., 0], counts[..., 1]
    return np.where(union == 0, 1.0, inter / np.maximum(union, 1))


def boundary_measure(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return F, the harmonic mean of boundary precision and recall. `counts`: … × 6, see COUNTS.

    It is 1 if neither mask has a boundary, and 0 if only one has or no boundary pixel matches."""
    n_fg, n_gt, match_fg, match_gt = (counts[..., index] for index in range(2, 6))
    precision = match_fg / np.maximum(n_fg, 1)
    recall = match_gt / np.maximum(n_gt, 1)
    total = precision + recall
    both = (n_fg > 0) & (n_gt > 0)
    harmonic = 2 * precision * recall / np.where(total == 0, 1.0, total)
    return np.where(both, harmonic, np.where((n_fg == 0) & (n_gt == 0), 1.0, 0.0))


def decay_edges(frames: int) -> list[int]:
    """Return the indices of the five edges of the four bins; both edges belong to a bin.

    Equals round(linspace(1, frames, 5) + 1e-10) - 1 of the official code, in integers, so that nothing overflows."""
    return [((frames - 1) * edge + 2) // DECAY_BINS for edge in range(DECAY_BINS + 1)]


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean over the frames."""
    return float(np.mean(values))


def recall(values: NDArray[np.float64]) -> float:
    """Return the share of frames strictly above 0.5."""
    return float(np.mean(values > RECALL_THRESHOLD))


def decay(values: NDArray[np.float64]) -> float:
    """Return the mean of the first quarter of the frames minus the mean of the last, in -1..1."""
    edges = decay_edges(len(values))
    return float(np.mean(values[edges[0] : edges[1] + 1]) - np.mean(values[edges[-2] : edges[-1] + 1]))


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(name="J_mean", title="J mean", source="J", statistic=mean, headline=True),
        Measure(name="J_recall", title="J recall", source="J", statistic=recall),
        Measure(name="J_decay", title="J decay", source="J", statistic=decay, higher_is_better=False),
        Measure(name="F_mean", title="F mean", source="F", statistic=mean, headline=True),
        Measure(name="F_recall", title="F recall", source="F", statistic=recall),
        Measure(name="F_decay", title="F decay", source="F", statistic=decay, higher_is_better=False),
        Measure(name="JF_mean", title="J&F", mean_of=("J_mean", "F_mean"), headline=True),
    )
}
"""Every measure by name, in the order of tables. Means of other measures come after those."""
