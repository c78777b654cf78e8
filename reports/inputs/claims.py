"""The paper's comparative statements (`studies/claims.yaml`) and the verdict of a study's rows on each.

A verdict comes from the 95 % interval of the paired difference: reproduced if all of it lies on the claimed side,
contradicted if all of it lies on the other, inconclusive if it lies on both or rests on too few sequences."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from harness.config import Config, resolve
from harness.yaml_file import read_yaml
from reports.inputs.cells import Part, Row
from reports.inputs.scores import Scorebook
from reports.inputs.spec import MEASURES
from reports.statistics.bootstrap import FEWEST, Interval

REPRODUCED = "reproduced"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_MEASURED = "not measured"

SECONDS = "seconds_per_frame"
"""A measure without a verdict: a variant is timed once, which gives no interval."""

NO_FACTORS = {"analyses"}
"""Options that add a figure and change no number."""


class Claim(Config):
    """One statement: `higher` is better than `lower`, or they are similar."""

    name: str
    text: str
    source: str
    """Where in the paper."""

    higher: str
    """Variant, or another method's plain name; the one that does better."""

    lower: str
    benchmark: str
    measure: str
    factor: tuple[str, ...] = ()
    """Options in which the two may differ."""

    method: bool = False
    """Whether two methods are compared, whose options are not of one kind."""

    similar: bool = False
    expected: float | None = None
    """The paper's difference, `higher` − `lower`."""

    @model_validator(mode="after")
    def _known(self) -> Claim:
        if self.measure not in {*MEASURES, SECONDS}:
            raise ValueError(f"measure {self.measure!r}; expected {', '.join(MEASURES)} or {SECONDS}")
        return self

    @property
    def measure_title(self) -> str:
        """As tables print it."""
        return MEASURES[self.measure].title if self.measure in MEASURES else "seconds a frame"


class Claims(Config):
    """All of claims.yaml."""

    margin: float = Field(gt=0)
    """Within which two values count as similar."""

    claims: tuple[Claim, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a part of the rows says about a claim."""

    claim: Claim
    verdict: str
    """REPRODUCED, CONTRADICTED, INCONCLUSIVE or NOT_MEASURED."""

    why: str
    """For a verdict that is none; empty otherwise."""

    interval: Interval | None
    confounded: str
    """What else differs between the two variants; empty: nothing."""


def claims_file() -> Path:
    """The shipped `studies/claims.yaml`."""
    return Path(str(resources.files("studies"))) / "claims.yaml"


def load_claims(path: Path | None = None) -> Claims:
    """From `path` or the shipped file. Raises StudyError naming file and key."""
    file = path or claims_file()
    return resolve(Claims, read_yaml(file), file.name)


def judge_all(claims: Claims, part: Part, scores: Scorebook) -> tuple[Verdict, ...]:
    """One verdict a claim, in their order."""
    return tuple(judge(claim, claims.margin, part, scores) for claim in claims.claims)


def judge(claim: Claim, margin: float, part: Part, scores: Scorebook) -> Verdict:
    """The verdict of one part's rows."""
    cells, others = part.cell(claim.higher, claim.benchmark), part.cell(claim.lower, claim.benchmark)
    why = _why_not(claim, cells, others)
    found = None if why else scores.difference(cells, others, claim.measure)
    if found is None:
        return Verdict(
            claim=claim,
            verdict=NOT_MEASURED,
            why=why or "no sequence was scored in both",
            interval=None,
            confounded="",
        )
    low, high = found.low, found.high
    if MEASURES[claim.measure].better == "lower" and low is not None and high is not None:
        low, high = -high, -low
    verdict, why = INCONCLUSIVE, ""
    if low is None or high is None or found.sequences < FEWEST:
        why = f"{found.sequences} sequences are too few"
    elif claim.similar and -margin < low and high < margin:
        verdict = REPRODUCED
    elif claim.similar and (low > margin or high < -margin):
        verdict = CONTRADICTED
    elif not claim.similar and low > 0:
        verdict = REPRODUCED
    elif not claim.similar and high < 0:
        verdict = CONTRADICTED
    else:
        why = "the interval holds both answers"
    return Verdict(claim=claim, verdict=verdict, why=why, interval=found, confounded=confounds(claim, cells, others))


def confounds(claim: Claim, cells: tuple[Row, ...], others: tuple[Row, ...]) -> str:
    """In words, what differs between the two variants beside the claim's factor; empty: nothing."""
    ours, theirs = factors_of(cells[0]), factors_of(others[0])
    factors = claim.factor
    found = [
        f"option {key}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and not any(key == f or key.startswith(f"{f}.") for f in factors)
    ]
    if cells[0].left_out != others[0].left_out:
        found.append("training stages that one of them went without")
    return "" if claim.method else ", ".join(found)


def factors_of(row: Row) -> dict[str, Any]:
    """The row's options as dotted keys, without those that change no number of it."""
    return {key: value for key, value in flat(row.options).items() if key not in NO_FACTORS}


def flat(options: Any, prefix: str = "") -> dict[str, Any]:
    """Nested options as dotted keys."""
    if not isinstance(options, dict):
        return {prefix.rstrip("."): options}
    return {key: value for name, inner in options.items() for key, value in flat(inner, f"{prefix}{name}.").items()}


def _why_not(claim: Claim, cells: tuple[Row, ...], others: tuple[Row, ...]) -> str:
    if claim.measure == SECONDS:
        return "a variant is timed once, so there is no interval; the seconds stand in the speed page"
    for variant, rows in ((claim.higher, cells), (claim.lower, others)):
        if not rows:
            return f"no row of {variant} on {claim.benchmark}"
        if not any(row.done for row in rows):
            reason = f": {rows[0].reason}" if rows[0].reason else ""
            return f"{variant} {rows[0].status}{reason}"
    return ""
