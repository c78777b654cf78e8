"""Rows and published numbers → tables, free of any format.

A line of a table is measured or quoted, never both. Best and second are marked among the measured lines of one table
that are complete; a table is made of one Part, so that everything measured in it is comparable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import fsum

from harness.results.rows import plain
from reports.inputs.captions import FROM_MASKS, coverage, describe
from reports.inputs.cells import Part, Row, natural, split
from reports.inputs.published import Published, Quoted
from reports.inputs.spec import MEASURES, ColumnSpec, RowSpec, TableSet, TableSpec

MEASURED = "measured"
QUOTED = "quoted"
NOTHING = "–"
"""Shown where a source has no number."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a table, or the reason why there is none."""

    number: float | None = None
    decimals: int = 3
    text: str = NOTHING
    """Shown where there is no number."""

    rank: int = 0
    """1 best, 2 second, 0 neither."""

    notes: tuple[str, ...] = ()
    comparable: bool = False
    """Whether it takes part in the ranking."""

    quoted: bool = False
    """Set where a published number stands in a measured line."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table."""

    label: str
    origin: str
    """MEASURED or QUOTED."""

    source: str = ""
    """Of a quoted line: paper and table."""

    how: str = ""
    """Of a measured line that was not made here: FROM_MASKS."""

    variant: str = ""
    """Of a measured line: its name in the study."""

    facts: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the formats print."""

    name: str
    """Of its files."""

    title: str
    caption: str
    """Says scale, data kind, protocol and coverage."""

    facts: tuple[str, ...]
    """Titles of the columns of text."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    first: str = "variant"
    """Title of the first column."""

    origins: bool = True
    """Whether to print where a line is from (a table of measured lines alone needs no such column)."""

    @property
    def notes(self) -> tuple[str, ...]:
        """All its footnotes, in order of first use."""
        found = (
            note for line in self.lines for note in (*line.notes, *(n for value in line.values for n in value.notes))
        )
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class Made:
    """A table of tables.yaml, and what it was made of."""

    spec: TableSpec
    part: Part
    """Without rows where nothing was measured."""

    table: Table


def build_tables(
    rows: Iterable[Row], tables: TableSet, published: Published
) -> tuple[tuple[Made, ...], Mapping[str, str]]:
    """The tables that the rows allow, the paper's own even where they allow nothing; title → reason for the rest."""
    rows = tuple(rows)
    made: list[Made] = []
    absent: dict[str, str] = {}
    for spec in tables.tables:
        parts = split(rows, spec.benchmarks)
        reason = _unmeasured(spec, parts)
        if reason and spec.always:
            made.append(Made(spec=spec, part=NO_PART, table=quoted_only(spec, tables, published, reason)))
        elif reason:
            absent[spec.title] = reason
        else:
            for turn, part in enumerate(parts):
                table = build(spec, part, tables, published, turn, len(parts))
                made.append(Made(spec=spec, part=part, table=table))
    return tuple(made), absent


NO_PART = Part(scale="", data_kind="", protocols={}, rows=())


def build(spec: TableSpec, part: Part, tables: TableSet, published: Published, turn: int = 0, turns: int = 1) -> Table:
    """One table from one part; `turn` of `turns` parts that must not be mixed."""
    lines = _lines(spec, part, tables, published)
    cells = [
        row for line in lines if line.variant for bench in spec.benchmarks for row in part.cell(line.variant, bench)
    ]
    return Table(
        name=spec.name if turns == 1 else f"{spec.name}-part{turn + 1}",
        title=spec.title if turns == 1 else f"{spec.title} (part {turn + 1} of {turns})",
        caption=f"{spec.about} {describe(part, masks=any(line.how for line in lines))} {coverage(cells)}",
        facts=tuple(spec.facts.values()),
        columns=tuple(column.heading for column in spec.columns),
        lines=rank(lines, [MEASURES[column.measure].better for column in spec.columns]),
    )


