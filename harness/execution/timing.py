"""Where the time of a run went: in stages, or before, between and after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.execution.queue import ReadyQueue
from harness.store.local import Store


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Seconds of one run on the clock; they add up to all of it."""

    planning: float
    """Reading the study, checking the data, making the plan."""

    starting: float
    """Until the first stage began: Ray and its workers start."""

    stages: float
    """At least one stage ran."""

    between: float
    """Stages were left, and none ran."""

    ending: float
    """After the last stage: Ray ends, MLflow, the report."""

    @property
    def outside(self) -> float:
        """Share of the time that was not spent in stages, 0..1."""
        total = self.planning + self.starting + self.stages + self.between + self.ending
        return 1 - self.stages / total if total else 0.0

    def __str__(self) -> str:
        parts = ("planning", "starting", "between", "ending")
        words = ", ".join(f"{name} {getattr(self, name):.1f} s" for name in parts)
        return f"{self.stages:.1f} s in stages, {self.outside:.0%} outside ({words})"


def spent(spans: Iterable[tuple[float, float]], begin: float, planned: float, end: float) -> Spent | None:
    """`spans`: begin and end of every stage that was run; `planned`: when the plan was made. All in seconds since the
    epoch. None if no stage was run."""
    joined = list(_union(spans))
    if not joined:
        return None
    first, last = joined[0][0], joined[-1][1]
    stages = sum(stop - start for start, stop in joined)
    return Spent(
        planning=planned - begin,
        starting=first - planned,
        stages=stages,
        between=last - first - stages,
        ending=end - last,
    )


def spans_of(board: ReadyQueue, store: Store) -> Iterator[tuple[float, float]]:
    """Begin and end of the stages that a run has published; what other runs have done meanwhile is not told apart."""
    for key in board.done:
        facts = (store.manifest(board.missing[key].name, key) or {}).get("provenance", {})
        if "started" in facts and "seconds" in facts:
            yield facts["started"], facts["started"] + facts["seconds"]


def _union(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Overlapping spans joined, in order."""
    current: tuple[float, float] | None = None
    for begin, end in sorted(spans):
        if current is None or begin > current[1]:
            if current is not None:
                yield current
            current = begin, end
        else:
            current = current[0], max(current[1], end)
    if current is not None:
        yield current
