"""Signs of two benchmarks mixed in one folder: DAVIS 2016 and DAVIS 2017 name their folders and files alike.

The masks of DAVIS 2016 hold 0 and 255 only, those of DAVIS 2017 object ids. Where one was unpacked over the other, both
could be read without an error, and scores would be those of neither."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from harness.datasets.palette import VOID
from harness.datasets.pixels import read_mask
from harness.datasets.sequence import Sequence
from harness.errors import DataError

ADVICE = (
    "DAVIS 2016 and DAVIS 2017 name folders and files alike, so one may have been unpacked over the other: unpack each "
    "into a folder of its own (DAVIS2016, DAVIS2017)"
)


def require_own_masks(sequences: Collection[Sequence]) -> None:
    """Raise DataError if the first masks of sequences are ids in binary truth, or 0/255 in some and ids in others.

    Where ids are expected and all masks hold 0/255, whoever reads the objects decides."""
    stored = {path: _values(path) for path in _first_masks(sequences)}
    is_binary = all(sequence.binary for sequence in sequences)
    ids = [path for path, found in stored.items() if (are_ids(found) if is_binary else found - {VOID})]
    flat = [path for path, found in stored.items() if found == {VOID}]
    if is_binary and ids:
        raise DataError(ids_in_binary(ids[0], stored[ids[0]], len(ids) - 1))
    if not is_binary and ids and flat:
        raise DataError(
            f"{flat[0]}: 0 and 255 found{_more(len(flat) - 1)}, object ids expected, as in {ids[0]}; {ADVICE}"
        )


def are_ids(values: Collection[int]) -> bool:
    """Return whether the values of a mask mark several objects, as in no binary truth: it has 0, 1 and 255 only."""
    inside = {*values} - {0}
    return len(inside) > 1 and bool(inside - {1, VOID})


def ids_in_binary(path: Path, found: Collection[int], more: int = 0) -> str:
    """Return the error about a mask of binary truth with these values, in `more` sequences too."""
    inside = sorted({*found} - {0})
    shown = ", ".join(map(str, inside[:5])) + (", …" if len(inside) > 5 else "")
    return f"{path}: values {shown} found{_more(more)}, 0 and 255 expected; {ADVICE}"


def _more(count: int) -> str:
    return f", and in {count} more sequences" if count else ""


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