def quoted_only(spec: TableSpec, tables: TableSet, published: Published, reason: str) -> Table:
    """A table of the paper of which nothing was measured, for that reason."""
    absent = Value(text="not run", notes=(reason,))
    lines = [
        replace(line, values=(absent,) * len(spec.columns)) if line.origin == MEASURED else line
        for line in _lines(spec, NO_PART, tables, published)
    ]
    return Table(
        name=spec.name,
        title=spec.title,
        caption=f"{spec.about} Nothing in it was measured: {reason}.",
        facts=tuple(spec.facts.values()),
        columns=tuple(column.heading for column in spec.columns),
        lines=tuple(lines),
    )


def _lines(spec: TableSpec, part: Part, tables: TableSet, published: Published) -> list[Line]:
    expected = expected_sequences(part)
    lines = [_measured(tables.baseline, RowSpec(variant=tables.baseline, label=""), spec, part, tables, expected)]
    for row in spec.rows:
        variants = [row.variant] if row.variant else [v for v in part.variants if fnmatchcase(v, row.pattern)]
        for variant in sorted(variants, key=natural):
            lines.append(_measured(variant, row, spec, part, tables, expected))
        if row.published:
            lines.append(_quoted(published.row(row.published), spec, published))
    if not spec.published:
        return lines
    quoted = {key: published.row(key) for key in spec.published}
    known = {plain(one.method) for one in quoted.values()}
    handed = [name for name in part.submitted if any(part.cell(name, one) for one in spec.benchmarks)]
    lines += [_submitted(name, spec, part, expected) for name in handed if name not in known]
    for one in quoted.values():
        lines += [_submitted(name, spec, part, expected, one) for name in handed if name == plain(one.method)]
        lines.append(_quoted(one, spec, published))
    return lines


def _unmeasured(spec: TableSpec, parts: tuple[Part, ...]) -> str:
    """Why the study has nothing to say in a table; empty if it has. One of the paper's own needs one of its variants,
    or masks that were handed in where it has rivals; a comparison needs all of them."""
    if not parts:
        return f"the study has no benchmark {' or '.join(spec.benchmarks)}"
    if spec.published and any(part.submitted for part in parts):
        return ""
    variants = {row.variant for part in parts for row in part.rows}
    lacking = [one.variant or one.pattern for one in spec.rows if not any(_matches(one, name) for name in variants)]
    if len(lacking) == len(spec.rows) or (lacking and not spec.always):
        return f"the study has no variant {', '.join(lacking)}"
    return ""


def expected_sequences(part: Part) -> Mapping[str, int]:
    """Benchmark → the most sequences that any of its rows has; a row with fewer is not comparable."""
    return {name: max(row.sequences for row in part.rows if row.benchmark == name) for name in part.benchmarks}


def cell_value(cells: tuple[Row, ...], measure: str, expected: int) -> Value:
    """The mean over the seeds that are done, or why there is none; a value that rests on less than all says so."""
    known = [row.values[measure] for row in cells if row.done and measure in row.values]
    if not cells:
        return Value(text="not run", notes=("not in this study",))
    missing = [f"{row.status}: {row.reason}" if row.reason else row.status for row in cells if not row.done]
    if not known:
        why = missing or [f"the scores have no {MEASURES[measure].title}"]
        return Value(text=cells[0].status if missing else "–", notes=tuple(dict.fromkeys(why)))
    notes = [f"{len(known)} of {len(cells)} seeds; {missing[0]}"] if missing else []
    short = [row for row in cells if row.done and row.sequences < expected]
    if short:
        notes.append(f"{short[0].sequences} of {expected} sequences: not comparable")
    return Value(
        number=fsum(known) / len(known),
        decimals=MEASURES[measure].decimals,
        notes=tuple(notes),
        comparable=not notes,
    )


