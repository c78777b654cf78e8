"""Tables as values, free of any format.

A line of a table is measured or quoted, never both. The best and the second value of a column are marked among the
measured lines that are complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from reports.inputs import format_number
from reports.tables.columns import COLUMNS

MEASURED = "measured"
QUOTED = "quoted"
NOTHING = "–"
"""Text where a source has no number."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a table, or the reason for its absence."""

    number: float | None = None
    decimals: int = 3
    text: str = NOTHING
    rank: int = 0
    """1 best, 2 second, 0 neither."""

    notes: tuple[str, ...] = ()
    comparable: bool = False
    """Whether it takes part in the ranking; never true of a quoted number."""

    quoted: bool = False
    """Whether it is a published number in a measured line."""

    least: float = 0.0
    """Smallest number that is printed; a smaller one is printed as below it."""

    @property
    def shown(self) -> str:
        """The number as text, or the text in its place."""
        if self.number is None:
            return self.text
        small = self.least and self.number < self.least
        return f"<{format_number(self.least)}" if small else format_number(self.number, self.decimals)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table."""

    label: str
    origin: str = MEASURED
    source: str = ""
    """Paper and table of a quoted line; FROM_MASKS for a measured line of submitted masks."""

    variant: str = ""
    """Name in the study of a measured line."""

    facts: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def submitted(self) -> bool:
        """Whether it was measured from submitted masks."""
        return self.origin == MEASURED and bool(self.source)

    @property
    def origin_text(self) -> str:
        """Origin of the numbers as text."""
        return self.source or MEASURED if self.origin == MEASURED else f"quoted: {self.source}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a report."""

    name: str
    title: str
    caption: str
    """What the table shows, scale, data kind, protocol and coverage, among others."""

    method: str = ""
    """How its intervals and tests are computed, as sentences; empty without any."""

    facts: tuple[str, ...]
    """Titles of the text columns."""

    columns: tuple[str, ...]
    """Titles of the number columns."""

    lines: tuple[Line, ...]
    first: str = "variant"
    """Title of the first column."""

    origins: bool = False
    """Whether a column shows the origin of each line; needed if not all lines are measured."""

    folded: bool = False
    """Whether pages show the table only on demand."""

    explained: Mapping[str, str] = field(default_factory=dict)
    """Title of a column → its meaning, for titles that only this table has."""

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Titles of the columns left of the numbers."""
        return (self.first, *(("origin",) if self.origins else ()), *self.facts)

    def meaning(self, title: str) -> str:
        """Return what a column means; empty if nothing says so."""
        return self.explained.get(title) or COLUMNS.get(title, "")

    @cached_property
    def notes(self) -> Mapping[str, int]:
        """Footnote → its number, in order of first use."""
        notes = (n for line in self.lines for n in (*line.notes, *(n for value in line.values for n in value.notes)))
        return {note: number for number, note in enumerate(dict.fromkeys(notes), 1)}


def rank(lines: Iterable[Line], higher_is_better: Iterable[bool]) -> tuple[Line, ...]:
    """Return the lines with the best and second value of every column marked.

    Values that are equal as printed share a rank; if several are best, none is second."""
    lines = list(lines)
    for place, higher in enumerate(higher_is_better):
        column = [line.values[place] for line in lines]
        numbers = [round(v.number, v.decimals) if v.comparable and v.number is not None else None for v in column]
        ordered = sorted((number for number in numbers if number is not None), reverse=higher)
        best = ordered[:2] if len(set(ordered)) > 1 else []
        for index, number in enumerate(numbers):
            if number in best:
                values = list(lines[index].values)
                values[place] = replace(values[place], rank=best.index(number) + 1)
                lines[index] = replace(lines[index], values=tuple(values))
    return tuple(lines)
