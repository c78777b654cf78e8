"""All objects of one video: masks in, J and F of every object in every frame out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, zip_longest
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.datasets import VOID, Protocol, Values
from harness.datasets.protocol import DAVIS, Counting
from harness.errors import DataError, StudyError
from harness.score.counts import Counts, count_objects
from harness.score.measures import COUNTS, CURVES, MEASURES, Source, boundary_measure, region_similarity, with_parts
from harness.score.raster import Raster, from_array

Mask = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceScores:
    """J and F of one sequence; both objects × frames, in 0..1."""

    name: str
    object_ids: tuple[int, ...]
    frames: tuple[str, ...]
    """Names of the scored frames, in time order."""

    counts: NDArray[np.int64]
    """Objects × frames × 6, as in harness.score.measures.COUNTS; × 9 with the further ones."""

    J: NDArray[np.float64]
    F: NDArray[np.float64]

    counted: NDArray[np.bool_] | None = None
    """Objects × frames: which frames count for each object, at least one; None if all do."""

    categories: tuple[str, ...] = ()
    """Category of each object, if there are any."""

    group: str = ""
    """Class of the sequence, if the total is a mean over classes (YouTube-Objects)."""

    def values(self, source: Source) -> list[NDArray[np.float64]]:
        """Return the per-frame values of each object in the frames that count for it."""
        if source == "JF":
            return self._counted((self.J + self.F) / 2)
        known = {"J": self.J, "F": self.F}
        return self._counted(known[source] if source in known else CURVES[source](self.counts))

    @property
    def visible(self) -> list[NDArray[np.bool_]]:
        """Whether the truth shows each object in each of the frames that count for it; needs the further counts."""
        return self._counted(self.counts[..., len(COUNTS)] > 0)

    def frames_of(self, row: int) -> tuple[str, ...]:
        """Return the names of the frames that count for an object, given by its place in `object_ids`."""
        if self.counted is None:
            return self.frames
        return tuple(name for name, counts in zip(self.frames, self.counted[row], strict=True) if counts)

    def _counted(self, found: NDArray[Number]) -> list[NDArray[Number]]:
        if self.counted is None:
            return list(found)
        return [row[counted] for row, counted in zip(found, self.counted, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a benchmark counts of a sequence."""

    counting: Counting = "first-frame"
    measures: tuple[str, ...] = DAVIS
    """Names of the measures that it reports, the most important one first."""

    @property
    def more(self) -> bool:
        """Whether they need the further counts."""
        parts = [MEASURES[name] for name in with_parts(self.measures)]
        return self.counting == "since-shown" or any(one.clips or one.source == "Fa" for one in parts)


def rules_of(protocol: Protocol) -> Rules:
    """Return what a benchmark counts. Raises StudyError if it reports a measure that does not exist, or none."""
    if not protocol.measures or (unknown := [name for name in protocol.measures if name not in MEASURES]):
        found = repr(unknown[0]) if protocol.measures else "no measure"
        raise StudyError(f"{protocol.name}: measures: {found} found; allowed: {', '.join(MEASURES)}")
    return Rules(counting=protocol.counting, measures=protocol.measures)


def score_sequence(
    truth: Iterable[Mask],
    prediction: Iterable[Mask],
    object_ids: Iterable[int],
    *,
    name: str = "sequence",
    frames: Iterable[str] | None = None,
    values: Values = "ids",
    rules: Rules | None = None,
    starts: Sequence[int] = (),
    categories: tuple[str, ...] = (),
) -> SequenceScores:
    """Return J and F of every object in every frame.

    `truth` and `prediction`: the masks of the scored frames only, in time order, each height × width of uint8; they are
    taken one at a time, so generators that decode keep memory flat. `values` says what their values mean. `object_ids`:
    those in the first frame's truth; as in the official evaluator, all ids from 1 to the highest of them are scored, so
    that a gap counts as an empty object. Under other `rules`, exactly the given ids are scored. `starts` (for the rule
    `after-first-mask`): for each object, the index among these frames of its first mask, negative if that is before all
    of them. `categories`: that of each object. `name` and `frames` (names, by default numbers): for tables and errors.

    Raises DataError if only one side has a frame, if sizes differ, if a predicted id exceeds the highest one, if there
    is no frame or no object, or if all objects of a `foreground` are void."""
    rules = rules or Rules()
    ids = scored_ids(object_ids, rules)
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
        counts.append(count_frame(*masks, ids, values=values, origin=origin, more=rules.more))
    if found == {False}:
        raise DataError(f"{name}: 255 is the only value of the truth but 0; if it is the object, values are 'binary'")
    places = range(len(counts)) if rules.counting == "after-first-mask" and starts else ()
    return from_counts(
        np.array(counts, np.int64), ids, rules, places, starts, name=name, frames=names, categories=categories
    )


