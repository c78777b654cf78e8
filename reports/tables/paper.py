"""The paper's tables: measured variants, submitted masks and published rows, as tables.yaml lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from harness.results import CellResult, normalized
from harness.score import MEASURES
from reports.inputs import (
    FROM_MASKS,
    Budgets,
    Part,
    Published,
    Quoted,
    RowSpec,
    TableSet,
    TableSpec,
    coverage,
    describe,
    label_of,
    split,
)
from reports.tables.budgets import same_training
from reports.tables.columns import about_measure
from reports.tables.model import MEASURED, NOTHING, QUOTED, Line, Table, Value, rank
from reports.tables.rows import own_rows, trained_rows
from reports.tables.values import cell_value, expected_sequences, note_omitted, omitted

NO_PART = Part(scale="", data_kind="", protocols={}, cells=())


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of tables.yaml with what it was made of; the part is empty if nothing was measured."""

    spec: TableSpec
    part: Part
    table: Table


def build_tables(
    cells: Iterable[CellResult], tables: TableSet, published: Published, budgets: Budgets
) -> tuple[tuple[PaperTable, ...], Mapping[str, str]]:
    """Return the tables that the cells allow, one per part, and title → reason for the others.

    The paper's own tables are made even if nothing in them was measured, unless no cell is of their benchmarks."""
    cells = tuple(cells)
    ours = {name for spec in tables.tables for name in spec.benchmarks} & {cell.benchmark for cell in cells}
    made: list[PaperTable] = []
    absent: dict[str, str] = {}
    for spec in tables.tables:
        parts = split(cells, spec.benchmarks)
        reason = _unmeasured(spec, parts)
        if reason and spec.always and ours:
            table = _table(spec, NO_PART, tables, published, budgets, reason)
            made.append(PaperTable(spec=spec, part=NO_PART, table=table))
        elif reason:
            absent[spec.title] = reason
        else:
            of_parts = [(part, _table(spec, part, tables, published, budgets)) for part in parts]
            made += [PaperTable(spec=spec, part=part, table=table) for part, table in of_parts]
    return tuple(made), absent


def submitted_table(paper: PaperTable, published: Published) -> Table | None:
    """Return the values of every method whose masks were scored next to its published ones; None if there is none."""
    spec, made, published = paper.spec, paper.table, published.comparable_with(paper.part)
    quoted = {normalized(row.method): row for row in map(published.row, spec.published)}
    lines = []
    for line in made.lines:
        row = quoted.get(normalized(line.label)) if line.submitted else None
        for value, column in zip(line.values, spec.columns, strict=True):
            given = row.values.get(column.benchmark, {}).get(column.measure) if row else None
            if row and given is not None:
                difference = None if value.number is None else value.number - given
                ours, theirs = replace(value, rank=0), Value(number=given, quoted=True)
                values = (ours, theirs, Value(number=difference, decimals=4))
                lines.append(replace(line, facts=(column.heading, published.cite(row)), values=values, notes=()))
    if not lines:
        return None
    return Table(
        name=f"{made.name}-submitted",
        title=f"{made.title}: submitted masks next to the published values",
        caption=f"Ours: {FROM_MASKS}. Published: quoted, in italics. {made.caption}",
        facts=("column", "published in"),
        columns=("ours", "published", "difference"),
        explained={"ours": "The value scored here.", "difference": "Ours minus published."},
        lines=tuple(lines),
        first="method",
    )


def _table(
    spec: TableSpec, part: Part, tables: TableSet, published: Published, budgets: Budgets, reason: str = ""
) -> Table:
    """Return a table; `reason`: why nothing in it was measured."""
    published = published.comparable_with(part)
    lines = _lines(spec, part, tables, published)
    if reason:
        absent = (Value(text="not run", notes=(reason,)),) * len(spec.columns)
        lines = [replace(line, values=absent) if line.origin == MEASURED else line for line in lines]
        caption = f"Nothing in this table was measured: {reason}."
    else:
        variants = [line.variant for line in lines if line.variant]
        cells = [cell for variant in variants for name in spec.benchmarks for cell in part.select(name, variant)]
        ran = list(dict.fromkeys(cell.variant for cell in cells if cell.done and not cell.submitted))
        training = same_training(ran, spec.benchmarks, part, tables, budgets)
        shown = describe(part, masks=any(line.submitted for line in lines))
        caption = " ".join(filter(None, (training, shown, coverage(cells))))
    return Table(
        name=f"{spec.name}{part.suffix}",
        title=spec.title if part.total == 1 else f"{spec.title} (part {part.number} of {part.total})",
        caption=f"{spec.about} {caption}",
        facts=tuple(spec.facts.values()),
        columns=tuple(column.heading for column in spec.columns),
        explained={one.heading: f"On {one.benchmark}: {about_measure(MEASURES[one.measure])}" for one in spec.columns},
        lines=rank(lines, [MEASURES[column.measure].higher_is_better for column in spec.columns]),
        origins=True,
    )


