"""Folders of masks: the sequences and frames that they must hold, what is wrong with them, and their scores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import harness.datasets
from harness.datasets import Protocol
from harness.errors import DataError
from harness.score.counts import Counts
from harness.score.png import read_raster
from harness.score.raster import from_array
from harness.score.sequence import VOID, SequenceScores, count_frame, from_counts
from harness.score.values import Values, values_of


@dataclass(frozen=True, kw_only=True)
class Video:
    """The mask files of one sequence."""

    name: str
    truth: Path
    """Folder of the true masks, `<frame>.png`."""

    prediction: Path
    """Folder of the predicted masks, `<frame>.png`."""

    first: str
    """Name of the first frame; the ids in its truth are the objects."""

    frames: tuple[str, ...]
    """Names of the scored frames, in time order."""

    values: Values

    @cached_property
    def objects(self) -> int:
        """Number of objects in the first frame's truth. Raises DataError if it has none."""
        if self.values != "ids":
            return 1
        path = self.truth / f"{self.first}.png"
        values = read_raster(path).flat()
        highest = int(values[values != VOID].max(initial=0))
        if not highest:
            raise DataError(f"{path}: no object in the first frame's truth, so there is nothing to score")
        return highest


def count_frames(video: Video, start: int, stop: int) -> list[list[Counts]]:
    """Return the counts of each object in the scored frames `start` to `stop`.

    Raises DataError naming a file that is missing, damaged or does not fit."""
    counts = []
    for name in video.frames[start:stop]:
        prediction = video.prediction / f"{name}.png"
        masks = read_raster(video.truth / f"{name}.png"), read_raster(prediction)
        counts.append(count_frame(*masks, video.objects, values=video.values, origin=str(prediction)))
    return counts


def score_video(sequence: harness.datasets.Sequence, folder: Path, values: Values) -> SequenceScores:
    """Return the scores of a dataset's sequence whose masks a method has written to `<folder>/<frame name>.png`.

    Raises DataError naming a file that is missing, damaged or does not fit."""
    objects = max(sequence.object_ids, default=0) if values == "ids" else 1
    if not objects:
        raise DataError(f"{sequence.name}: no object in the first frame's truth, so there is nothing to score")
    counts: list[list[Counts]] = []
    for index in sequence.scored:
        path = folder / f"{sequence.frame_name(index)}.png"
        counts.append(
            count_frame(from_array(sequence.mask(index)), read_raster(path), objects, values=values, origin=str(path))
        )
    frames = tuple(sequence.frame_name(index) for index in sequence.scored)
    ids = tuple(range(1, objects + 1))
    return from_counts(counts, ids, name=sequence.name, frames=frames, group=sequence.group)


def find_videos(
    truth: Path, prediction: Path, protocol: Protocol, names: Iterable[str] | None = None
) -> tuple[list[Video], dict[str, str]]:
    """Return the sequences to score, and name → reason for those that cannot be scored.

    Both folders hold `<sequence>/<frame>.png`. `names`: the sequences there must be; by default the folders in
    `truth`. Predicted frames that the protocol skips may be missing; predicted frames without truth are ignored.
    Raises DataError if one of the two folders is missing or holds no folder."""
    expected = sorted(names) if names is not None else _folders(truth)
    present = _folders(prediction)
    videos, problems = [], {}
    for name in sorted({*expected, *present}):
        if name not in expected:
            problems[name] = f"{prediction / name}: a sequence that {truth} lacks; remove it, or score its benchmark"
        elif name not in present:
            problems[name] = f"{prediction / name}: no masks for this sequence; segment it"
        else:
            try:
                videos.append(_find_video(truth / name, prediction / name, protocol))
            except DataError as error:
                problems[name] = str(error)
    return videos, problems


def _find_video(truth: Path, prediction: Path, protocol: Protocol) -> Video:
    names = sorted(_masks(truth))
    if not names:
        raise DataError(f"{truth}: no PNG masks found; restore the truth from the dataset")
    predicted = _masks(prediction)
    _refuse_lost_truth(truth, names, predicted)
    scored = [names[index] for index in range(protocol.skip_first, len(names) - protocol.skip_last)]
    if not scored:
        raise DataError(
            f"{truth}: {len(names)} masks, none left to score without the first {protocol.skip_first} and the last "
            f"{protocol.skip_last}; restore the truth from the dataset"
        )
    missing = [name for name in scored if name not in predicted]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{prediction / missing[0]}.png: mask missing{more}; one PNG for every scored frame expected")
    return Video(
        name=truth.name,
        truth=truth,
        prediction=prediction,
        first=names[0],
        frames=tuple(scored),
        values=values_of(protocol),
    )


def _refuse_lost_truth(folder: Path, names: Sequence[str], predicted: Iterable[str]) -> None:
    """Raise DataError if the truth lacks a few numbered frames that were predicted; with many, it was never there."""
    if not all(name.isascii() and name.isdigit() for name in names):
        return
    numbers = {int(name) for name in names}
    lost = [name for name in sorted(predicted) if name.isdigit() and min(numbers) < int(name) < max(numbers)]
    lost = [name for name in lost if int(name) not in numbers]
    if 0 < len(lost) < len(names):
        raise DataError(f"{folder / lost[0]}.png: predicted, but its truth is missing; restore it from the dataset")


def _folders(folder: Path) -> list[str]:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); give the folder of the sequences") from None
    if not names:
        raise DataError(f"{folder}: no folders in it; <sequence>/<frame>.png expected")
    return names


def _masks(folder: Path) -> set[str]:
    """Return the names of the frames."""
    try:
        with os.scandir(folder) as entries:  # paths take ten times as long
            names = [entry.name for entry in entries]
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); restore the folder") from None
    return {name[:-4] for name in names if name.endswith(".png") and not name.startswith(".")}
