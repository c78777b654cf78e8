"""Tables of any study: coverage, missing cells, all cells, and seconds per frame."""

from __future__ import annotations

from collections import Counter

from harness.results import CellResult
from reports.inputs import Part, Published, TableSet, TableSpec, coverage, describe, label_of, measures_of
from reports.tables.model import NOTHING, QUOTED, Line, Table, Value, rank
from reports.tables.rows import own_rows, trained_rows
from reports.tables.values import cell_value, expected_sequences, note_omitted, omitted

DIGITS = 4  # of seconds

_WHOLE = "Whole process: the start of the program and the loading of its network count, since it reported no frames."

NO_REASON = "no reason was recorded"


def coverage_table(cells: tuple[CellResult, ...]) -> Table | None:
    """Return how many cells of each benchmark are filled, `28/30`, and why the others are not; None without cells."""
    if not cells:
        return None
    lines = []
    for place in dict.fromkeys((*cell.group, cell.benchmark) for cell in cells):
        here = [cell for cell in cells if (*cell.group, cell.benchmark) == place]
        planned = [cell for cell in here if cell.planned]
        filled = f"{sum(cell.done for cell in planned)}/{len(planned)}"
        reasons = Counter(f"{cell.status}: {cell.reason or NO_REASON}" for cell in here if not cell.done)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons.items())
        origin, scale, data_kind, benchmark = place
        facts = (scale or origin, data_kind, filled, str(len(here) - len(planned)), why or NOTHING)
        title = next((cell.title for cell in here if cell.extent), here[0].title)
        lines.append(Line(label=title, variant=benchmark, facts=facts))
    return Table(
        name="coverage",
        title="Coverage",
        caption="Filled cells out of the planned ones. A cell is skipped if the available data does not allow it, and "
        "not scored if the ground truth is not public; neither counts as planned.",
        facts=("scale", "data", "filled", "skipped or not scored", "reason"),
        columns=(),
        lines=tuple(lines),
        first="benchmark",
    )


def missing_table(cells: tuple[CellResult, ...]) -> Table | None:
    """Return every cell without numbers, or without seconds, with the reason; None if there is none."""
    lines = []
    for cell in cells:
        if not cell.filled:
            facts = (cell.benchmark, str(cell.seed), cell.scale or cell.origin, cell.status, cell.reason or NO_REASON)
            lines.append(Line(label=cell.variant, variant=cell.variant, facts=facts))
    if not lines:
        return None
    return Table(
        name="missing",
        title="Missing cells",
        caption="Cells that are not done have no numbers; cells that are done lack what the reason says.",
        facts=("benchmark", "seed", "scale", "status", "reason"),
        columns=(),
        lines=tuple(lines),
    )


def speed(part: Part, tables: TableSet) -> Table:
    """Return seconds per frame of every variant on every benchmark, ranked only if all were timed on one machine."""
    machines = {cell.hardware for cell in part.cells if cell.seconds_per_frame is not None}
    lines = []
    for variant in (name for name in part.variants if name not in part.submitted):
        values, timed = [], []
        for benchmark in part.benchmarks:
            cells = part.select(benchmark, variant)
            seconds, hardware = _seconds(cells)
            timed += hardware
            notes = () if hardware else tuple(dict.fromkeys(cell.reason for cell in cells if cell.reason))
            ranked = len(machines) == 1 and variant != tables.baseline  # copying is not segmenting
            values.append(Value(number=seconds, decimals=DIGITS, text="not timed", comparable=ranked, notes=notes))
        facts = (", ".join(sorted(set(timed))) or NOTHING,)
        lines.append(Line(label=label_of(variant, part, tables), variant=variant, facts=facts, values=tuple(values)))
    whole = f" {_WHOLE}" if any(cell.timed_as_process for cell in part.cells) else ""
    return Table(
        name=f"speed{part.suffix}",
        title="Seconds per frame",
        caption=f"{describe(part, masks=False)} Each timing had its device to itself; one-shot fine-tuning is spread "
        f"over the frames.{whole}",
        facts=("hardware",),
        columns=part.benchmarks,
        explained={name: f"Seconds per frame on {part.title(name)}." for name in part.benchmarks},
        lines=rank(lines, [False] * len(part.benchmarks)),
    )


def paper_speed(spec: TableSpec, part: Part, tables: TableSet, published: Published) -> Table:
    """Return the seconds per frame of one of the paper's tables: ours with the hardware, and the published ones."""
    benchmark = spec.benchmarks[0]
    shown = published.comparable_with(part)
    quoted = [shown.row(key) for key in spec.published]
    rivals = [found for row in quoted for found in trained_rows(row, spec, part)]
    lines = []
    for variant, label in [
        (tables.baseline, ""),
        *((variant, row.label) for variant, row in (*own_rows(spec, part), *rivals)),
    ]:
        cells = part.select(benchmark, variant)
        seconds, hardware = _seconds(cells)
        value = Value(number=seconds, decimals=DIGITS, text="not timed" if cells else "not run")
        facts = (", ".join(sorted(set(hardware))) or NOTHING,)
        lines.append(Line(label=label or tables.label(variant), variant=variant, facts=facts, values=(value,)))
    for row in quoted:
        if row.speed:
            value, source = Value(text=row.speed), published.cite(row)
            lines.append(Line(label=row.method, origin=QUOTED, source=source, facts=(NOTHING,), values=(value,)))
    return Table(
        name=f"{spec.name}-speed{part.suffix}",
        title=f"{spec.title}: seconds per frame",
        caption=f"{describe(part, benchmark, masks=False)} Quoted seconds were measured on other hardware; brackets: "
        "as reported by the method's own paper.",
        facts=("hardware",),
        columns=("s/frame",),
        lines=tuple(lines),
        origins=True,
    )


def _seconds(cells: tuple[CellResult, ...]) -> tuple[float | None, list[str]]:
    """Return the mean seconds per frame over the seeds that were timed, and their hardware."""
    timed = [(cell.seconds_per_frame, cell.hardware) for cell in cells if cell.seconds_per_frame is not None]
    mean = sum(seconds for seconds, _ in timed) / len(timed) if timed else None
    return mean, [hardware for _, hardware in timed]


def all_cells(part: Part, benchmark: str, tables: TableSet) -> Table:
    """Return every variant on a benchmark with every measure."""
    expected, shown = expected_sequences(part)[benchmark], measures_of(part.select(benchmark))
    lines = []
    for variant in part.variants_on(benchmark):
        cells = part.select(benchmark, variant)
        without = omitted(cells)
        found = [cell_value(cells, measure.name, expected) for measure in shown]
        values, notes = note_omitted(found, [without] * len(found))
        seeds = ", ".join(str(cell.seed) for cell in cells)
        status = ", ".join(sorted({cell.status for cell in cells}))
        count = f"{max(cell.sequences if cell.done else 0 for cell in cells)}/{expected}"
        count = part.partial.get(benchmark, count)
        names = (label_of(variant, part, tables), cells[0].method_label or NOTHING)
        facts = (*names, seeds, count, without or NOTHING, status)
        lines.append(Line(label=variant, variant=variant, facts=facts, values=values, notes=notes))
    return Table(
        name=f"cells-{benchmark}{part.suffix}",
        title=f"All cells: {part.title(benchmark)}",
        caption=f"{describe(part, benchmark)} {coverage(part.select(benchmark))}",
        facts=("label", "method", "seeds", "sequences", "skipped training", "status"),
        columns=tuple(measure.heading for measure in shown),
        lines=rank(lines, [measure.higher_is_better for measure in shown]),
    )
