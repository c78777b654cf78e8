"""The tables that any study has: all its cells, what is missing, J by sequence, and seconds."""

from __future__ import annotations

from reports.published import Published
from reports.rows import Part
from reports.scores import Scorebook
from reports.spec import MEASURES, TableSet, TableSpec
from reports.tables import (
    MEASURED,
    QUOTED,
    Line,
    Table,
    Value,
    cell_value,
    expected_sequences,
    left_out,
    rank,
    with_left_out,
)
from reports.words import coverage, describe

SECONDS = 4
"""Decimals of seconds a frame."""

PER_SEQUENCE = "sequences-"
"""What the names of the tables by sequence begin with, before benchmark and part."""


def all_cells(part: Part, tables: TableSet, suffix: str = "") -> tuple[Table, ...]:
    """One table a benchmark: every variant with every measure."""
    return tuple(_all_cells(part, benchmark, tables, suffix) for benchmark in part.benchmarks)


def per_sequence(part: Part, scores: Scorebook, suffix: str = "") -> tuple[Table, ...]:
    """One table a benchmark: sequences × variants, J mean."""
    return tuple(
        table for benchmark in part.benchmarks if (table := _per_sequence(part, benchmark, scores, suffix)) is not None
    )


def speed(part: Part, tables: TableSet, suffix: str = "") -> Table:
    """Seconds a frame of every variant on every benchmark; lower is better, on one kind of hardware only."""
    benchmarks = part.benchmarks
    machines = {row.hardware for row in part.rows if row.seconds_per_frame is not None}
    lines = []
    for variant in part.variants:
        values, used = [], []
        for benchmark in benchmarks:
            timed = [row for row in part.cell(variant, benchmark) if row.seconds_per_frame is not None]
            used += [row.hardware for row in timed]
            seconds = [row.seconds_per_frame for row in timed if row.seconds_per_frame is not None]
            mean = sum(seconds) / len(seconds) if seconds else None
            reasons = tuple(dict.fromkeys(row.reason for row in part.cell(variant, benchmark) if row.reason))
            values.append(
                Value(
                    number=mean,
                    decimals=SECONDS,
                    text="not timed",
                    comparable=len(machines) == 1,
                    notes=() if timed else reasons,
                )
            )
        hardware = ", ".join(sorted(set(used))) or "–"
        lines.append(
            Line(label=tables.label(variant), origin=MEASURED, variant=variant, facts=(hardware,), values=tuple(values))
        )
    return Table(
        name=f"speed{suffix}",
        title="Seconds a frame",
        caption=f"{describe(part)} Timed alone on its device, one-shot fine-tuning spread over the frames.",
        facts=("hardware",),
        columns=benchmarks,
        lines=rank(lines, ["lower"] * len(benchmarks)),
        origins=False,
    )


def speed_beside(spec: TableSpec, part: Part, tables: TableSet, published: Published, suffix: str = "") -> Table:
    """The seconds-a-frame column of one of the paper's tables: ours with the hardware, and the published as printed."""
    benchmark = spec.benchmarks[0]
    lines = []
    for variant, label in [(tables.baseline, ""), *((row.variant, row.label) for row in spec.rows)]:
        cells = part.cell(variant, benchmark)
        seconds = [row.seconds_per_frame for row in cells if row.seconds_per_frame is not None]
        number = sum(seconds) / len(seconds) if seconds else None
        hardware = ", ".join(sorted({row.hardware for row in cells if row.seconds_per_frame is not None})) or "–"
        value = Value(number=number, decimals=SECONDS, text="not timed" if cells else "not run")
        lines.append(
            Line(
                label=label or tables.label(variant),
                origin=MEASURED,
                variant=variant,
                facts=(hardware,),
                values=(value,),
            )
        )
    for row in (published.row(key) for key in spec.published):
        if row.speed:
            value = Value(text=row.speed)
            lines.append(
                Line(label=row.method, origin=QUOTED, source=published.cite(row), facts=("–",), values=(value,))
            )
    return Table(
        name=f"{spec.name}-speed{suffix}",
        title=f"{spec.title}: seconds a frame",
        caption=f"{describe(part)} Quoted seconds were measured on other hardware; in brackets: as reported by the "
        "method's own paper.",
        facts=("hardware",),
        columns=("s/frame",),
        lines=tuple(lines),
    )


def _all_cells(part: Part, benchmark: str, tables: TableSet, suffix: str) -> Table:
    expected = expected_sequences(part)[benchmark]
    here = [row for row in part.rows if row.benchmark == benchmark]
    lines = []
    for variant in dict.fromkeys(row.variant for row in here):
        cells = part.cell(variant, benchmark)
        values, notes = with_left_out(
            [cell_value(cells, measure, expected) for measure in MEASURES], [left_out(cells)] * len(MEASURES)
        )
        seeds = ", ".join(str(row.seed) for row in cells)
        status = ", ".join(sorted({row.status for row in cells}))
        count = f"{max(row.sequences if row.done else 0 for row in cells)}/{expected}"
        method = cells[0].method_label or "–"
        lines.append(
            Line(
                label=variant,
                origin=MEASURED,
                variant=variant,
                facts=(tables.label(variant), method, seeds, count, left_out(cells) or "–", status),
                values=values,
                notes=notes,
            )
        )
    return Table(
        name=f"cells-{benchmark}{suffix}",
        title=f"All cells: {here[0].benchmark_title}",
        caption=f"{describe(part)} {coverage(here)}",
        facts=("as", "method", "seeds", "sequences", "went without", "status"),
        columns=tuple(measure.title for measure in MEASURES.values()),
        lines=rank(lines, [measure.better for measure in MEASURES.values()]),
        origins=False,
    )


def _per_sequence(part: Part, benchmark: str, scores: Scorebook, suffix: str) -> Table | None:
    here = [row for row in part.rows if row.benchmark == benchmark]
    variants = tuple(dict.fromkeys(row.variant for row in here))
    found: dict[str, dict[str, list[float]]] = {}
    for row in here:
        for sequence, value in scores.sequences(row, "J_mean").items() if row.done else ():
            found.setdefault(sequence, {}).setdefault(row.variant, []).append(value)
    if not found:
        return None
    lines = [
        Line(
            label=sequence,
            origin=MEASURED,
            variant=sequence,
            values=tuple(
                Value(number=sum(given) / len(given)) if (given := values.get(variant)) else Value()
                for variant in variants
            ),
        )
        for sequence, values in sorted(found.items())
    ]
    return Table(
        name=f"{PER_SEQUENCE}{benchmark}{suffix}",
        title=f"J mean by sequence: {here[0].benchmark_title}",
        caption=f"{describe(part)} {coverage(here)}",
        facts=(),
        columns=variants,
        lines=tuple(lines),
        first="sequence",
        origins=False,
    )
