"""The tables that any study has: how much of it is there, all its cells, and seconds."""

from __future__ import annotations

from collections import Counter

from reports.inputs.captions import coverage, describe
from reports.inputs.cells import LEFT_OUT, NOT_SCORED, Part, Row
from reports.inputs.published import Published
from reports.inputs.spec import MEASURES, TableSet, TableSpec
from reports.tables.model import (
    MEASURED,
    QUOTED,
    Line,
    Table,
    Value,
    cell_value,
    expected_sequences,
    label_of,
    left_out,
    rank,
    with_left_out,
)

SECONDS = 4
"""Decimals of seconds a frame."""


def coverage_table(rows: tuple[Row, ...]) -> Table:
    """How many cells of each benchmark are filled, `28/30`, and why the others are not."""
    lines = []
    for place in dict.fromkeys((row.scale, row.data_kind, row.benchmark) for row in rows):
        cells = [row for row in rows if (row.scale, row.data_kind, row.benchmark) == place]
        planned = [row for row in cells if row.status not in {LEFT_OUT, NOT_SCORED}]
        done = [row for row in planned if row.done]
        reasons = Counter(why_missing(row) for row in cells if not row.done)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons.items())
        facts = (*place[:2], f"{len(done)}/{len(planned)}", str(len(cells) - len(planned)), why or "–")
        lines.append(Line(label=cells[0].benchmark_title, origin=MEASURED, variant=place[2], facts=facts))
    return Table(
        name="coverage",
        title="Coverage",
        caption="Cells filled of those planned. What the data at hand does not allow is left out, what has no public "
        "truth is not scored; neither is planned to be filled.",
        facts=("scale", "data", "filled", "left out or not scored", "why not"),
        columns=(),
        lines=tuple(lines),
        first="benchmark",
        origins=False,
    )


def missing_table(rows: tuple[Row, ...]) -> Table | None:
    """Every cell without numbers, or without seconds, with the reason; None if there is none."""
    found = [row for row in rows if not row.done or row.reason]
    lines = tuple(
        Line(
            label=row.variant,
            origin=MEASURED,
            variant=row.variant,
            facts=(row.benchmark, str(row.seed), row.scale, row.status, row.reason or NO_REASON),
        )
        for row in found
    )
    return (
        Table(
            name="missing",
            title="Missing cells",
            caption="Cells that are not done have no numbers; those that are done lack what the reason says.",
            facts=("benchmark", "seed", "scale", "status", "reason"),
            columns=(),
            lines=lines,
            origins=False,
        )
        if lines
        else None
    )


NO_REASON = "no reason was recorded"


def why_missing(row: Row) -> str:
    """Status and reason in one."""
    return f"{row.status}: {row.reason or NO_REASON}"


def all_cells(part: Part, tables: TableSet, suffix: str = "") -> tuple[Table, ...]:
    """One table a benchmark: every variant with every measure."""
    return tuple(_all_cells(part, benchmark, tables, suffix) for benchmark in part.benchmarks)


def speed(part: Part, tables: TableSet, suffix: str = "") -> Table:
    """Seconds a frame of every variant on every benchmark; lower is better, on one kind of hardware only."""
    benchmarks = part.benchmarks
    machines = {row.hardware for row in part.rows if row.seconds_per_frame is not None}
    lines = []
    for variant in (name for name in part.variants if name not in part.submitted):
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
                    comparable=len(machines) == 1 and variant != tables.baseline,  # copying is not segmenting
                    notes=() if timed else reasons,
                )
            )
        hardware = ", ".join(sorted(set(used))) or "–"
        lines.append(
            Line(
                label=label_of(variant, part, tables),
                origin=MEASURED,
                variant=variant,
                facts=(hardware,),
                values=tuple(values),
            )
        )
    return Table(
        name=f"speed{suffix}",
        title="Seconds a frame",
        caption=f"{describe(part, masks=False)} Timed alone on its device, one-shot fine-tuning spread over the "
        "frames.",
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
        caption=f"{describe(part, benchmark, masks=False)} Quoted seconds were measured on other hardware; in "
        "brackets: as reported by the method's own paper.",
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
                facts=(label_of(variant, part, tables), method, seeds, count, left_out(cells) or "–", status),
                values=values,
                notes=notes,
            )
        )
    return Table(
        name=f"cells-{benchmark}{suffix}",
        title=f"All cells: {here[0].benchmark_title}",
        caption=f"{describe(part, benchmark)} {coverage(here)}",
        facts=("as", "method", "seeds", "sequences", "went without", "status"),
        columns=tuple(measure.heading for measure in MEASURES.values()),
        lines=rank(lines, [measure.better for measure in MEASURES.values()]),
        origins=False,
    )
