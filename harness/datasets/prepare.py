"""A sequence as a benchmark uses it: what is an object, and which frames are scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.datasets.mixture import ADVICE
from harness.datasets.palette import VOID
from harness.datasets.pixels import read_mask
from harness.datasets.protocol import Protocol
from harness.datasets.sequence import Sequence
from harness.errors import DataError

DARKEST = 38
"""Gray level of the darkest color of DAVIS's palette."""


def prepare(protocol: Protocol, sequence: Sequence) -> Sequence | None:
    """Return the sequence with its objects merged if the benchmark says so, and scored frames marked; None to skip it.

    Decodes the first mask, and the others only if it has no value but 0 and 255. Raises DataError if no object or no
    frame is left to score."""
    annotated = [index for index, mask in enumerate(sequence.masks) if mask is not None]
    scored = tuple(annotated[protocol.skip_first : len(annotated) - protocol.skip_last])
    if protocol.sparse and not scored:
        return None
    if not protocol.multi_object and not sequence.binary:
        if not sequence.object_ids and _is_binary(sequence):
            sequence = replace(sequence, binary=True, object_ids=(1,))
        else:
            ids = sequence.object_ids and (1,)
            sequence = replace(sequence, merged=True, object_ids=ids, starts=(), categories=())
    _require_objects(sequence, described=bool(protocol.dataset.frames))
    if not protocol.scored:
        return sequence
    if not scored:
        raise DataError(
            f"{_first_file(sequence)}: {len(annotated)} masks in it, none left to score in {protocol.title}, "
            f"which skips {protocol.skip_first} at the start and {protocol.skip_last} at the end; restore the masks"
        )
    return replace(sequence, scored=scored)


def _require_objects(sequence: Sequence, *, described: bool) -> None:
    """Raise DataError if the first mask shows no object, or ids that look like gray levels.

    Numbers of a described dataset may have gaps, up to the lowest gray level of a color."""
    ids = sequence.object_ids
    first = _first_file(sequence)
    if not ids or (sequence.binary and not sequence.mask(0).any()):
        void = sequence.masks[0] is not None and not sequence.binary and VOID in sequence.mask(0)
        why = (
            f"255 is void, and the object only in a benchmark of one object whose masks have no other value; {ADVICE}"
            if void
            else "it must show the objects, download the file again"
        )
        raise DataError(f"{first}: no object in the first mask; {why}")
    if max(ids) > 2 * len(ids) and (max(ids) >= DARKEST or not described):
        raise DataError(
            f"{first}: object ids {', '.join(map(str, ids))}, but most from 1 to {max(ids)} are missing; gray levels "
            "of colors (38 for 1, 75 for 2) are no ids: write 1, 2, …"
        )


def _first_file(sequence: Sequence) -> str:
    return str(next(iter(sequence.mask_files), sequence.name))


def _is_binary(sequence: Sequence) -> bool:
    """Return whether 255 is the only value but 0 in all of the truth, so that it is the object and not void."""
    found = {int(value) for path in sequence.mask_files for value in np.unique(read_mask(path))}
    return VOID in found and found <= {0, VOID}
