"""What the mask values of a benchmark mean."""

from __future__ import annotations

from typing import Literal

from harness.datasets.protocol import Protocol

Values = Literal["ids", "binary", "foreground"]
"""Meaning of mask values. `ids`: object ids, 255 void in the truth. `binary`: any value but 0 is object 1
(DAVIS16: 1-bit, 0/1, 0/255, a palette). `foreground`: all objects count as one, of id 1; 255 is void in the truth."""


def values_of(protocol: Protocol) -> Values:
    """Return the meaning of the mask values of a benchmark."""
    return "foreground" if protocol.merge_objects else "ids" if protocol.multi_object else "binary"
