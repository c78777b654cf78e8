"""Measures: values of each frame from pixel counts, their statistics over the frames, and means of other measures.

A new measure is one function and one entry of `MEASURES`. `Protocol.measures` says which of them a benchmark reports;
score tables, results and reports take it from there. docs/scoring.md has every definition with its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Source = Literal["J", "F", "Js", "Fa", "JF"]
"""Per-frame values."""

_REGION_AND_BOUNDARY: tuple[Source, Source] = ("J", "F")

COUNTS = ("inter", "union", "n_fg", "n_gt", "match_fg", "match_gt")
"""The six integers behind J and F of one object in one frame: pixels in both masks, pixels in either, boundary pixels
of the prediction and of the truth, and how many of each lie within the tolerance of the other boundary."""

MORE_COUNTS = ("n_truth", "near_fg", "near_gt")
"""Three further counts, for measures that need them: pixels of the truth, and boundary pixels of prediction and truth
that match within the adaptive tolerance (harness.score.boundary.adaptive_radius)."""

RECALL_THRESHOLD = 0.5
DECAY_BINS = 4


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number in score tables, results and reports, computed from an object's frames or from other measures."""

    name: str
    """Column of the score tables and key of `CellResult.values`."""

    title: str
    source: Source | None = None
    """The per-frame values that `statistic` is computed from; None for a mean of other measures."""

    statistic: Callable[[NDArray[np.float64]], float] | None = None
    """The statistic of one object's values over its scored frames, in time order."""

    clips: Callable[[NDArray[np.bool_]], list[slice]] | None = None
    """Clips of the video from whether the truth shows the object in each scored frame; the measure is then the mean of
    the statistic over them, and an object without a clip has no value."""

    category: str = ""
    """Category (`Sequence.categories`) whose objects have the measure; empty for all objects."""

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

    @property
    def partial(self) -> bool:
        """Whether some objects have no value."""
        return bool(self.category or self.clips)

    def of_object(self, values: NDArray[np.float64], visible: NDArray[np.bool_] | None, category: str) -> float:
        """Return the measure of one object, NaN if it has none.

        `values`: those of `source` in its scored frames; `visible`: whether the truth shows it, for measures with
        clips."""
        assert self.statistic is not None
        if self.category and self.category != category:
            return math.nan
        if self.clips is None:
            return self.statistic(values)
        assert visible is not None
        clips = [self.statistic(values[clip]) for clip in self.clips(visible)]
        return float(np.mean(clips)) if clips else math.nan


