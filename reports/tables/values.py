"""Values of table cells: means over seeds, with notes on everything that limits them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import fsum

from harness.results import CellResult
from harness.score import MEASURES
from reports.inputs import Part
from reports.statistics import ALPHA, Interval, Needed, holm
from reports.tables.model import NOTHING, Value


def expected_sequences(part: Part) -> Mapping[str, int]:
    """Return benchmark → the most sequences that any of its cells has; a cell with fewer is not comparable."""
    return {name: max(cell.sequences for cell in part.select(name)) for name in part.benchmarks}


def cell_value(cells: tuple[CellResult, ...], measure: str, expected: int) -> Value:
    """Return the mean over the seeds that are done, with a note if it rests on less than all, or why there is none."""
    if not cells:
        return Value(text="not run", notes=("not in this study",))
    known = [cell.values[measure] for cell in cells if cell.done and measure in cell.values]
    missing = [f"{cell.status}: {cell.reason}" if cell.reason else cell.status for cell in cells if not cell.done]
    if not known:
        why = missing or [f"the scores have no {MEASURES[measure].title}"]
        return Value(text=cells[0].status if missing else "–", notes=tuple(dict.fromkeys(why)))
    notes = [f"{len(known)} of {len(cells)} seeds; {missing[0]}"] if missing else []
    short = [cell for cell in cells if cell.done and cell.sequences < expected]
    if short:
        notes.append(f"{short[0].sequences} of {expected} sequences: not comparable")
    mean = fsum(known) / len(known)
    extent = [cells[0].extent] if cells[0].extent else []
    return Value(number=mean, decimals=MEASURES[measure].digits, notes=(*notes, *extent), comparable=not notes)


def interval_values(found: Interval | None) -> tuple[Value, Value, Value]:
    """Return estimate, lower end and upper end."""
    estimate, low, high = (found.estimate, found.low, found.high) if found else (None, None, None)
    return Value(number=estimate), Value(number=low), Value(number=high)


def p_value(p: float | None) -> Value:
    """Return a p-value, printed with as many decimals as show that it is below .05, and as `<.001` rather than as 0."""
    below = p is not None and p < ALPHA
    decimals = next(count for count in range(3, 20) if not below or p is None or round(p, count) < ALPHA)
    return Value(number=p, decimals=decimals, least=0.001)


NEEDED = (
    "Sequences needed: an estimate of how many would decide, after correction for the number of tests, if mean, "
    "scatter and seeds stayed as observed."
)


def needed_value(needed: Needed) -> Value:
    """Return the number of sequences that would decide a difference, or the text instead."""
    return Value(number=needed.sequences, decimals=0, text=needed.instead or NOTHING)


DIFFERENCE = ("difference", "from", "to", "p", "p (Holm)", "detectable")
"""Titles of the columns of `difference_values`."""


def difference_values(found: Sequence[Interval | None]) -> Iterator[tuple[Value, ...]]:
    """Yield estimate, ends, p-value, p-value corrected for all that are given, and smallest detectable value."""
    p_values = [one.p if one else None for one in found]
    for one, p, corrected in zip(found, p_values, holm(p_values), strict=True):
        yield *interval_values(one), p_value(p), p_value(corrected), Value(number=one.detectable if one else None)


def omitted(cells: Iterable[CellResult]) -> str:
    """Return the training stages that the cells go without, as text; all seeds go without the same."""
    return "; ".join(sorted({"; ".join(cell.omitted) for cell in cells if cell.omitted}))


def note_omitted(values: list[Value], notes: list[str]) -> tuple[tuple[Value, ...], tuple[str, ...]]:
    """Return the values and notes of a line, given what the cell of each value goes without.

    It is one note on the line if it is the same for all values, else a note on each value."""
    given = {note for note, value in zip(notes, values, strict=True) if value.number is not None}
    if len(given) == 1:
        return tuple(values), tuple(note for note in given if note)
    noted = (
        replace(value, notes=(*value.notes, note)) if note and value.number is not None else value
        for note, value in zip(notes, values, strict=True)
    )
    return tuple(noted), ()
