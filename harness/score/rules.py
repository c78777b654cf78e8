"""What a protocol says about scoring, as a value: which frames count, what mask values mean, what is averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Values = Literal["ids", "binary", "foreground"]
"""What the values of a mask mean. `ids`: object ids, 255 void in the truth. `binary`: any value but 0 is object 1
(DAVIS16: 1-bit, 0/1, 0/255, a palette). `foreground`: all objects count as one, of id 1; 255 is void in the truth."""

Averaging = Literal["objects", "sequences", "classes"]
"""What the total is the unweighted mean of. `objects`: all objects of all sequences (DAVIS17). `sequences`: sequences,
each the mean of its objects (DAVIS16). `classes`: classes, each the mean of its sequences (YouTube-Objects)."""


@dataclass(frozen=True, kw_only=True)
class ScoringRules:
    """The defaults are those of DAVIS17."""

    skip_first: int = 1
    """Frames at the start that are not scored; the first one's truth is given to the method."""

    skip_last: int = 1
    """Frames at the end that are not scored (DAVIS: one)."""

    values: Values = "ids"
    averaging: Averaging = "objects"
    alternative: Averaging | None = None
    """A second mean that is reported too, where published scorers differ."""

    def scored(self, frames: int) -> range:
        """Indices of the frames that count among `frames`."""
        return range(self.skip_first, frames - self.skip_last)


def rules_of(protocol: Any) -> ScoringRules:
    """The rules in a protocol of harness.datasets (its `multi_object`, `merge_objects`, `skip_first`, `skip_last`,
    `averaging`, `alternative`)."""
    values: Values = "foreground" if protocol.merge_objects else "ids" if protocol.multi_object else "binary"
    return ScoringRules(
        skip_first=protocol.skip_first,
        skip_last=protocol.skip_last,
        values=values,
        averaging=protocol.averaging,
        alternative=protocol.alternative,
    )
