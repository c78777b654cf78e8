"""Verdicts of a study's cells on the paper's claims, and their tables.

A verdict comes from the p-value of the paired difference, corrected for the number of claims that a report judges. From
.05 on, it is inconclusive; below, the claim is reproduced or contradicted, by the side on which the difference lies.
Data that is not the whole benchmark leaves every claim on it inconclusive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import copysign

from harness.results import CellResult
from harness.score import MEASURES
from reports.inputs import (
    SECONDS,
    Budgets,
    Claim,
    Claims,
    Part,
    Scorebook,
    describe,
    differing_options,
    format_number,
    pairs_of,
    unpaired,
)
from reports.statistics import ALPHA, Interval, Needed, holm
from reports.tables.intervals import METHOD
from reports.tables.model import NOTHING, Line, Table, Value
from reports.tables.values import NEEDED, interval_values, needed_value, p_value

REPRODUCED = "reproduced"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_MEASURED = "not measured"

FACTS = ("source", "benchmark", "measure", "sequences", "seeds", "remark")
NUMBERS = ("paper", "ours", "from", "to", "p", "p (Holm)")
"""Titles of the columns of measured claims."""

VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_MEASURED)

MINIATURE = (
    "A contradiction on the miniature says little about the paper: its videos are 16 frames of simple rendered shapes, "
    "its stills look like the videos, and its networks are small and start from no ImageNet weights."
)
"""What is different about the embedded data, for a claim that it contradicts."""

ANYTHING = "*"
"""Factor of a claim whose two variants may differ in all options."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict of one part on a claim, with what it rests on."""

    claim: Claim
    unmeasured: str = ""
    """Why the claim was not measured; empty if it was."""

    interval: Interval | None = None
    extent: str = ""
    """How the data differs from the published benchmark, of which the claim speaks; such a claim is not judged."""

    claimed: bool = False
    """Whether the estimate lies on the claimed side of the threshold."""

    p: float | None = None
    """Two-sided p-value of the difference being at the threshold; None with too few sequences or partial data."""

    corrected: float | None = None
    """The p-value corrected for all claims judged with this one, which decides."""

    threshold: float = 0.0
    """Difference that the p-value tests."""

    needed: Needed = field(default_factory=Needed)
    """What would decide an inconclusive claim."""

    confounded: str = ""
    """Further differences between the two variants, as text; empty if there are none."""

    omitted: str = ""
    """Seeds that do not count, as text; empty if all do."""

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        if self.unmeasured:
            return NOT_MEASURED
        if self.corrected is None or self.corrected >= ALPHA:
            return INCONCLUSIVE
        return REPRODUCED if self.claimed else CONTRADICTED

    @property
    def undecided(self) -> bool:
        """Whether the claim is inconclusive and more sequences could decide it."""
        return self.verdict == INCONCLUSIVE and not self.extent

    @property
    def why(self) -> str:
        """Reason of a verdict that is inconclusive or missing; empty for the others."""
        found, alone = self.interval, self.p
        if self.verdict != INCONCLUSIVE or found is None:
            return self.unmeasured
        if self.extent:
            return f"{self.extent}: a claim about the whole benchmark is not judged"
        if alone is None:
            return f"{found.sequences} {'sequence is' if found.sequences == 1 else 'sequences are'} too few"
        if alone < ALPHA:
            return "decided alone, but not after correction for the number of claims"
        seeds = f", mostly because there are only {found.seeds} seeds; add seeds" if found.mostly_seeds else ""
        return f"the interval allows both answers{seeds}"


def judge_all(claims: Claims, parts: Iterable[Part], scores: Scorebook, budgets: Budgets) -> list[list[Verdict]]:
    """Return the verdicts of every part on all claims; the p-values are corrected over all of them.

    The sequences that would decide an inconclusive claim are those that bring its p-value below ALPHA divided by the
    number of claims that are still to be decided: then the correction would not undo it."""
    verdicts = [[judge(claim, claims.margin, part, scores, budgets) for claim in claims.claims] for part in parts]
    corrected = iter(holm([one.p for given in verdicts for one in given]))
    verdicts = [[replace(one, corrected=next(corrected)) for one in given] for given in verdicts]
    level = ALPHA / max(1, sum(one.undecided for given in verdicts for one in given))
    return [[replace(one, needed=_needed(one, level)) for one in given] for given in verdicts]


def judge(claim: Claim, margin: float, part: Part, scores: Scorebook, budgets: Budgets) -> Verdict:
    """Return the verdict of one part on a claim, judged as the only one.

    The threshold is 0, or for a claim of similarity the end of ±`margin` that is closer to the estimate."""
    cells, others = part.select(claim.benchmark, claim.higher), part.select(claim.benchmark, claim.lower)
    extent = part.partial.get(claim.benchmark, "")
    if extent:
        claim = claim.model_copy(update={"expected": None})  # a published number is not shown with partial data
    why = _unmeasured(claim, cells, others)
    found = None if why else scores.difference(cells, others, claim.measure)
    if found is None:
        return Verdict(claim=claim, unmeasured=why or "no sequence was scored for both")
    estimate = found.estimate
    if claim.similar:
        claimed, threshold = abs(estimate) < margin, copysign(margin, estimate)
    else:
        claimed, threshold = (estimate > 0) == MEASURES[claim.measure].higher_is_better, 0.0
    p = None if extent else found.p_against(threshold)
    return Verdict(
        claim=claim,
        interval=found,
        extent=extent,
        claimed=claimed,
        threshold=threshold,
        p=p,
        corrected=p,
        confounded=confounds(claim, cells, others, budgets),
        omitted=unpaired(cells, others),
    )