def region_similarity(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return J, the intersection over the union; 1 if both masks are empty. `counts`: … × 6, see COUNTS."""
    inter, union = counts[..., 0], counts[..., 1]
    return np.where(union == 0, 1.0, inter / np.maximum(union, 1))


def smoothed_similarity(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return J with one pixel added to intersection and union, as MOSE v2's evaluator computes it.

    It is above 0 if the masks do not meet, which shows for small objects only (henghuiding/MOSE-api,
    MOSEv2/sam2_rcms/tools/metricsv2.py, `db_eval_iou`)."""
    inter, union = counts[..., 0], counts[..., 1]
    return np.asarray((inter + 1) / (union + 1))


def boundary_measure(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return F, the harmonic mean of boundary precision and recall. `counts`: … × 6, see COUNTS.

    It is 1 if neither mask has a boundary, and 0 if only one has or no boundary pixel matches."""
    return _harmonic(*(counts[..., index] for index in range(2, 6)))


def adaptive_boundary_measure(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return Ḟ, F with a tolerance that shrinks with the object (MOSEv2, arXiv:2508.05630, and its evaluator).

    `counts`: … × 9, see MORE_COUNTS."""
    return _harmonic(*(counts[..., index] for index in (2, 3, 7, 8)))


def _harmonic(
    n_fg: NDArray[np.integer], n_gt: NDArray[np.integer], match_fg: NDArray[np.integer], match_gt: NDArray[np.integer]
) -> NDArray[np.float64]:
    precision = match_fg / np.maximum(n_fg, 1)
    recall = match_gt / np.maximum(n_gt, 1)
    total = precision + recall
    both = (n_fg > 0) & (n_gt > 0)
    harmonic = 2 * precision * recall / np.where(total == 0, 1.0, total)
    return np.where(both, harmonic, np.where((n_fg == 0) & (n_gt == 0), 1.0, 0.0))


CURVES: dict[Source, Callable[[NDArray[np.integer]], NDArray[np.float64]]] = {
    "J": region_similarity,
    "F": boundary_measure,
    "Js": smoothed_similarity,
    "Fa": adaptive_boundary_measure,
}
"""Name of per-frame values → function of the counts; JF is the mean of J and F."""


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


def last_quarter(values: NDArray[np.float64]) -> float:
    """Return the mean over the last quarter of the frames, from frame ⌊0.75 N⌋ of N (VOST's evaluator, `J_last`)."""
    return float(np.mean(values[int(len(values) * 0.75) :]))


def deviation(values: NDArray[np.float64]) -> float:
    """Return the standard deviation over the frames, from a variance rounded to four decimals (LVOS's evaluator)."""
    spread = float(np.mean(values)) - values
    return math.sqrt(np.round(np.sum(spread**2) / len(values), 4))


def disappearances(visible: NDArray[np.bool_]) -> list[slice]:
    """Return the clips in which the truth does not show the object after it did, up to its return or the end."""
    return _clips(visible, shown=False)


def reappearances(visible: NDArray[np.bool_]) -> list[slice]:
    """Return the clips in which the truth shows the object again, up to its next absence or the end.

    An object that the first scored frame does not show reappears too, when it is first shown, as MOSE v2's evaluator
    counts."""
    return _clips(visible, shown=True)


def _clips(visible: NDArray[np.bool_], *, shown: bool) -> list[slice]:
    """Return the longest runs of frames with this visibility that do not begin with the first frame."""
    edges = [0, *(np.flatnonzero(visible[1:] != visible[:-1]) + 1).tolist(), len(visible)]
    return [slice(start, stop) for start, stop in pairwise(edges) if start and bool(visible[start]) == shown]


def _of_category(name: str) -> Iterable[Measure]:
    for source in _REGION_AND_BOUNDARY:
        label = f"{source} {name}"
        yield Measure(name=f"{source}_{name}", title=label, source=source, statistic=mean, category=name, headline=True)
    yield Measure(
        name=f"V_{name}", title=f"V {name}", source="JF", statistic=deviation, category=name, higher_is_better=False
    )


def _of_clips(name: str, title: str, clips: Callable[[NDArray[np.bool_]], list[slice]]) -> Iterable[Measure]:
    region, boundary = f"Js_{name}", f"Fa_{name}"
    yield Measure(name=region, title=f"J (+1) {title}", source="Js", statistic=mean, clips=clips)
    yield Measure(name=boundary, title=f"Ḟ {title}", source="Fa", statistic=mean, clips=clips)
    yield Measure(name=f"JFa_{name}", title=f"J&Ḟ {title}", mean_of=(region, boundary), headline=True)


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
        *_of_category("seen"),
        *_of_category("unseen"),
        Measure(name="G", title="G", mean_of=("J_seen", "F_seen", "J_unseen", "F_unseen"), headline=True),
        Measure(name="V", title="V", mean_of=("V_seen", "V_unseen"), higher_is_better=False, headline=True),
        Measure(name="J_last", title="J last quarter", source="J", statistic=last_quarter, headline=True),
        Measure(name="Js_mean", title="J (+1)", source="Js", statistic=mean, headline=True),
        Measure(name="Fa_mean", title="Ḟ", source="Fa", statistic=mean, headline=True),
        Measure(name="JFa_mean", title="J&Ḟ", mean_of=("Js_mean", "Fa_mean"), headline=True),
        *_of_clips("disappear", "disappearance", disappearances),
        *_of_clips("reappear", "reappearance", reappearances),
    )
}
"""Every measure by name. Means of other measures come after those."""


def headlines(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of a benchmark's measures that tables with few columns show: its first, and every headline."""
    return tuple(name for place, name in enumerate(names) if place == 0 or MEASURES[name].headline)


def with_parts(names: Iterable[str]) -> tuple[str, ...]:
    """Return the measures and those whose means they are, each after its parts."""
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        wanted.add(name)
        pending += MEASURES[name].mean_of
    return tuple(name for name in MEASURES if name in wanted)
