"""Options beyond the paper: variants that no table of the paper lists, and what each changes.

They bear on none of the paper's numbers. Each is compared with the paper's variant whose options are closest, so that
the difference shows the effect of the option."""

from __future__ import annotations

from reports.inputs import (
    Part,
    Scorebook,
    TableSet,
    describe,
    differing_options,
    flat,
    headline_measures,
    main_measure,
    unpaired,
)
from reports.tables.intervals import PAIRED
from reports.tables.model import NOTHING, Line, Table
from reports.tables.values import DIFFERENCE, cell_value, difference_values, expected_sequences, omitted


def options_table(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Table | None:
    """Return the variants beyond the paper on one benchmark, each against its closest one; None if there are none."""
    here, expected = part.select(benchmark), expected_sequences(part)[benchmark]
    main, shown = main_measure(here), headline_measures(here)
    found = []
    for variant in part.variants_on(benchmark):
        if not tables.lists(variant) and variant not in part.submitted:
            other = closest(variant, part, benchmark, tables)
            cells, others = part.select(benchmark, variant), part.select(benchmark, other)
            found.append((variant, other, scores.difference(cells, others, main.name) if other else None))
    if not found:
        return None
    numbers = difference_values([one for *_, one in found])
    lines = []
    for (variant, other, _), difference in zip(found, numbers, strict=True):
        cells = part.select(benchmark, variant)
        facts = (tables.label(other) if other else NOTHING, changes(variant, other, part, benchmark))
        values = (*(cell_value(cells, measure.name, expected) for measure in shown), *difference)
        others = part.select(benchmark, other) if other else ()
        notes = tuple(filter(None, [omitted(cells), unpaired(cells, others) if others else ""]))
        lines.append(Line(label=variant, variant=variant, facts=facts, values=values, notes=notes))
    return Table(
        name=f"beyond-{benchmark}{part.suffix}",
        title=f"Options beyond the paper: {part.title(benchmark)}",
        caption="These variants are not in the paper, and no claim of the paper rests on them. Difference: in "
        f"{main.title}, from the paper's variant with the closest options. {describe(part, benchmark)}",
        method=PAIRED,
        facts=("compared with", "differs in"),
        columns=(*(measure.heading for measure in shown), *DIFFERENCE),
        lines=tuple(lines),
    )


def closest(variant: str, part: Part, benchmark: str, tables: TableSet) -> str:
    """Return the paper's variant of the same method that differs in the fewest options; empty if there is none."""
    cell = part.select(benchmark, variant)[0]
    ranked = [
        (len(differing_options(cell, other)), place, other.variant)
        for place, name in enumerate(part.variants_on(benchmark))
        if tables.lists(name) and (other := part.select(benchmark, name)[0]).method_label == cell.method_label
    ]
    return min(ranked)[2] if ranked else ""


def changes(variant: str, other: str, part: Part, benchmark: str) -> str:
    """Return the options in which a variant differs from another one, with its values, as text."""
    if not other:
        return "another method"
    cell, base = (part.select(benchmark, one)[0] for one in (variant, other))
    options = flat(cell.options)
    keys = differing_options(cell, base)
    texts = (f"{key} = {options[key]}" if key in options else f"{key} at its default" for key in keys)
    return ", ".join(texts) or "nothing"