def confounds(claim: Claim, cells: tuple[CellResult, ...], others: tuple[CellResult, ...], budgets: Budgets) -> str:
    """Return what differs between the two variants besides the claim's factor, as text; empty if nothing does.

    Two methods differ in their options anyway, but should be trained the same way; of submitted masks nobody knows."""
    if claim.method:
        if cells[0].submitted or others[0].submitted:
            return "unknown networks and training (submitted masks)"
        return budgets.of(cells[0]).difference(budgets.of(others[0]))
    found = [
        f"option {key}"
        for key in differing_options(cells[0], others[0])
        if not any(factor in {key, ANYTHING} or key.startswith(f"{factor}.") for factor in claim.factor)
    ]
    if cells[0].omitted != others[0].omitted:
        found.append("skipped training stages")
    return ", ".join(found)


def claims_tables(
    verdicts: list[Verdict], margin: float, part: Part
) -> tuple[Table | None, Table | None, Table | None]:
    """Return a table of the decided claims, one of the inconclusive ones, and one of the unmeasured, with reasons."""
    decided, open_, others = (
        [one for one in verdicts if one.verdict in kinds]
        for kinds in ((REPRODUCED, CONTRADICTED), (INCONCLUSIVE,), (NOT_MEASURED,))
    )
    numbers = "Numbers are differences in the claim's measure; the paper's are in italics."
    method = (
        f"{METHOD} p: of the claim alone, below .05 if the interval excludes 0 (for a claim of similarity: "
        f"±{format_number(margin)}); p (Holm): corrected for all claims that this report judges. Reproduced or "
        "contradicted: p (Holm) is below .05."
    )
    contradicted = part.data_kind == "embedded" and any(one.verdict == CONTRADICTED for one in decided)
    top = Table(
        name=f"claims{part.suffix}",
        title="The paper's claims",
        caption=" ".join([summary(verdicts), numbers, *([MINIATURE] if contradicted else []), describe(part)]),
        method=method,
        facts=("verdict", *FACTS),
        columns=NUMBERS,
        lines=tuple(_line(verdict) for verdict in decided),
        first="claim",
    )
    middle = Table(
        name=f"claims-undecided{part.suffix}",
        title="Claims of the paper that are not decided",
        caption=f"{numbers} {describe(part)}",
        method=f"{method} {NEEDED}",
        facts=("verdict", *FACTS),
        columns=(*NUMBERS, "sequences needed"),
        lines=tuple(_line(verdict) for verdict in open_),
        first="claim",
        folded=True,
    )
    rest = Table(
        name=f"claims-open{part.suffix}",
        title="Claims of the paper that were not measured",
        caption=f"The paper's difference is in italics. {describe(part)}",
        facts=("source", "benchmark", "measure", "reason"),
        columns=("paper",),
        lines=tuple(_line(verdict) for verdict in others),
        first="claim",
        folded=True,
    )
    return top if decided else None, middle if open_ else None, rest if others else None


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return the number of each verdict as text: `2 reproduced, 1 contradicted, 12 not measured.`."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    names = sorted(counts, key=lambda name: (name != REPRODUCED, name))
    return ", ".join(f"{counts[name]} {name}" for name in names) + "."


def _line(verdict: Verdict) -> Line:
    claim = verdict.claim
    remarks = [verdict.why, f"confounded by {verdict.confounded}" if verdict.confounded else "", verdict.omitted]
    remark = "; ".join(filter(None, remarks)) or NOTHING
    facts = (claim.source, claim.benchmark, claim.measure_title)
    paper = Value(number=claim.expected, quoted=True)
    found = verdict.interval
    if found is None:
        return Line(label=claim.text, variant=claim.name, facts=(*facts, verdict.why), values=(paper,))
    values: tuple[Value, ...] = (paper, *interval_values(found), p_value(verdict.p), p_value(verdict.corrected))
    if verdict.verdict == INCONCLUSIVE:
        values = (*values, needed_value(verdict.needed))
    texts = (verdict.verdict, *facts, str(found.sequences), str(found.seeds), remark)
    return Line(label=claim.text, variant=claim.name, facts=texts, values=values)


def _needed(verdict: Verdict, level: float) -> Needed:
    """Return what would decide a claim at that level; nothing if it is decided or was not measured."""
    if verdict.extent and verdict.verdict == INCONCLUSIVE:
        return Needed(instead="the whole benchmark")
    found = verdict.interval
    return found.needed(verdict.threshold, level) if found and verdict.undecided else Needed()


def _unmeasured(claim: Claim, cells: tuple[CellResult, ...], others: tuple[CellResult, ...]) -> str:
    """Return why a claim was not measured; empty if it was."""
    if claim.measure == SECONDS:
        return "a variant is timed once, so there is no interval; the speed page shows the seconds"
    for variant, found in ((claim.higher, cells), (claim.lower, others)):
        if not found:
            return f"no result of {variant} on {claim.benchmark}"
        if not any(cell.done for cell in found):
            return f"{variant} {found[0].status}" + (f": {found[0].reason}" if found[0].reason else "")
    return "" if pairs_of(cells, others) else f"no seed in common ({unpaired(cells, others)})"