def _lines(spec: TableSpec, part: Part, tables: TableSet, published: Published) -> list[Line]:
    lines = [_measured(tables.baseline, RowSpec(variant=tables.baseline, label=""), spec, part, tables)]
    for variant, row in own_rows(spec, part):
        lines.append(_measured(variant, row, spec, part, tables))
        if row.published:
            lines.append(_quoted(published.row(row.published), spec, published, part))
    quoted = {key: published.row(key) for key in spec.published}
    if not quoted:
        return lines
    known = {normalized(row.method) for row in quoted.values()}
    shown = [name for name in part.submitted if any(part.select(one, name) for one in spec.benchmarks)]
    submitted = {name: normalized(label_of(name, part, tables)) for name in shown}
    lines += [_submitted(name, spec, part, tables) for name, method in submitted.items() if method not in known]
    for one in quoted.values():
        lines += [_measured(name, row, spec, part, tables) for name, row in trained_rows(one, spec, part)]
        same = [name for name, method in submitted.items() if method == normalized(one.method)]
        lines += [_submitted(name, spec, part, tables, one) for name in same]
        lines.append(_quoted(one, spec, published, part))
    return lines


def _unmeasured(spec: TableSpec, parts: tuple[Part, ...]) -> str:
    """Return why nothing in a table was measured; empty if something was.

    A table of the paper needs one of its variants, or submitted masks if it quotes rivals; a comparison needs all."""
    if not parts:
        return f"the study has no benchmark {' or '.join(spec.benchmarks)}"
    if spec.published and any(part.submitted for part in parts):
        return ""
    variants = {variant for part in parts for variant in part.variants}
    lacking = [row.variant or row.pattern for row in spec.rows if not any(map(row.matches, variants))]
    if len(lacking) == len(spec.rows) or (lacking and not spec.always):
        return f"the study has no variant {', '.join(lacking)}"
    return ""


def _values(variant: str, spec: TableSpec, part: Part) -> list[Value]:
    expected = expected_sequences(part)
    return [
        cell_value(part.select(column.benchmark, variant), column.measure, expected.get(column.benchmark, 0))
        for column in spec.columns
    ]


def _measured(variant: str, row: RowSpec, spec: TableSpec, part: Part, tables: TableSet) -> Line:
    star = variant[len(row.pattern) - 1 :] if row.pattern.endswith("*") else variant
    without = [omitted(part.select(column.benchmark, variant)) for column in spec.columns]
    values, notes = note_omitted(_values(variant, spec, part), without)
    label = row.label.replace("{}", star) or tables.label(variant)
    facts = tuple(row.facts.get(key, NOTHING) for key in spec.facts)
    return Line(label=label, variant=variant, facts=facts, values=values, notes=notes)


def _submitted(variant: str, spec: TableSpec, part: Part, tables: TableSet, quoted: Quoted | None = None) -> Line:
    """Return the line of submitted masks; `quoted`: the published row of the same method."""
    return Line(
        label=quoted.method if quoted else label_of(variant, part, tables),
        source=FROM_MASKS,
        variant=variant,
        facts=tuple((quoted.facts if quoted else {}).get(key, NOTHING) for key in spec.facts),
        values=tuple(_values(variant, spec, part)),
    )


def _quoted(row: Quoted, spec: TableSpec, published: Published, part: Part) -> Line:
    absent = "not available" if row.unavailable else NOTHING
    values = []
    for column in spec.columns:
        text = "not shown" if column.benchmark in part.partial else absent
        number = row.values.get(column.benchmark, {}).get(column.measure)
        values.append(Value(number=number, decimals=MEASURES[column.measure].digits, text=text))
    facts = tuple(row.facts.get(key, NOTHING) for key in spec.facts)
    return Line(label=row.method, origin=QUOTED, source=published.cite(row), facts=facts, values=tuple(values))
