"""Differences video by video: which videos make up the difference of two means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from harness.results import CellResult
from reports.diff.findings import counted
from reports.diff.sides import Results
from reports.inputs import Scorebook, pairs_of
from reports.statistics import Interval

_ZERO = 0.0005
"""Difference of two means below which it is not divided among the videos: it is printed as .000."""

_SHARE = 0.8
"""Share of a difference that its main videos are to make up."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video that both sides have."""

    name: str
    first: float
    second: float
    weight: float
    """Its weight in the mean, 0..1; all weights add up to 1."""

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True, kw_only=True)
class ByVideo:
    """The videos that both sides have."""

    videos: tuple[Video, ...]
    """The largest effect in the direction of the whole difference comes first."""

    interval: Interval
    """Second minus first, paired by video and seed."""

    @property
    def shares(self) -> tuple[float, ...] | None:
        """Share of the difference that each video makes up; their sum is 1. None if there is hardly a difference."""
        whole = self.interval.estimate
        return None if abs(whole) < _ZERO else tuple(one.weight * one.difference / whole for one in self.videos)

    @property
    def summary(self) -> str:
        """A sentence on how many videos it takes to explain the difference."""
        lower = sum(one.difference < 0 for one in self.videos)
        higher = sum(one.difference > 0 for one in self.videos)
        counts = f"{lower} lower in B, {higher} higher, {len(self.videos) - lower - higher} equal"
        shares = self.shares
        if shares is None or len(self.videos) < 2:
            return f"Of {counted(len(self.videos), 'video')}: {counts}."
        sums = [sum(shares[: place + 1]) for place in range(len(shares))]
        enough = next((place for place, total in enumerate(sums) if total >= _SHARE), len(sums) - 1)
        those = "The first video explains" if not enough else f"The first {enough + 1} videos explain"
        return f"{those} {sums[enough]:.0%} of the difference. Of {len(self.videos)} videos: {counts}."


def by_video(one: Results, other: Results, measure: str, scores: Scorebook) -> ByVideo | None:
    """Return the differences of the videos that both have; None if a side has no values by video."""
    first, second = _alignable(one, other)
    pairs = pairs_of(first, second)
    interval = scores.difference(second, first, measure)
    if interval is None:
        return None
    values = [(scores.sequences(a, measure), scores.sequences(b, measure)) for a, b in pairs]
    names = sorted(set.intersection(*(a.keys() & b.keys() for a, b in values)))
    weights = scores.weights(first[0], names, measure)
    videos = [
        Video(
            name=name,
            first=fmean(a[name] for a, _ in values),
            second=fmean(b[name] for _, b in values),
            weight=float(weight),
        )
        for name, weight in zip(names, weights / weights.sum(), strict=True)
    ]
    sign = -1 if interval.estimate < 0 else 1
    videos.sort(key=lambda video: (-sign * video.weight * video.difference, video.name))
    return ByVideo(videos=tuple(videos), interval=interval)


def _alignable(one: Results, other: Results) -> Sequence[tuple[CellResult, ...]]:
    """Return the cells of both sides; two single cells pair whatever their seeds, since that is what was asked."""
    sides = one.done, other.done
    if len(sides[0]) == len(sides[1]) == 1:
        return [(replace(side[0], seed=0),) for side in sides]
    return sides
