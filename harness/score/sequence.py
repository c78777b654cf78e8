"""All objects of one video: masks in, J and F of every object in every frame out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from harness.datasets import VOID, Values
from harness.errors import DataError
from harness.score.counts import Counts, count_objects
from harness.score.measures import boundary_measure, region_similarity
from harness.score.raster import Raster, from_array

Mask = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceScores:
    """J and F of one sequence; both objects × frames, in 0..1."""

    name: str
    object_ids: tuple[int, ...]
    frames: tuple[str, ...]
    """Names of the scored frames, in time order."""

    counts: NDArray[np.int64]
    """Objects × frames × 6, as in harness.score.measures.COUNTS."""

    J: NDArray[np.float64]
    F: NDArray[np.float64]

    group: str = ""
    """Class of the sequence, if the total is a mean over classes (YouTube-Objects)."""


def score_sequence(
    truth: Iterable[Mask],
    prediction: Iterable[Mask],
    object_ids: Iterable[int],
    *,
    name: str = "sequence",
    frames: Iterable[str] | None = None,
    values: Values = "ids",
) -> SequenceScores:
    """Return J and F of every object in every frame.

    `truth` and `prediction`: the masks of the scored frames only, in time order, each height × width of uint8; they are
    taken one at a time, so generators that decode keep memory flat. `values` says what their values mean. `object_ids`:
    those in the first frame's truth; as in the official evaluator, all ids from 1 to the highest of them are scored, so
    that a gap counts as an empty object. `name` and `frames` (names, by default numbers) are for tables and errors.

    Raises DataError if only one side has a frame, if sizes differ, if a predicted id exceeds the highest one, if there
    is no frame or no object, or if all objects of a `foreground` are void."""
    ids = tuple(range(1, max(object_ids, default=0) + 1))
    if not ids:
        raise DataError(f"{name}: the first frame's truth shows no object, so there is nothing to score")
    names = None if frames is None else tuple(frames)
    counts: list[list[Counts]] = []
    found: set[bool] = set()
    for index, (theirs, ours) in enumerate(zip_longest(truth, prediction)):
        frame = names[index] if names and index < len(names) else f"{index:05d}"
        if theirs is None or ours is None:
            raise DataError(f"{name}: truth and prediction differ in length after frame {frame}")
        origin = f"{name}/{frame}"
        masks = _raster(theirs, origin), _raster(ours, origin)
        if values == "foreground":
            found |= {bool(value != VOID) for value in np.unique(theirs[theirs != 0])}
        counts.append(count_frame(*masks, len(ids), values=values, origin=origin))
    if found == {False}:
        raise DataError(f"{name}: 255 is the only value of the truth but 0; if it is the object, values are 'binary'")
    return from_counts(counts, ids, name=name, frames=names)


def count_frame(truth: Raster, prediction: Raster, objects: int, *, values: Values, origin: str) -> list[Counts]:
    """Return the counts of each object in one frame, called `origin` in errors. Raises DataError as score_sequence."""
    if (truth.height, truth.width) != (prediction.height, prediction.width):
        raise DataError(
            f"{origin}: the predicted mask is {prediction.size}, the truth {truth.size}; write masks at the size "
            "of the truth, without smoothing"
        )
    if (truth.stride, truth.offset) != (prediction.stride, prediction.offset):
        truth, prediction = (from_array(raster.array()) for raster in (truth, prediction))
    ours = prediction.flat()
    if values == "ids":
        highest = int(ours.max(initial=0))
        if highest > objects:
            raise DataError(
                f"{origin}: the predicted mask has id {highest}, the first frame's truth only ids up to {objects}; "
                "write object ids as pixel values, 0 elsewhere"
            )
    else:
        theirs = truth.flat()
        truth = truth.replaced(theirs != 0 if values == "binary" else (theirs != 0) & (theirs != VOID))
        prediction = prediction.replaced(ours != 0)
    return count_objects(truth, prediction, objects)


def from_counts(
    counts: list[list[Counts]], ids: tuple[int, ...], *, name: str, frames: tuple[str, ...] | None, group: str = ""
) -> SequenceScores:
    """Return the scores from the counts of every frame and object. Raises DataError if there is no frame."""
    if not counts:
        raise DataError(f"{name}: no frame to score; it needs one more than those that the protocol skips")
    names = tuple(f"{index:05d}" for index in range(len(counts))) if frames is None else frames
    if len(names) != len(counts):
        raise DataError(f"{name}: {len(counts)} masks, but {len(names)} frame names; give one name for every mask")
    stacked = np.array(counts, np.int64).swapaxes(0, 1)
    return SequenceScores(
        name=name,
        object_ids=ids,
        frames=names,
        counts=stacked,
        J=region_similarity(stacked),
        F=boundary_measure(stacked),
        group=group,
    )


def _raster(mask: Mask, origin: str) -> Raster:
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.bool_):
        raise DataError(
            f"{origin}: a mask of shape {mask.shape} and type {mask.dtype}; height × width of uint8 expected"
        )
    return from_array(mask)
