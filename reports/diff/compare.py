"""Compares what two names stand for: one pair of results, or all pairs that two sides have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.results import CellResult, did_you_mean, known_studies, normalized
from harness.score import MEASURES, Measure
from reports.diff.names import Name, parse
from reports.diff.pair import Pair, Sources, compare_results
from reports.diff.quoted import compare_quote
from reports.diff.sides import Homes, Results, Side, check_method, find_quote, grouped
from reports.diff.text import many_lines, pair_lines
from reports.inputs import Published, TableSet, has_file, load_published, load_tables, main_measure, read_scorebook

SCHEMA = 1
"""Number of the form of the JSON; fields may be added to it."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All pairs of two sides."""

    pairs: tuple[Pair, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """`variant/benchmark` that one side alone has, for each side."""

    @property
    def measured(self) -> bool:
        """Whether there is a pair of numbers."""
        return any(pair.difference is not None for pair in self.pairs)

    def lines(self, *, everything: bool = False) -> Iterable[str]:
        """Return it as text: one pair in full, several as a table."""
        if len(self.pairs) == 1:
            return pair_lines(self.pairs[0], everything=everything)
        return many_lines(self.pairs, self.only, everything=everything)

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as JSON."""
        return {
            "schema": SCHEMA,
            "measure": self.pairs[0].measure.name,
            "pairs": [pair.to_dict() for pair in self.pairs],
            "only_first": list(self.only[0]),
            "only_second": list(self.only[1]),
        }


class ResultComparer:
    """Says why two results differ, found under the entry point group `harness.comparers`."""

    def compare(self, first: str, second: str, home: Path, *, benchmark: str = "", measure: str = "") -> Compared:
        """Compare two results; `harness.cli.diff` says how they are named. Raises HarnessError."""
        if measure and measure not in MEASURES:
            meant = did_you_mean(measure, MEASURES)
            raise StudyError(f"--measure: no measure {measure!r}{meant}; there are {', '.join(MEASURES)}")
        rule = MEASURES[measure] if measure else None
        tables, published = load_tables(), load_published()
        homes = Homes(tables)
        names = parse(first, home), parse(second, home)
        if all(name.paper for name in names):
            raise StudyError(f"{first}, {second}: both are published numbers; one side must be a result of a home")
        for name in names:
            if name.paper:
                check_method(name.word, published)
        if names[0].paper or names[1].paper:
            return _with_published(names, benchmark, rule, homes, tables, published)
        return _two_sides(names, benchmark, rule, homes)


COMPARER = ResultComparer()


def _two_sides(names: tuple[Name, Name], benchmark: str, measure: Measure | None, homes: Homes) -> Compared:
    first, second = (homes.select(_on(name, benchmark)) for name in homes.settle(*names))
    if (first.home.absolute(), first.cells) == (second.home.absolute(), second.cells):
        raise StudyError(f"{names[0].text}, {names[1].text}: both are the same result; nothing to compare")
    pairs, only = _pair_up(first, second)
    if not pairs:
        known = [", ".join(dict.fromkeys(cell.benchmark for cell in side.cells)) for side in (first, second)]
        raise StudyError(
            f"{names[0].text}, {names[1].text}: nothing in common; A is on {known[0]}, B on {known[1]}; name one "
            "benchmark on each side to compare them nevertheless, as in full/davis16-val"
        )
    sources = _sources(results for pair in pairs for results in pair)
    compared = (compare_results(a, b, measure or main_measure(a.cells), sources) for a, b in pairs)
    return Compared(pairs=tuple(compared), only=only)


def _on(name: Name, benchmark: str) -> Name:
    return replace(name, benchmark=benchmark) if benchmark else name


def _pair_up(one: Side, other: Side) -> tuple[list[tuple[Results, Results]], tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the results that correspond, and what one side alone has.

    They correspond by benchmark, in whole studies also by variant; single results always do."""
    ours, theirs = grouped(one), grouped(other)
    if len(ours) == len(theirs) == 1:
        return [(next(iter(ours.values())), next(iter(theirs.values())))], ((), ())
    if not (one.whole and other.whole):
        ours = {("", benchmark): results for (_, benchmark), results in ours.items()}
        theirs = {("", benchmark): results for (_, benchmark), results in theirs.items()}
    only = tuple(
        tuple("/".join(filter(None, key)) for key in side if key not in others)
        for side, others in ((ours, theirs), (theirs, ours))
    )
    return [(ours[key], theirs[key]) for key in ours if key in theirs], (only[0], only[1])


def _with_published(
    names: tuple[Name, Name],
    benchmark: str,
    measure: Measure | None,
    homes: Homes,
    tables: TableSet,
    published: Published,
) -> Compared:
    quoted_first = names[0].paper
    paper, name = names if quoted_first else names[::-1]
    name = _on(homes.place(homes.read(name), paper), benchmark)
    side = homes.select(name)
    if side.whole and paper.word:
        raise StudyError(f"{name.text}: a whole study; say which variant is compared with {paper.text}")
    found = [(results, find_quote(results, paper.word, tables, published)) for results in grouped(side).values()]
    quotes = [(results, quote) for results, quote in found if quote is not None]
    if not quotes:
        raise StudyError(_no_quote(name, paper, side, published))
    sources = _sources(results for results, _ in quotes)
    pairs = tuple(
        compare_quote(
            results,
            quote,
            measure or main_measure(results.cells),
            sources,
            tables,
            published,
            _masks(results, quote.method, homes),
            quoted_first=quoted_first,
        )
        for results, quote in quotes
    )
    return Compared(pairs=pairs)


def _no_quote(name: Name, paper: Name, side: Side, published: Published) -> str:
    known: dict[str, dict[str, None]] = {}
    for row in published.rows:
        for one in row.values:
            known.setdefault(one, {})[row.method] = None
    on = dict.fromkeys(cell.benchmark for cell in side.cells)
    numbers = "; ".join(f"{one}: {', '.join(known[one])}" for one in on if one in known) or "none"
    what = f"of {paper.word} " if paper.word else ""
    return (
        f"{name.text}, {paper.text}: no published number {what}for {name.variant or name.study} on {', '.join(on)}; "
        f"there are {numbers}"
    )


def _masks(results: Results, method: str, homes: Homes) -> Results | None:
    """Return masks of a method that were scored in the same home on the same truth; None if there are none."""
    cell = results.first
    for study in known_studies(results.home):
        cells = tuple(
            one
            for one in homes.cells(results.home, study)
            if one.submitted and one.benchmark == cell.benchmark and one.protocol == cell.protocol
            if normalized(one.method_label) == normalized(method)
        )
        if cells:
            return Results(home=results.home, study=study, cells=cells)
    return None


def _sources(results: Iterable[Results]) -> Sources:
    cells: list[CellResult] = [cell for one in results for cell in one.done if has_file(cell, "sequences.csv")]
    return Sources(scores=read_scorebook(cells))
