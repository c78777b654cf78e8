"""Everything that a report says, as tables in sections, before any format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reports.inputs.cells import Part, Row, split
from reports.inputs.claims import Claims
from reports.inputs.published import Published
from reports.inputs.scores import Scorebook
from reports.inputs.spec import TableSet
from reports.inputs.submission import beside_published
from reports.tables.details import all_details
from reports.tables.intervals import claims_tables, differences, means
from reports.tables.model import Table, build_tables
from reports.tables.options import beyond
from reports.tables.overview import all_cells, coverage_table, missing_table, speed, speed_beside


@dataclass(frozen=True, kw_only=True)
class Section:
    """Tables under a heading."""

    name: str
    """Of its anchor."""

    title: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the formats print."""

    study: str
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    sections: tuple[Section, ...]
    """The claims first."""

    absent: Mapping[str, str]
    """Title → why the table is not made."""

    seconds: tuple[Table, ...]
    """Apart from the rest: they differ from run to run."""

    @property
    def steady(self) -> tuple[Table, ...]:
        """The tables that equal rows make equal, seconds aside."""
        return tuple(table for section in self.sections for table in section.tables)


def compose(
    study: str, rows: Iterable[Row], tables: TableSet, published: Published, claims: Claims, scores: Scorebook
) -> Content:
    """The content of a study's report."""
    rows = tuple(rows)
    parts = split(rows)
    named = tuple(zip(parts, suffixes(parts), strict=True))
    made, absent = build_tables(rows, tables, published)
    paper: list[Table] = []
    for one in made:
        paper.append(one.table)
        apart = differences(one.spec, one.table, one.part, scores) if one.spec.reference else None
        handed = beside_published(one.spec, one.table, published)
        paper += [table for table in (handed, apart) if table]
    judged = [claims_tables(claims, part, scores, suffix) for part, suffix in named]
    options = [
        table
        for part, suffix in named
        for benchmark in part.benchmarks
        if (table := beyond(part, benchmark, tables, scores, suffix)) is not None
    ]
    details, no_details = all_details(named, scores)
    missing = missing_table(rows)
    none = {} if options else {"Options beyond the paper": "the study has no variant that the paper has not"}
    unjudged = (
        {} if any(top for top, _ in judged) else {"The paper's claims": "the rows of this study bear on none of them"}
    )
    return Content(
        study=study,
        rows=rows,
        parts=parts,
        sections=(
            Section(name="claims", title="Claims", tables=tuple(top for top, _ in judged if top)),
            Section(
                name="coverage",
                title="Coverage and failures",
                tables=(*([coverage_table(rows)] if rows else []), *([missing] if missing else [])),
            ),
            Section(name="tables", title="The paper's tables", tables=tuple(paper)),
            Section(name="beyond", title="Beyond the paper", tables=tuple(options)),
            Section(
                name="cells",
                title="All cells",
                tables=(
                    *(table for part, suffix in named for table in means(part, tables, scores, suffix)),
                    *(table for part, suffix in named for table in all_cells(part, tables, suffix)),
                ),
            ),
            Section(name="details", title="In detail", tables=details),
            Section(name="open", title="Claims not measured", tables=tuple(rest for _, rest in judged if rest)),
        ),
        absent={**unjudged, **absent, **none, **no_details},
        seconds=tuple(table for part, suffix in named for table in _seconds(part, tables, published, suffix)),
    )


def suffixes(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What the names of a part's files end with: nothing if there is one part."""
    return tuple("" if len(parts) == 1 else f"-part{turn + 1}" for turn in range(len(parts)))


def _seconds(part: Part, tables: TableSet, published: Published, suffix: str) -> list[Table]:
    beside = [spec for spec in tables.tables if spec.speed and set(spec.benchmarks) & set(part.benchmarks)]
    return [speed(part, tables, suffix), *(speed_beside(spec, part, tables, published, suffix) for spec in beside)]
