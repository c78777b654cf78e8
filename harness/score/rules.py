"""Scoring rules of a protocol: which frames count, what mask values mean, what is averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.datasets.protocol import Averaging, Protocol

Values = Literal["ids", "binary", "foreground"]
"""Meaning of mask values. `ids`: object ids, 255 void in the truth. `binary`: any value but 0 is object 1
(DAVIS16: 1-bit, 0/1, 0/255, a palette). `foreground`: all objects count as one, of id 1; 255 is void in the truth."""


@dataclass(frozen=True, kw_only=True)
class ScoringRules:
    """How a benchmark is scored; the defaults are those of DAVIS17."""

    skip_first: int = 1
    """Frames at the start that are not scored; the method is given the truth of the first."""

    skip_last: int = 1
    """Frames at the end that are not scored (DAVIS: one)."""

    values: Values = "ids"
    averaging: Averaging = "objects"
    """Units whose unweighted mean is the total: `objects` of all sequences (DAVIS17), `sequences`, each the mean of its
    objects (DAVIS16), or `classes`, each the mean of its sequences (YouTube-Objects)."""

    alternative: Averaging | None = None
    """A second mean to report, if published scorers differ."""

    def scored(self, frames: int) -> range:
        """Return the indices of the frames that count among `frames`."""
        return range(self.skip_first, frames - self.skip_last)


def rules_of(protocol: Protocol) -> ScoringRules:
    """Return the scoring rules of a protocol."""
    values: Values = "foreground" if protocol.merge_objects else "ids" if protocol.multi_object else "binary"
    return ScoringRules(
        skip_first=protocol.skip_first,
        skip_last=protocol.skip_last,
        values=values,
        averaging=protocol.averaging,
        alternative=protocol.alternative,
    )