def rank(lines: Iterable[Line], better: Iterable[str]) -> tuple[Line, ...]:
    """The lines with best and second marked in every column, as printed: what rounds to the same shares its rank, and
    where several are best, none is second."""
    lines = list(lines)
    for place, direction in enumerate(better):
        numbers = sorted(
            (
                round(value.number, value.decimals)
                for line in lines
                if line.origin == MEASURED and (value := line.values[place]).comparable and value.number is not None
            ),
            reverse=direction == "higher",
        )
        best = numbers[:2] if len(set(numbers)) > 1 else []
        for index, line in enumerate(lines):
            value = line.values[place]
            if line.origin == MEASURED and value.comparable and value.number is not None:
                rounded = round(value.number, value.decimals)
                marked = replace(value, rank=best.index(rounded) + 1 if rounded in best else 0)
                lines[index] = replace(line, values=(*line.values[:place], marked, *line.values[place + 1 :]))
    return tuple(lines)


def with_left_out(values: list[Value], left_out: list[str]) -> tuple[tuple[Value, ...], tuple[str, ...]]:
    """Values and notes of a line whose cells went without what `left_out` says, cell by cell: one note on the line
    where it is the same for all, else one on each value."""
    given = {text for text, value in zip(left_out, values, strict=True) if value.number is not None}
    if len(given) == 1:
        text = given.pop()
        return tuple(values), ((text,) if text else ())
    noted = [
        replace(value, notes=(*value.notes, text)) if text and value.number is not None else value
        for text, value in zip(left_out, values, strict=True)
    ]
    return tuple(noted), ()


def left_out(cells: Iterable[Row]) -> str:
    """What a cell went without, in words; its seeds went without the same."""
    return "; ".join(sorted({row.left_out for row in cells if row.left_out}))


def _measured(
    variant: str, row: RowSpec, spec: TableSpec, part: Part, tables: TableSet, expected: Mapping[str, int]
) -> Line:
    def cells(column: ColumnSpec) -> tuple[Row, ...]:
        return part.cell(variant, column.benchmark)

    star = variant[len(row.pattern) - 1 :] if row.pattern.endswith("*") else variant
    values, notes = with_left_out(
        [cell_value(cells(c), c.measure, expected.get(c.benchmark, 0)) for c in spec.columns],
        [left_out(cells(column)) for column in spec.columns],
    )
    return Line(
        label=row.label.replace("{}", star) or tables.label(variant),
        origin=MEASURED,
        variant=variant,
        facts=tuple(row.facts.get(key, "–") for key in spec.facts),
        values=values,
        notes=notes,
    )


def _submitted(
    name: str, spec: TableSpec, part: Part, expected: Mapping[str, int], quoted: Quoted | None = None
) -> Line:
    """A method's own masks, scored here; `quoted`: the published row of the same method."""
    cells = [part.cell(name, column.benchmark) for column in spec.columns]
    facts = quoted.facts if quoted else {}
    return Line(
        label=quoted.method if quoted else label_of(name, part),
        origin=MEASURED,
        how=FROM_MASKS,
        variant=name,
        facts=tuple(facts.get(key, "–") for key in spec.facts),
        values=tuple(
            cell_value(found, column.measure, expected.get(column.benchmark, 0))
            for found, column in zip(cells, spec.columns, strict=True)
        ),
    )


def label_of(variant: str, part: Part, tables: TableSet | None = None) -> str:
    """What a variant is called in a table that lists it with others."""
    if variant in part.submitted:
        return next(row.method_label for row in part.rows if row.variant == variant and row.submitted)
    return tables.label(variant) if tables else variant


def _quoted(row: Quoted, spec: TableSpec, published: Published) -> Line:
    def value(column: ColumnSpec) -> Value:
        number = row.values.get(column.benchmark, {}).get(column.measure)
        return Value(
            number=number, decimals=MEASURES[column.measure].decimals, text="not available" if row.unavailable else "–"
        )

    return Line(
        label=row.method,
        origin=QUOTED,
        source=published.cite(row),
        facts=tuple(row.facts.get(key, "–") for key in spec.facts),
        values=tuple(value(column) for column in spec.columns),
    )


def _matches(row: RowSpec, variant: str) -> bool:
    return variant == row.variant or bool(row.pattern and fnmatchcase(variant, row.pattern))
