"""Signs of two benchmarks mixed in one folder: DAVIS 2016 and DAVIS 2017 name their folders and files alike.

The masks of DAVIS 2016 hold 0 and 255 only, those of DAVIS 2017 object ids. Where one was unpacked over the other, both
could be read without an error, and scores would be those of neither."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from harness.datasets.palette import VOID
from harness.datasets.pixels import read_mask
from harness.datasets.sequence import Sequence, Values
from harness.errors import DataError

EXPECTED: Mapping[Values, str] = {
    "binary": "0 and 255",
    "ids": "object ids 1, 2, …",
    "foreground": "object ids as in the other sequences",
}


def require_own_masks(sequences: Collection[Sequence], *, multi_object: bool) -> None:
    """Raise DataError if the first masks of a benchmark's sequences are of the other kind.

    That is ids in binary truth, 0/255 in place of ids, or both in a benchmark that merges all objects."""
    is_binary = all(sequence.binary for sequence in sequences)
    values: Values = "binary" if is_binary else "ids" if multi_object else "foreground"
    stored = {path: _values(path) for path in _first_masks(sequences)}
    if is_binary:
        wrong = [path for path, found in stored.items() if are_ids(found)]
    else:
        wrong = [path for path, found in stored.items() if found == {VOID}]
        has_ids = any(found - {VOID} for found in stored.values())
        wrong = wrong if multi_object or has_ids else []
    if wrong:
        raise DataError(foreign_mask(wrong[0], stored[wrong[0]], values, len(wrong) - 1))


def are_ids(values: Collection[int]) -> bool:
    """Return whether the values of a mask mark several objects, as in no binary truth: it has 0, 1 and 255 only."""
    inside = {*values} - {0}
    return len(inside) > 1 and bool(inside - {1, VOID})


def foreign_mask(path: Path, found: Collection[int], expected: Values, more: int = 0) -> str:
    """Return the error about a mask in which these values were found, and `more` like it."""
    inside = sorted({*found} - {0})
    shown = ", ".join(map(str, inside[:5])) + (", …" if len(inside) > 5 else "")
    others = f", and in {more} more sequences" if more else ""
    return (
        f"{path}: values {shown} found{others}, {EXPECTED[expected]} expected; DAVIS 2016 and DAVIS 2017 name folders "
        "and files alike, so one may have been unpacked over the other: unpack each into a folder of its own "
        "(DAVIS2016, DAVIS2017)"
    )


def _first_masks(sequences: Iterable[Sequence]) -> list[Path]:
    """Return the first masks of the videos that have one mask file per frame and store values without loss."""
    videos = (one for one in sequences if len(one) > 1 and not one.threshold)
    return [mask for one in videos if isinstance(mask := one.masks[0], Path)]


def _values(path: Path) -> set[int]:
    """Return the values in a mask other than 0; none if it cannot be read, which the checks and the scorer report."""
    try:
        return set(np.flatnonzero(np.bincount(read_mask(path).ravel())).tolist()) - {0}
    except DataError:
        return set()
