"""Options beyond the paper: variants of the study that no table of the paper has, and what each brings.

None of them claims a number of the paper's. Each is compared with the paper's variant whose options are nearest to
its own, so that what differs is what the option does."""

from __future__ import annotations

from fnmatch import fnmatchcase

from reports.inputs.captions import describe
from reports.inputs.cells import Part
from reports.inputs.claims import factors_of
from reports.inputs.scores import Scorebook
from reports.inputs.spec import MEASURES, TableSet
from reports.statistics.bootstrap import Interval, holm
from reports.tables.intervals import HOW, three
from reports.tables.model import MEASURED, Line, Table, Value, cell_value, expected_sequences, left_out

SHOWN = ("J_mean", "F_mean", "JF_mean")


def beyond(part: Part, benchmark: str, tables: TableSet, scores: Scorebook, suffix: str = "") -> Table | None:
    """The options of one benchmark, each against its nearest; None if the study has none."""
    expected = expected_sequences(part)[benchmark]
    found: list[tuple[str, str, Interval | None]] = []
    for variant in part.variants:
        known = is_of_the_paper(variant, tables) or variant in part.submitted
        if part.cell(variant, benchmark) and not known:
            near = nearest(variant, part, benchmark, tables)
            cells, others = part.cell(variant, benchmark), part.cell(near, benchmark)
            found.append((variant, near, scores.difference(cells, others, "J_mean") if near else None))
    if not found:
        return None
    corrected = iter(holm([one.p for _, _, one in found if one and one.p is not None]))
    lines = []
    for variant, near, one in found:
        cells = part.cell(variant, benchmark)
        p = next(corrected) if one and one.p is not None else None
        values = [cell_value(cells, measure, expected) for measure in SHOWN]
        lines.append(
            Line(
                label=variant,
                origin=MEASURED,
                variant=variant,
                facts=(tables.label(near) if near else "–", changed(variant, near, part, benchmark)),
                values=(*values, *three(one), Value(number=p), Value(number=one.detectable if one else None)),
                notes=(text,) if (text := left_out(cells)) else (),
            )
        )
    return Table(
        name=f"beyond-{benchmark}{suffix}",
        title=f"Options beyond the paper: {part.title(benchmark)}",
        caption="None of these variants is the paper's, and no claim of the paper rests on them. Difference: in J "
        f"mean, from the paper's variant with the nearest options, paired by sequence. {HOW} p: Holm-corrected within "
        f"this table. {describe(part, benchmark)}",
        facts=("compared with", "differs in"),
        columns=(*(MEASURES[name].heading for name in SHOWN), "difference", "from", "to", "p", "detectable"),
        lines=tuple(lines),
        origins=False,
    )


def is_of_the_paper(variant: str, tables: TableSet) -> bool:
    """Whether a table of the paper, its list of variants or the baseline names it."""
    listed = (row for spec in tables.tables for row in spec.rows)
    return variant in tables.variants or any(
        variant == row.variant or (row.pattern and fnmatchcase(variant, row.pattern)) for row in listed
    )


def nearest(variant: str, part: Part, benchmark: str, tables: TableSet) -> str:
    """The paper's variant of the same method and benchmark that differs in the fewest options; empty: none."""
    (ours, *_) = part.cell(variant, benchmark)
    options = factors_of(ours)
    ranked = []
    for place, other in enumerate(part.variants):
        cells = part.cell(other, benchmark)
        if cells and is_of_the_paper(other, tables) and cells[0].method_label == ours.method_label:
            theirs = factors_of(cells[0])
            differing = sum(options.get(key) != theirs.get(key) for key in options.keys() | theirs.keys())
            ranked.append((differing, place, other))
    return min(ranked)[2] if ranked else ""


def changed(variant: str, near: str, part: Part, benchmark: str) -> str:
    """In words: the options in which the two differ, as the variant has them."""
    if not near:
        return "another method"
    ours, theirs = (factors_of(part.cell(one, benchmark)[0]) for one in (variant, near))
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    return ", ".join(f"{key} = {ours[key]}" if key in ours else f"{key} as by default" for key in keys) or "nothing"
