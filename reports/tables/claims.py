"""Verdicts of a study's cells on the paper's claims, and their tables.

A verdict comes from the 95 % interval of the paired difference: reproduced if all of it lies on the claimed side,
contradicted if all of it lies on the other, inconclusive if it covers both, rests on too few sequences, or on data that
is not the whole benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.results import CellResult
from harness.score import MEASURES
from reports.inputs import SECONDS, Claim, Claims, Part, Scorebook, describe
from reports.statistics import MIN_SEQUENCES, Interval
from reports.tables.intervals import METHOD
from reports.tables.model import NOTHING, Line, Table, Value
from reports.tables.values import interval_values

REPRODUCED = "reproduced"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_MEASURED = "not measured"

VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_MEASURED)

NO_FACTORS = {"analyses"}
"""Options that add a figure and change no number."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict of one part on a claim, one of VERDICTS, with the reason if it is inconclusive or missing."""

    claim: Claim
    verdict: str
    why: str = ""
    interval: Interval | None = None
    confounded: str = ""
    """Further differences between the two variants, as text; empty if there are none."""


def judge(claim: Claim, margin: float, part: Part, scores: Scorebook) -> Verdict:
    """Return the verdict of one part on a claim."""
    cells, others = part.select(claim.benchmark, claim.higher), part.select(claim.benchmark, claim.lower)
    extent = part.partial.get(claim.benchmark)
    if extent:
        claim = claim.model_copy(update={"expected": None})  # a published number is not shown with partial data
    why = _unmeasured(claim, cells, others)
    found = None if why else scores.difference(cells, others, claim.measure)
    if found is None:
        return Verdict(claim=claim, verdict=NOT_MEASURED, why=why or "no sequence was scored for both")
    low, high = found.low, found.high
    if low is not None and high is not None and not MEASURES[claim.measure].higher_is_better:
        low, high = -high, -low
    verdict, why = INCONCLUSIVE, ""
    if low is None or high is None or found.sequences < MIN_SEQUENCES:
        why = f"{found.sequences} {'sequence is' if found.sequences == 1 else 'sequences are'} too few"
    elif (-margin < low and high < margin) if claim.similar else low > 0:
        verdict = REPRODUCED
    elif (low > margin or high < -margin) if claim.similar else high < 0:
        verdict = CONTRADICTED
    else:
        why = "the interval allows both answers"
    if extent:
        verdict, why = INCONCLUSIVE, f"{extent}: a claim about the whole benchmark is not judged"
    return Verdict(claim=claim, verdict=verdict, why=why, interval=found, confounded=confounds(claim, cells, others))


def confounds(claim: Claim, cells: tuple[CellResult, ...], others: tuple[CellResult, ...]) -> str:
    """Return what differs between the two variants besides the claim's factor, as text; empty if nothing does."""
    if claim.method:
        return ""
    found = [
        f"option {key}"
        for key in differing_options(cells[0], others[0])
        if not any(key == factor or key.startswith(f"{factor}.") for factor in claim.factor)
    ]
    if cells[0].omitted != others[0].omitted:
        found.append("skipped training stages")
    return ", ".join(found)


def differing_options(cell: CellResult, other: CellResult) -> list[str]:
    """Return the options, as dotted keys, that differ between two cells and can change a number."""
    ours, theirs = flat(cell.options), flat(other.options)
    keys = sorted((ours.keys() | theirs.keys()) - NO_FACTORS)
    return [key for key in keys if ours.get(key) != theirs.get(key)]


def flat(options: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested options as dotted key → value."""
    if not isinstance(options, dict):
        return {prefix.rstrip("."): options}
    return {key: value for name, inner in options.items() for key, value in flat(inner, f"{prefix}{name}.").items()}


def claims_tables(claims: Claims, part: Part, scores: Scorebook) -> tuple[Table | None, Table | None]:
    """Return a table of the claims that were measured, with verdicts, and one of the others, with reasons."""
    verdicts = [judge(claim, claims.margin, part, scores) for claim in claims.claims]
    judged = [verdict for verdict in verdicts if verdict.verdict != NOT_MEASURED]
    others = [verdict for verdict in verdicts if verdict.verdict == NOT_MEASURED]
    top = Table(
        name=f"claims{part.suffix}",
        title="The paper's claims",
        caption=f"{summary(verdicts)} Numbers are differences in the claim's measure; the paper's are in italics. "
        f"Reproduced or contradicted: the whole interval lies on one side, with at least {MIN_SEQUENCES} sequences. "
        f"{METHOD} {describe(part)}",
        facts=("verdict", "source", "benchmark", "measure", "remark"),
        columns=("paper", "ours", "from", "to"),
        lines=tuple(_line(verdict) for verdict in judged),
        first="claim",
    )
    rest = Table(
        name=f"claims-open{part.suffix}",
        title="Claims of the paper that were not measured",
        caption=f"The paper's difference is in italics. {describe(part)}",
        facts=("source", "benchmark", "measure", "reason"),
        columns=("paper",),
        lines=tuple(_line(verdict) for verdict in others),
        first="claim",
    )
    return top if judged else None, rest if others else None


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return the number of each verdict as text: `2 reproduced, 1 contradicted, 12 not measured.`."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    names = sorted(counts, key=lambda name: (name != REPRODUCED, name))
    return ", ".join(f"{counts[name]} {name}" for name in names) + "."


def _line(verdict: Verdict) -> Line:
    claim = verdict.claim
    remarks = [verdict.why, f"confounded by {verdict.confounded}" if verdict.confounded else ""]
    remark = "; ".join(filter(None, remarks)) or NOTHING
    facts = (claim.source, claim.benchmark, claim.measure_title)
    paper = Value(number=claim.expected, quoted=True)
    if verdict.verdict == NOT_MEASURED:
        return Line(label=claim.text, variant=claim.name, facts=(*facts, verdict.why), values=(paper,))
    values = (paper, *interval_values(verdict.interval))
    return Line(label=claim.text, variant=claim.name, facts=(verdict.verdict, *facts, remark), values=values)


def _unmeasured(claim: Claim, cells: tuple[CellResult, ...], others: tuple[CellResult, ...]) -> str:
    """Return why a claim was not measured; empty if it was."""
    if claim.measure == SECONDS:
        return "a variant is timed once, so there is no interval; the speed page shows the seconds"
    for variant, found in ((claim.higher, cells), (claim.lower, others)):
        if not found:
            return f"no result of {variant} on {claim.benchmark}"
        if not any(cell.done for cell in found):
            return f"{variant} {found[0].status}" + (f": {found[0].reason}" if found[0].reason else "")
    return ""
