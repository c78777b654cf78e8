"""Methods whose masks were handed in and scored here, beside what is published of them."""

from __future__ import annotations

from dataclasses import replace

from harness.results.rows import plain
from reports.inputs.captions import FROM_MASKS
from reports.inputs.published import Published
from reports.inputs.spec import TableSpec
from reports.tables.model import MEASURED, Line, Table, Value


def beside_published(spec: TableSpec, made: Table, published: Published) -> Table | None:
    """Every method of a table whose masks were scored here, beside its published values; None if there is none."""
    lines = []
    quoted = {plain(row.method): row for row in map(published.row, spec.published)}
    for line in made.lines:
        row = quoted.get(line.variant) if line.how else None
        for value, column in zip(line.values, spec.columns, strict=True):
            given = row.values.get(column.benchmark, {}).get(column.measure) if row else None
            if row and given is not None:
                away = None if value.number is None else value.number - given
                lines.append(
                    Line(
                        label=line.label,
                        origin=MEASURED,
                        how=FROM_MASKS,
                        variant=line.variant,
                        facts=(column.heading, published.cite(row)),
                        values=(
                            replace(value, rank=0),
                            Value(number=given, quoted=True),
                            Value(number=away, decimals=4),
                        ),
                    )
                )
    return (
        Table(
            name=f"{made.name}-submitted",
            title=f"{made.title}: masks scored by us beside the published values",
            caption=f"Ours: {FROM_MASKS}. Published: quoted, in italics. {made.caption}",
            facts=("column", "published in"),
            columns=("ours", "published", "difference"),
            lines=tuple(lines),
            first="method",
            origins=False,
        )
        if lines
        else None
    )
