"""How sure the numbers are, as tables: means with intervals, paired differences, and the verdicts on the claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reports.inputs.captions import describe
from reports.inputs.cells import Part
from reports.inputs.claims import NOT_MEASURED, REPRODUCED, Claims, Verdict, judge_all
from reports.inputs.scores import Scorebook
from reports.inputs.spec import MEASURES, TableSet, TableSpec
from reports.statistics.bootstrap import FEWEST, Interval, holm
from reports.tables.model import MEASURED, Line, Table, Value, label_of

HOW = (
    "95 % intervals from a bootstrap over sequences (objects inside sequences; seeds too where there are several), "
    "seeded and so repeatable."
)

SHOWN = ("J_mean", "F_mean", "JF_mean")

MEAN_OVER = {
    "sequences": "Mean over the sequences.",
    "objects": "Mean over all objects alike; at the end of a line, over the sequences.",
    "classes": "Mean in each class of videos, then over the classes; at the end of a line, over the sequences.",
}
"""What a benchmark's averaging is, in words: published scorers differ."""


def means(part: Part, tables: TableSet, scores: Scorebook, suffix: str = "") -> tuple[Table, ...]:
    """One table a benchmark: J, F and J&F of every variant with their intervals."""
    made = []
    columns = tuple(title for name in SHOWN for title in (MEASURES[name].title, "from", "to"))
    for benchmark in part.benchmarks:
        kind = scores.averaging.get(benchmark, "sequences")
        further = () if kind == "sequences" else tuple(f"{MEASURES[name].title} over sequences" for name in SHOWN)
        lines = []
        for variant in part.variants:
            cells = part.cell(variant, benchmark)
            found = {name: scores.mean(cells, name) for name in SHOWN}
            some = next((one for one in found.values() if one), None)
            if some:
                values = tuple(value for one in found.values() for value in three(one))
                values += tuple(Value(number=scores.plain_mean(cells, name)) for name in SHOWN if further)
                counts = (str(some.sequences), str(some.seeds))
                lines.append(
                    Line(
                        label=label_of(variant, part, tables),
                        origin=MEASURED,
                        variant=variant,
                        facts=counts,
                        values=values,
                    )
                )
        if lines:
            made.append(
                Table(
                    name=f"intervals-{benchmark}{suffix}",
                    title=f"Means with intervals: {part.title(benchmark)}",
                    caption=f"{MEAN_OVER[kind]} {HOW} {describe(part, benchmark)}",
                    facts=("sequences", "seeds"),
                    columns=(*columns, *further),
                    lines=tuple(lines),
                    origins=False,
                )
            )
    return tuple(made)


def differences(spec: TableSpec, made: Table, part: Part, scores: Scorebook) -> Table | None:
    """Of every measured line of `made` from the table's reference, paired by sequence; None if nothing can be paired.

    `part` is the one that `made` was made of."""
    found: list[tuple[Line, str, Interval]] = []
    for line in made.lines:
        if line.variant and line.variant != spec.reference:
            for column, title in zip(spec.columns, made.columns, strict=True):
                ours = part.cell(line.variant, column.benchmark)
                one = scores.difference(ours, part.cell(spec.reference, column.benchmark), column.measure)
                if one:
                    found.append((line, title, one))
    if not found:
        return None
    reference = next((line.label for line in made.lines if line.variant == spec.reference), spec.reference)
    tested = [one.p for _, _, one in found if one.p is not None]
    corrected = iter(holm(tested))
    lines = tuple(
        Line(
            label=line.label,
            origin=MEASURED,
            variant=line.variant,
            facts=(title, str(one.sequences)),
            values=(
                *three(one),
                Value(number=next(corrected) if one.p is not None else None),
                Value(number=one.detectable),
            ),
        )
        for line, title, one in found
    )
    return Table(
        name=f"{made.name}-differences",
        title=f"{made.title}: differences from {reference}",
        caption=f"Each row less {reference}, paired by sequence. {HOW} p: Holm-corrected within this table. "
        f"Detectable: the smallest difference that so many sequences show with a chance of 80 %. "
        f"{describe(part, masks=any(line.how for line, _, _ in found))}",
        facts=("column", "sequences"),
        columns=("difference", "from", "to", "p", "detectable"),
        lines=lines,
        origins=False,
    )


def claims_tables(claims: Claims, part: Part, scores: Scorebook, suffix: str = "") -> tuple[Table | None, Table | None]:
    """The claims on which the rows have a word, each with its verdict; and the others, each with why not."""
    verdicts = judge_all(claims, part, scores)
    judged = [verdict for verdict in verdicts if verdict.verdict != NOT_MEASURED]
    others = [verdict for verdict in verdicts if verdict.verdict == NOT_MEASURED]
    top = Table(
        name=f"claims{suffix}",
        title="The paper's claims",
        caption=f"{summary(verdicts)} Differences in the claim's measure; the paper's in italics. "
        f"Reproduced or contradicted: all of the interval lies on one side; {FEWEST} sequences at least. "
        f"{HOW} {describe(part)}",
        facts=("verdict", "source", "benchmark", "measure", "remark"),
        columns=("paper", "ours", "from", "to"),
        lines=tuple(_claim_line(verdict) for verdict in judged),
        first="claim",
        origins=False,
    )
    rest = Table(
        name=f"claims-open{suffix}",
        title="Claims of the paper that were not measured",
        caption=f"The paper's difference in italics. {describe(part)}",
        facts=("source", "benchmark", "measure", "why not"),
        columns=("paper",),
        lines=tuple(_open_line(verdict) for verdict in others),
        first="claim",
        origins=False,
    )
    return top if judged else None, rest if others else None


def summary(verdicts: Iterable[Verdict]) -> str:
    """`2 reproduced, 1 contradicted, 12 not measured.`"""
    counts = Counter(verdict.verdict for verdict in verdicts)
    names = sorted(counts, key=lambda name: (name != REPRODUCED, name))
    return ", ".join(f"{counts[name]} {name}" for name in names) + "."


def _claim_line(verdict: Verdict) -> Line:
    claim = verdict.claim
    remarks = [verdict.why, f"confounded: {verdict.confounded} differs too" if verdict.confounded else ""]
    return Line(
        label=claim.text,
        origin=MEASURED,
        variant=claim.name,
        facts=(
            verdict.verdict,
            claim.source,
            claim.benchmark,
            claim.measure_title,
            "; ".join(remark for remark in remarks if remark) or "–",
        ),
        values=(Value(number=claim.expected, quoted=True), *three(verdict.interval)),
    )


def _open_line(verdict: Verdict) -> Line:
    claim = verdict.claim
    return Line(
        label=claim.text,
        origin=MEASURED,
        variant=claim.name,
        facts=(claim.source, claim.benchmark, claim.measure_title, verdict.why),
        values=(Value(number=claim.expected, quoted=True),),
    )


def three(one: Interval | None) -> tuple[Value, Value, Value]:
    if one is None:
        return Value(), Value(), Value()
    return Value(number=one.estimate), Value(number=one.low), Value(number=one.high)
