"""The time of a run: how much is left, and where it went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from harness.execution.queue import ReadyQueue
from harness.stage import Stage
from harness.store import Store

_LEAST_SHARE = 0.02
"""Share of a stage that must have been seen before its pace says when it ends."""


@dataclass(frozen=True)
class Pace:
    """How fast a running stage goes on since it was first seen, as it may have been resumed then."""

    since: float
    """When it was first seen, seconds."""

    share: float
    """What was done by then, 0..1."""

    def seconds_left(self, now: float, share: float) -> float | None:
        """Return the seconds until the stage ends; None before it has gone far enough to say."""
        if share - self.share < _LEAST_SHARE:
            return None
        return (1 - share) * (now - self.since) / (share - self.share)


class TimeLeft:
    """How long the stages of a run still take: by their pace, by ended stages of their kind, or by the plan."""

    def __init__(self, expected: Mapping[str, float | None], cpus: int) -> None:
        self._expected = expected
        self._cpus = cpus
        self._paces: dict[str, Pace] = {}
        self._ended: dict[str, list[float]] = defaultdict(list)

    def add(self, stage: Stage, seconds: float) -> None:
        """Add a stage that has ended."""
        self._ended[stage.run].append(seconds)

    def seconds(
        self, queue: ReadyQueue, shares: Mapping[str, float], begun: Mapping[str, float], now: float
    ) -> float | None:
        """Return the seconds until all stages have ended; None until every kind of stage left has been seen once.

        `shares`: key → share done, and `begun`: key → when it was first seen, of the stages that run."""
        total = longest = 0.0
        for key, stage in queue.missing.items():
            if key in queue.done or key in queue.failed or key in queue.skipped:
                continue
            seen = self._ended.get(stage.run)
            left = fmean(seen) if seen else self._expected.get(key)
            if key in shares:
                left = self._of_running(key, shares[key], left, now - begun[key], now)
            if left is None:
                return None
            total += left * (self._cpus if stage.resources.exclusive else stage.resources.cpus)
            longest = max(longest, left)
        return max(total / self._cpus, longest)

    def _of_running(self, key: str, share: float, expected: float | None, age: float, now: float) -> float | None:
        left = self._paces.setdefault(key, Pace(now, share)).seconds_left(now, share) if share else None
        return left if left is not None or expected is None else max(expected - age, 0.0)


@dataclass(frozen=True, kw_only=True)
class TimeSummary:
    """Wall-clock seconds of one run by what they went into; together they are all of it."""

    planning: float
    """Reading the study, checking the data, making the plan."""

    starting: float
    """Until the first stage began: Ray and its workers start."""

    stages: float
    """While at least one stage ran."""

    between: float
    """While stages were left and none ran."""

    ending: float
    """After the last stage: Ray ends, MLflow, the report."""

    @property
    def outside(self) -> float:
        """Share of the time in which no stage ran, 0..1."""
        total = self.planning + self.starting + self.stages + self.between + self.ending
        return 1 - self.stages / total if total else 0.0

    def __str__(self) -> str:
        parts = ", ".join(
            f"{name} {getattr(self, name):.1f} s" for name in ("planning", "starting", "between", "ending")
        )
        return f"{self.stages:.1f} s in stages, {self.outside:.0%} outside ({parts})"


def summarize_time(
    spans: Iterable[tuple[float, float]], begun: float, planned: float, ended: float
) -> TimeSummary | None:
    """Return where the time went, in seconds since the epoch; None if no stage was run.

    `spans`: begin and end of every stage that was run; `planned`: when the plan was made."""
    ordered = sorted(spans)
    if not ordered:
        return None
    first = last = ordered[0][0]
    busy = 0.0
    for start, stop in ordered:
        busy += max(0.0, stop - max(start, last))
        last = max(last, stop)
    between = last - first - busy
    return TimeSummary(
        planning=planned - begun, starting=first - planned, stages=busy, between=between, ending=ended - last
    )


def spans_of(queue: ReadyQueue, store: Store) -> list[tuple[float, float]]:
    """Return begin and end of the stages published during a run, those of other runs included."""
    manifests = (store.manifest(queue.missing[key].name, key) for key in queue.done)
    return [manifest.span for manifest in manifests if manifest and manifest.span]
