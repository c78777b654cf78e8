"""The paper's comparative statements (`studies/claims.yaml`)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import Field, field_validator

from harness.config import Config, resolve
from harness.score import MEASURES
from harness.yaml_file import read_yaml

SECONDS = "seconds_per_frame"
"""A measure without a verdict: a variant is timed once, which gives no interval."""


class Claim(Config):
    """One statement: `higher` is better than `lower`, or the two are similar."""

    name: str
    text: str
    source: str
    """Section, table or figure of the paper."""

    higher: str
    """The better variant, or another method's normalized name."""

    lower: str
    benchmark: str
    measure: str
    factor: tuple[str, ...] = ()
    """Options in which the two may differ."""

    method: bool = False
    """Whether two methods are compared, whose options have nothing in common."""

    similar: bool = False
    expected: float | None = None
    """The paper's difference, `higher` − `lower`."""

    @field_validator("measure")
    @classmethod
    def _known(cls, measure: str) -> str:
        if measure not in {*MEASURES, SECONDS}:
            raise ValueError(f"measure {measure!r}; expected {', '.join(MEASURES)} or {SECONDS}")
        return measure

    @property
    def measure_title(self) -> str:
        """Title of the measure in tables."""
        return MEASURES[self.measure].title if self.measure in MEASURES else "seconds per frame"


class Claims(Config):
    """Content of claims.yaml."""

    margin: float = Field(gt=0)
    """Difference below which two values count as similar."""

    claims: tuple[Claim, ...]


def claims_file() -> Path:
    """Return the path of the shipped `studies/claims.yaml`."""
    return Path(str(resources.files("studies"))) / "claims.yaml"


def load_claims(path: Path | None = None) -> Claims:
    """Load the claims of a file (default: the shipped one). Raises StudyError with file and key."""
    file = path or claims_file()
    return resolve(Claims, read_yaml(file), file.name)
