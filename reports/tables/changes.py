"""Single changes: which variants differ in one option only, and by how much their scores differ.

From the main variant on, each variant is attached to the first one from which it differs in a single option, so that
every difference is that option's. The values of a longer range, such as ω, are no parts of a method; their range is
given instead."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.results import CellResult
from reports.inputs import Part, Scorebook, TableSet, describe, differing_options, flat, main_measure, main_variant
from reports.statistics import ALPHA, Interval, Needed, holm
from reports.tables.intervals import PAIRED
from reports.tables.model import Line, Table
from reports.tables.values import DIFFERENCE, NEEDED, difference_values, needed_value

RANGE = 3
"""Numbers given to one option from which on they are a range of values."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Two variants on one benchmark that differ in one option."""

    variant: str
    base: str
    option: str
    """Last part of the option's key."""

    value: str
    """The option's value in `variant`, as text."""

    found: Interval
    """The main measure of `variant` minus that of `base`."""

    corrected: float | None = None
    """The p-value corrected for all single changes on the benchmark; None with too few sequences."""

    needed: Needed = field(default_factory=Needed)
    """What would decide the sign; nothing if it is decided."""

    @property
    def decided(self) -> bool:
        """Whether the corrected p-value decides the sign of the difference."""
        return self.corrected is not None and self.corrected < ALPHA

    @property
    def idle(self) -> bool:
        """Whether no sequence differs: the option has nothing to act on, as `instances` with one object."""
        return self.found.low == self.found.high == self.found.estimate == 0


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a study changes on one benchmark, one option at a time."""

    single: tuple[Change, ...]
    ranges: Mapping[str, tuple[str, ...]]
    """Option → variants that give it one of several numbers, in order."""


def single_changes(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Changes:
    """Return the single changes on one benchmark, with p-values corrected over them."""
    pairs = list(_pairs(part, benchmark, tables.baseline))
    numbers: dict[tuple[str, str], list[str]] = {}
    for variant, base, (option, value) in pairs:
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers.setdefault((base, option), []).append(variant)
    ranges = {place: variants for place, variants in numbers.items() if len(variants) >= RANGE}
    made: list[Change] = []
    for variant, base, (option, value) in pairs:
        if (base, option) not in ranges:
            cells = part.select(benchmark, variant), part.select(benchmark, base)
            found = scores.difference(*cells, main_measure(part.select(benchmark)).name)
            if found:
                text = value if isinstance(value, str) else json.dumps(value)
                made.append(Change(variant=variant, base=base, option=option, value=text, found=found))
    return Changes(single=_judged(made), ranges={option: tuple(given) for (_, option), given in ranges.items()})


def changes_table(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Table | None:
    """Return the single changes on one benchmark as a table; None if there are none."""
    made, main = single_changes(part, benchmark, tables, scores).single, main_measure(part.select(benchmark))
    if not made:
        return None
    lines = [
        Line(
            label=one.variant,
            variant=one.variant,
            facts=(one.base, f"{one.option} = {one.value}", str(one.found.sequences), str(one.found.seeds)),
            values=(*values, needed_value(one.needed)),
            notes=part.notes(benchmark),
        )
        for one, values in zip(made, difference_values([one.found for one in made]), strict=True)
    ]
    return Table(
        name=f"changes-{benchmark}{part.suffix}",
        title=f"One change at a time: {part.title(benchmark)}",
        caption=f"Each variant minus the one from which it differs in a single option, in {main.title}. "
        f"{describe(part, benchmark, masks=False)}",
        method=f"{PAIRED} {NEEDED}",
        facts=("compared with", "differs in", "sequences", "seeds"),
        columns=(*DIFFERENCE, "sequences needed"),
        lines=tuple(lines),
    )


def _judged(made: Sequence[Change]) -> tuple[Change, ...]:
    corrected = holm([one.found.p for one in made])
    judged = [replace(one, corrected=p) for one, p in zip(made, corrected, strict=True)]
    level = ALPHA / max(1, sum(not one.decided for one in judged))
    return tuple(one if one.decided else replace(one, needed=one.found.needed(level=level)) for one in judged)


def _pairs(part: Part, benchmark: str, baseline: str) -> Iterator[tuple[str, str, tuple[str, object]]]:
    """Yield variant, the variant it differs from in one option, and that option with its value; nearest first."""
    cells = {cell.variant: cell for cell in reversed(part.select(benchmark)) if cell.done and not cell.submitted}
    rest = [name for name in part.variants_on(benchmark) if name in cells and name != baseline]
    queue = [main_variant(part, benchmark, baseline)]
    while queue and queue[0] in rest:
        rest.remove(queue[0])
        for name in tuple(rest):
            change = _change(cells[name], cells[queue[0]])
            if change and name not in queue:
                queue.append(name)
                yield name, queue[0], change
        queue.pop(0)


def _change(cell: CellResult, base: CellResult) -> tuple[str, object] | None:
    """Return the only option in which two cells of a method differ, with its value in `cell`; None if it is not one.

    One value for options of the same name, such as those of two trainings, is one option."""
    if cell.method != base.method or cell.omitted != base.omitted:
        return None
    ours, theirs = flat(cell.options), flat(base.options)
    keys = differing_options(cell, base)
    found = {(key.rpartition(".")[2], json.dumps([ours.get(key), theirs.get(key)])) for key in keys}
    return (keys[0].rpartition(".")[2], ours.get(keys[0], "default")) if len(found) == 1 else None
