"""How much a benchmark or training set holds, and how the data on disk differs from it."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from harness.config import Config
from harness.datasets.sequence import Sequence


class Extent(Config):
    """Numbers of what a split holds; None where no source gives the number, or nobody counted."""

    classes: int | None = Field(default=None, gt=0)
    """Classes of videos, if the benchmark averages over them."""

    sequences: int | None = Field(default=None, gt=0)
    objects: int | None = Field(default=None, gt=0)
    """Objects in the first masks, over all sequences."""

    frames: int | None = Field(default=None, gt=0)

    def difference(self, found: Extent) -> str:
        """Return how `found` differs, such as `2 of 20 sequences`; empty if no number that both have differs.

        Objects and frames are mentioned only if the sequences are complete."""
        for names in (("classes", "sequences"), ("objects", "frames")):
            pairs = [(name, getattr(found, name), getattr(self, name)) for name in names]
            texts = [_compare(name, *pair) for name, *pair in pairs if None not in pair and pair[0] != pair[1]]
            if texts:
                return ", ".join(texts)
        return ""


def extent_of(sequences: Collection[Sequence]) -> Extent:
    """Return the extent of these sequences."""
    return Extent(
        classes=len({one.group for one in sequences if one.group}) or None,
        sequences=len(sequences) or None,
        objects=sum(len(one.object_ids) for one in sequences) or None,
        frames=sum(map(len, sequences)) or None,
    )


def _compare(name: str, found: int, expected: int) -> str:
    return f"{found} of {expected} {name}" if found < expected else f"{found} {name} instead of {expected}"