def scored_ids(object_ids: Iterable[int], rules: Rules) -> tuple[int, ...]:
    """Return the ids that are scored: under the rule `first-frame` all up to the highest one, else those given."""
    ids = tuple(object_ids)
    return tuple(range(1, max(ids, default=0) + 1)) if rules.counting == "first-frame" else ids


def count_frame(
    truth: Raster, prediction: Raster, ids: tuple[int, ...], *, values: Values, origin: str, more: bool = False
) -> list[Counts]:
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
        _require_known(ours, ids, origin)
    else:
        theirs = truth.flat()
        truth = truth.replaced(theirs != 0 if values == "binary" else (theirs != 0) & (theirs != VOID))
        prediction = prediction.replaced(ours != 0)
    return count_objects(truth, prediction, ids, more=more)


def _require_known(prediction: NDArray[np.uint8], ids: tuple[int, ...], origin: str) -> None:
    """Raise DataError if a predicted mask has an id that is not scored."""
    highest, last = int(prediction.max(initial=0)), max(ids)
    known = len(ids) == last
    if highest > last or not known:
        wrong = [highest] if known else sorted({*np.flatnonzero(np.bincount(prediction)).tolist()} - {0, *ids})
        truth = f"only ids up to {last}" if known else f"only {', '.join(map(str, ids))}"
        if wrong:
            raise DataError(
                f"{origin}: the predicted mask has id {wrong[-1]}, the truth of the objects {truth}; write object ids "
                "as pixel values, 0 elsewhere"
            )


def from_counts(
    counts: NDArray[np.int64],
    ids: tuple[int, ...],
    rules: Rules,
    places: Sequence[int] = (),
    starts: Sequence[int] = (),
    *,
    name: str,
    frames: tuple[str, ...] | None,
    categories: tuple[str, ...] = (),
    group: str = "",
) -> SequenceScores:
    """Return the scores from the counts, frames × objects × 6 or 9.

    `places`: index of each scored frame in the video, `starts`: of the frame with each object's first mask. Objects for
    which no frame counts are left out. Raises DataError if there is no frame, or none that counts for any object."""
    if not len(counts):
        raise DataError(f"{name}: no frame to score; it needs one more than those that the protocol skips")
    names = tuple(f"{index:05d}" for index in range(len(counts))) if frames is None else frames
    if len(names) != len(counts):
        raise DataError(f"{name}: {len(counts)} masks, but {len(names)} frame names; give one name for every mask")
    stacked = counts.swapaxes(0, 1)
    counted = _counted(stacked, rules, np.asarray(places), np.asarray(starts))
    if counted is not None:
        kept = [bool(row.any()) for row in counted]
        if not any(kept):
            raise DataError(
                f"{name}: no frame to score; its objects appear in the last frame, or after the last scored one"
            )
        ids = tuple(compress(ids, kept))
        categories = tuple(compress(categories, kept))
        stacked, counted = stacked[kept], None if counted[kept].all() else counted[kept]
    return SequenceScores(
        name=name,
        object_ids=ids,
        frames=names,
        counts=stacked,
        J=region_similarity(stacked),
        F=boundary_measure(stacked),
        counted=counted,
        categories=categories,
        group=group,
    )


def _counted(
    counts: NDArray[np.int64], rules: Rules, places: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    """Return objects × frames: which frames count for each object, perhaps none; None if all do."""
    if rules.counting == "after-first-mask" and len(starts):
        return np.asarray(places[None, :] > starts[:, None])
    if rules.counting == "since-shown":
        union, truth = counts[..., 1], counts[..., len(COUNTS)]
        since = np.logical_or.accumulate(union > 0, axis=1)
        return np.asarray(since & (truth > 0).any(axis=1, keepdims=True))
    return None


def _raster(mask: Mask, origin: str) -> Raster:
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.bool_):
        raise DataError(
            f"{origin}: a mask of shape {mask.shape} and type {mask.dtype}; height × width of uint8 expected"
        )
    return from_array(mask)
