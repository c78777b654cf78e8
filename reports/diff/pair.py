"""Two results on one benchmark, compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.results import CellResult
from harness.score import Measure
from reports.diff.counting import InCommon, counting, recount
from reports.diff.findings import COUNTING, TOPICS, Finding, Topic, in_order
from reports.diff.sides import Results
from reports.diff.stages import FROM_STAGES, differences, given_options, pair_stages
from reports.diff.videos import ByVideo, by_video
from reports.inputs import Lineage, Scorebook, pairs_of, unpaired
from reports.statistics import Interval

_INTERVAL = ("estimate", "low", "high", "p", "sequences", "seeds")
"""Fields of an interval in JSON."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """One side of a comparison."""

    name: str
    """Variant or method."""

    benchmark: str
    facts: tuple[str, ...]
    """Description of the side: method, benchmark, scale, data, study; or the place of a published number."""

    value: float | None
    why: str = ""
    """Why there is no value."""

    seconds: str = ""
    """Seconds per frame, as text."""

    interval: Interval | None = None
    """Interval of the value itself, over other videos."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two numbers and why they differ."""

    measure: Measure
    first: Number
    second: Number
    differs: tuple[Finding, ...]
    unknown: tuple[Finding, ...]
    videos: ByVideo | None = None
    in_common: InCommon | None = None
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """Second minus first; None if a value is missing."""
        if self.first.value is None or self.second.value is None:
            return None
        return self.second.value - self.first.value

    @property
    def incomparable(self) -> str:
        """Why the difference of the two values means nothing; empty if it means something."""
        kinds = any(one.topic == "data" and isinstance(one.first, str) for one in self.differs)
        return "not comparable: other data" if kinds else ""

    @property
    def same(self) -> tuple[Topic, ...]:
        """Topics in which nothing differs and everything is known."""
        others = {one.topic for one in (*self.differs, *self.unknown)}
        return tuple(topic for topic in TOPICS if topic not in others)

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as JSON."""
        sides = {
            side: {
                "name": one.name, "benchmark": one.benchmark, "facts": list(one.facts), "value": one.value,
                "why": one.why, "seconds_per_frame": one.seconds,
                "low": one.interval.low if one.interval else None,
                "high": one.interval.high if one.interval else None,
            }
            for side, one in (("first", self.first), ("second", self.second))
        }  # fmt: skip
        found = self.videos
        shares = found.shares if found else None
        return {
            **sides,
            "difference": self.difference,
            "paired": {name: getattr(found.interval, name) for name in _INTERVAL} if found else None,
            "in_common": None if self.in_common is None else vars(self.in_common),
            "differs": [vars(one) for one in self.differs],
            "unknown": [vars(one) for one in self.unknown],
            "same": list(self.same),
            "videos": [
                {
                    "name": one.name, "first": one.first, "second": one.second, "difference": one.difference,
                    "weight": one.weight, "share": shares[place] if shares else None,
                }
                for place, one in enumerate(found.videos if found else ())
            ],
            "notes": list(self.notes),
        }  # fmt: skip


@dataclass(kw_only=True)
class Sources:
    """What is read for all pairs of a comparison."""

    scores: Scorebook
    lineage: Lineage = field(default_factory=Lineage)


def compare_results(one: Results, other: Results, measure: Measure, sources: Sources) -> Pair:
    """Compare two results. Raises ReportError for a score file that cannot be read."""
    a, b = next(iter(pairs_of(one.cells, other.cells)), (one.first, other.first))
    behind, unknown = _behind(a, b, sources.lineage)
    differs = [*counting(a, b, measure.name, sources.lineage), *_seeds(one, other), *_method(a, b), *behind]
    for side, cell in (("A", a), ("B", b)):
        if not cell.protocol:
            unknown.append(Finding(topic="protocol", text=f"rules and truth of {side}, whose data was not there"))
    changed = any(finding.topic in COUNTING for finding in differs)
    notes = [note for note in (unpaired(one.cells, other.cells),) if note and len(one.done) + len(other.done) > 2]
    return Pair(
        measure=measure,
        first=number_of(one, measure, sources.scores),
        second=number_of(other, measure, sources.scores),
        differs=in_order(differs),
        unknown=in_order(unknown),
        videos=by_video(one, other, measure.name, sources.scores),
        in_common=recount(one, other, measure.name) if changed else None,
        notes=tuple(notes),
    )


def number_of(results: Results, measure: Measure, scores: Scorebook) -> Number:
    """Return the number of results, with what is to be said about them."""
    cell = results.first
    size = f"scale {cell.scale}" if cell.scale else "masks made by others"
    facts = (cell.method_label, cell.title, size, f"{cell.data_kind} data", f"study {results.study}")
    value = results.value(measure.name)
    timed = [one.seconds_per_frame for one in results.cells if one.seconds_per_frame is not None]
    why = f"{cell.status}{': ' + cell.reason if cell.reason else ''}" if not cell.done else "its scores lack it"
    return Number(
        name=cell.variant,
        benchmark=cell.benchmark,
        facts=tuple(filter(None, facts)),
        value=value,
        why="" if value is not None else why,
        seconds=f"{sum(timed) / len(timed):.2f}" if timed else "",
        interval=scores.mean(results.cells, measure.name),
    )


def _seeds(one: Results, other: Results) -> Iterator[Finding]:
    if not (one.done and other.done) or one.first.submitted or other.first.submitted or one.seeds == other.seeds:
        return
    first, second = (", ".join(map(str, side.seeds)) for side in (one, other))
    yield Finding(topic="seeds", text=f"{first} → {second}", first=list(one.seeds), second=list(other.seeds))


def _method(a: CellResult, b: CellResult) -> Iterator[Finding]:
    if a.method_label != b.method_label:
        text = f"{a.method_label} → {b.method_label}"
        yield Finding(topic="method", text=text, first=a.method_label, second=b.method_label)
    if a.scale != b.scale and not (a.submitted or b.submitted):
        yield Finding(topic="method", text=f"scale: {a.scale} → {b.scale}", first=a.scale, second=b.scale)
    if a.omitted != b.omitted:
        first, second = ("; ".join(side.omitted) or "none" for side in (a, b))
        text = f"skipped: {first} → {second}"
        yield Finding(topic="training", text=text, first=list(a.omitted), second=list(b.omitted))


def _behind(a: CellResult, b: CellResult, lineage: Lineage) -> tuple[list[Finding], list[Finding]]:
    """Return what differs in the stages behind two results, and what cannot be known of them."""
    unknown: list[Finding] = []
    for side, cell in (("A", a), ("B", b)):
        if cell.submitted:
            why = f"not known of {side}, whose masks were made by others"
            unknown += [Finding(topic=topic, text=why) for topic in ("seeds", *FROM_STAGES)]
            unknown.append(Finding(topic="data", text=f"frames that {side}'s masks were computed from"))
        elif cell.done and lineage.score(cell) is None:
            why = f"the stages behind {side} are no longer in its store"
            unknown += [Finding(topic=topic, text=why) for topic in ("data", *FROM_STAGES)]
        elif not cell.done:
            unknown += [Finding(topic=topic, text=f"{side} has no score yet") for topic in FROM_STAGES]
    first, second = lineage.score(a), lineage.score(b)
    if first is None or second is None:
        return [] if a.submitted or b.submitted else list(given_options(a, b)), unknown
    stages = pair_stages(first, second, lineage)
    if stages.absent:
        why = f"{len(stages.absent)} of the stages behind the scores are no longer in their store"
        unknown += [Finding(topic=topic, text=why) for topic in FROM_STAGES]
    return list(differences(a, b, stages, lineage)), unknown
