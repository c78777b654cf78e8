"""All tables of a report in sections, before any format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.results import CellResult
from reports.inputs import Budgets, Claims, Lineage, Part, Published, Scorebook, TableSet, split
from reports.tables.accepted import accepted_table
from reports.tables.budgets import budgets_table
from reports.tables.changes import changes_table
from reports.tables.claims import claims_tables, judge_all
from reports.tables.details import detail_tables
from reports.tables.intervals import differences, means
from reports.tables.model import Table
from reports.tables.options import options_table
from reports.tables.overview import all_cells, coverage_table, missing_table, paper_speed, speed
from reports.tables.paper import build_tables, submitted_table
from reports.tables.summary import Summary, summarize


@dataclass(frozen=True, kw_only=True)
class Section:
    """Tables under a heading; `name` is its anchor."""

    name: str
    title: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the formats print."""

    study: str
    question: str
    """The question of the study's file; empty if it is not known."""

    summary: Summary | None
    """None without results."""

    counts: Mapping[str, int]
    """Verdict → number of claims, over all parts."""

    cells: tuple[CellResult, ...]
    parts: tuple[Part, ...]
    sections: tuple[Section, ...]
    absent: Mapping[str, str]
    """Title → why the table is not made."""

    seconds: tuple[Table, ...]
    """Tables of measured seconds, which differ from run to run."""

    @property
    def steady(self) -> tuple[Table, ...]:
        """Tables without seconds: equal results give equal tables."""
        return tuple(table for section in self.sections for table in section.tables)


def compose(
    study: str,
    cells: tuple[CellResult, ...],
    tables: TableSet,
    published: Published,
    claims: Claims,
    scores: Scorebook,
    lineage: Lineage,
    question: str = "",
) -> Content:
    """Return the content of a study's report; `question`: that of its file, if it is known."""
    budgets = Budgets(lineage)
    parts = split(cells)
    made, absent = build_tables(cells, tables, published, budgets)
    paper: list[Table | None] = []
    for one in made:
        paper += [one.table, submitted_table(one, published), differences(one, scores)]
    verdicts = judge_all(claims, parts, scores, budgets)
    summary = summarize(parts, verdicts, tables, scores)
    judged = [claims_tables(given, claims.margin, part) for part, given in zip(parts, verdicts, strict=True)]
    places = [(part, benchmark) for part in parts for benchmark in part.benchmarks]
    options = [options_table(*place, tables, scores) for place in places]
    details, no_details = detail_tables(parts, scores)
    intervals = (means(*place, tables, scores) for place in places)
    trainings = (budgets_table(*place, tables, budgets) for place in places)
    everything = (all_cells(*place, tables) for place in places)
    changes = (changes_table(*place, tables, scores) for place in places)
    coverage = coverage_table(cells), missing_table(cells), accepted_table(cells, lineage)
    measured = [table for top, middle, _ in judged for table in (top, middle) if table]
    no_claims = {} if measured else {"The paper's claims": "the study measures none of them"}
    no_options = {} if any(options) else {"Options beyond the paper": "all of the study's variants are in the paper"}
    return Content(
        study=study,
        question=question,
        summary=summary,
        counts=Counter(one.verdict for given in verdicts for one in given),
        cells=cells,
        parts=parts,
        sections=(
            _section("claims", "Claims", measured),
            _section("changes", "One change at a time", changes),
            _section("coverage", "Coverage and failures", coverage),
            _section("tables", "The paper's tables", paper),
            _section("beyond", "Beyond the paper", options),
            _section("cells", "All cells", (*intervals, *everything, *trainings)),
            _section("details", "In detail", details),
            _section("open", "Claims not measured", (rest for *_, rest in judged)),
        ),
        absent={**no_claims, **absent, **no_options, **no_details},
        seconds=tuple(table for part in parts for table in _seconds(part, tables, published)),
    )


def _section(name: str, title: str, tables: Iterable[Table | None]) -> Section:
    return Section(name=name, title=title, tables=tuple(table for table in tables if table))


def _seconds(part: Part, tables: TableSet, published: Published) -> list[Table]:
    specs = [spec for spec in tables.tables if spec.speed and set(spec.benchmarks) & set(part.benchmarks)]
    return [speed(part, tables), *(paper_speed(spec, part, tables, published) for spec in specs)]
