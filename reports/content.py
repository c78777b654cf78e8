"""Everything that a report says, as tables in sections, before any format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reports.claims import Claims
from reports.overview import all_cells, per_sequence, speed, speed_beside
from reports.published import Published
from reports.rows import Part, Row, split
from reports.scores import Scorebook
from reports.spec import TableSet
from reports.sure import claims_tables, differences, means
from reports.tables import Table, build_tables


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the formats print, in this order."""

    study: str
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    claims: tuple[Table, ...]
    paper: tuple[Table, ...]
    """The paper's tables and ablations, each followed by its differences."""

    overview: tuple[Table, ...]
    """Means with intervals, all cells, J by sequence, claims not measured."""

    absent: Mapping[str, str]
    """Title → why the table is not made."""

    seconds: tuple[Table, ...]
    """Apart from the rest: they differ from run to run."""

    @property
    def steady(self) -> tuple[Table, ...]:
        """The tables that equal rows make equal, seconds aside."""
        return (*self.claims, *self.paper, *self.overview)

    @property
    def missing(self) -> tuple[tuple[str, ...], ...]:
        """(variant, benchmark, seed, scale, status, reason) of every cell without numbers."""
        return tuple(
            (row.variant, row.benchmark, str(row.seed), row.scale, row.status, row.reason or "no reason was recorded")
            for row in self.rows
            if not row.done
        )


def compose(
    study: str, rows: Iterable[Row], tables: TableSet, published: Published, claims: Claims, scores: Scorebook
) -> Content:
    """The content of a study's report."""
    rows = tuple(rows)
    parts = split(rows)
    named = tuple(zip(parts, suffixes(parts), strict=True))
    made, absent = build_tables(rows, tables, published)
    paper: list[Table] = []
    for spec, part, table in made:
        paper.append(table)
        apart = differences(spec, table, part, scores) if spec.reference else None
        paper += [apart] if apart else []
    judged = [claims_tables(claims, part, scores, suffix) for part, suffix in named]
    return Content(
        study=study,
        rows=rows,
        parts=parts,
        claims=tuple(top for top, _ in judged),
        paper=tuple(paper),
        overview=(
            *(table for part, suffix in named for table in means(part, tables, scores, suffix)),
            *(table for part, suffix in named for table in all_cells(part, tables, suffix)),
            *(table for part, suffix in named for table in per_sequence(part, scores, suffix)),
            *(rest for _, rest in judged if rest),
        ),
        absent=absent,
        seconds=tuple(table for part, suffix in named for table in _seconds(part, tables, published, suffix)),
    )


def suffixes(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What the names of a part's files end with: nothing if there is one part."""
    return tuple("" if len(parts) == 1 else f"-part{turn + 1}" for turn in range(len(parts)))


def _seconds(part: Part, tables: TableSet, published: Published, suffix: str) -> list[Table]:
    beside = [spec for spec in tables.tables if spec.speed and set(spec.benchmarks) & set(part.benchmarks)]
    return [speed(part, tables, suffix), *(speed_beside(spec, part, tables, published, suffix) for spec in beside)]
