"""Tables of uncertainty: means with intervals, and paired differences."""

from __future__ import annotations

from reports.inputs import Part, Scorebook, TableSet, describe, headline_measures, label_of, unpaired
from reports.statistics import MIN_SEQUENCES
from reports.tables.model import Line, Table, Value
from reports.tables.paper import PaperTable
from reports.tables.values import DIFFERENCE, difference_values, interval_values

METHOD = (
    "95 % intervals (Student's t) hold for other sequences: with one seed, for the trainings that were measured; with "
    "several, for other trainings too. Two or three seeds say little about others, so their intervals are wide; more "
    f"seeds narrow them. Fewer than {MIN_SEQUENCES} sequences get no interval."
)

PAIRED = (
    f"Paired by sequence and seed. {METHOD} p: of each difference alone, below .05 if its interval excludes 0; "
    "p (Holm): corrected for all tests of this table."
)

MEAN_OVER = {
    "sequences": "Mean over the sequences.",
    "objects": "Mean over all objects with equal weight; the last columns: over the sequences.",
    "classes": "Mean over the videos of each class, then over the classes; the last columns: over the sequences.",
}
"""Averaging of a benchmark → sentence; published scorers differ."""


def means(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Table | None:
    """Return the headline measures of every variant with their intervals; None without scores."""
    shown = headline_measures(part.select(benchmark))
    kind = scores.averaging.get(benchmark, "sequences")
    plain = () if kind == "sequences" else shown
    lines = []
    for variant in part.variants_on(benchmark):
        cells = part.select(benchmark, variant)
        found = [scores.mean(cells, measure.name) for measure in shown]
        known = next((one for one in found if one), None)
        if known:
            values = [value for one in found for value in interval_values(one)]
            values += [Value(number=scores.plain_mean(cells, measure.name)) for measure in plain]
            facts = (str(known.sequences), str(known.seeds))
            label = label_of(variant, part, tables)
            notes = part.notes(benchmark)
            lines.append(Line(label=label, variant=variant, facts=facts, values=tuple(values), notes=notes))
    if not lines:
        return None
    columns = [title for measure in shown for title in (measure.title, "from", "to")]
    return Table(
        name=f"intervals-{benchmark}{part.suffix}",
        title=f"Means with intervals: {part.title(benchmark)}",
        caption=f"{MEAN_OVER[kind]} {describe(part, benchmark)}",
        method=METHOD,
        facts=("sequences", "seeds"),
        columns=(*columns, *(f"{measure.title} over sequences" for measure in plain)),
        lines=tuple(lines),
    )


def differences(made: PaperTable, scores: Scorebook) -> Table | None:
    """Return the difference of every measured line from the table's reference; None if there is none."""
    spec, table, part = made.spec, made.table, made.part
    found = []
    for line in table.lines:
        if spec.reference and line.variant and line.variant != spec.reference:
            for column, title in zip(spec.columns, table.columns, strict=True):
                cells = part.select(column.benchmark, line.variant)
                others = part.select(column.benchmark, spec.reference)
                difference = scores.difference(cells, others, column.measure)
                if difference:
                    notes = (unpaired(cells, others), *part.notes(column.benchmark))
                    found.append((line, title, difference, tuple(filter(None, notes))))
    if not found:
        return None
    reference = next((line.label for line in table.lines if line.variant == spec.reference), spec.reference)
    numbers = difference_values([one for _, _, one, _ in found])
    lines = tuple(
        Line(
            label=line.label,
            variant=line.variant,
            facts=(title, str(one.sequences), str(one.seeds)),
            values=values,
            notes=notes,
        )
        for (line, title, one, notes), values in zip(found, numbers, strict=True)
    )
    return Table(
        name=f"{table.name}-differences",
        title=f"{table.title}: differences from {reference}",
        caption=f"Each row minus {reference}. {describe(part, masks=any(line.submitted for line, *_ in found))}",
        method=f"{PAIRED} Detectable: the smallest difference that as many sequences and seeds show with a probability "
        "of 80 %, tested alone.",
        facts=("column", "sequences", "seeds"),
        columns=DIFFERENCE,
        lines=lines,
    )
