"""Folders of masks: the truth and the predictions of a benchmark's sequences, what is wrong with them, and scores."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets import (
    Located,
    MaskFile,
    Protocol,
    Sequence,
    extent_of,
    locate_around,
    predicted_masks,
    prepare,
    read_predicted,
    read_sequences,
    require_own_masks,
)
from harness.datasets.check import mask_facts
from harness.datasets.files import JUNK, describe, list_files
from harness.datasets.late import started
from harness.datasets.layouts.base import first_ids
from harness.datasets.order import in_order, numbering
from harness.datasets.predictions import MASK_ENDINGS
from harness.errors import DataError, StudyError
from harness.score.measures import MEASURES, with_parts
from harness.score.png import read_raster
from harness.score.raster import Raster, from_array
from harness.score.sequence import Rules, SequenceScores, count_frame, from_counts, rules_of, scored_ids


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The sequences that a benchmark expects, as found in a folder."""

    folder: Path
    protocol: Protocol
    sequences: Mapping[str, Sequence]
    problems: Mapping[str, str]
    """Name → why a sequence of the benchmark cannot be read."""

    located: Located | None
    """The dataset as distributed; None for a folder of `<sequence>/<frame>.png`."""

    defect: str = ""
    """Why the dataset around the folder cannot be used, although it is there."""

    listed: bool = True
    """Whether a list of the dataset says which sequences there are."""

    @property
    def extent(self) -> str:
        """How the sequences differ from the published benchmark, such as `2 of 20 sequences`; empty if they do not."""
        found = self.sequences.values()
        return self.located.difference(found) if self.located else self.protocol.extent.difference(extent_of(found))


@dataclass(frozen=True, kw_only=True)
class Video:
    """A sequence with the masks to score."""

    sequence: Sequence
    masks: tuple[MaskFile, ...]
    """Predictions of the scored frames, in time order."""

    rules: Rules = field(default_factory=Rules)

    @property
    def name(self) -> str:
        """The sequence's name."""
        return self.sequence.name

    @property
    def frames(self) -> tuple[str, ...]:
        """Names of the scored frames, in time order."""
        return tuple(self.sequence.frame_name(index) for index in self.sequence.scored)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The ids that are scored."""
        return scored_ids(self.sequence.object_ids, self.rules) if self.sequence.values == "ids" else (1,)

    def scores(self, counts: NDArray[np.int64]) -> SequenceScores:
        """Return the scores from the counts of all scored frames, frames × objects × 6 or 9.

        Raises DataError if no frame counts for any object."""
        one = self.sequence
        starts, categories = ((), ()) if one.values != "ids" else (one.starts, one.categories)
        known = dict(zip(one.object_ids, categories, strict=False))
        return from_counts(
            counts,
            self.ids,
            self.rules,
            one.scored,
            starts or (0,) * len(self.ids),
            name=self.name,
            frames=self.frames,
            categories=tuple(known.get(index, "") for index in self.ids) if known else (),
            group=one.group,
        )


def count_frames(video: Video, start: int, stop: int) -> NDArray[np.int64]:
    """Return the counts of each object in the scored frames `start` to `stop`: frames × objects × 6 or 9.

    Raises DataError naming a file that is missing, damaged or does not fit."""
    counts = []
    sequence = video.sequence
    for index, mask in zip(sequence.scored[start:stop], video.masks[start:stop], strict=True):
        path = mask if isinstance(mask, Path) else next(iter(mask.values()))
        prediction = read_raster(path) if isinstance(mask, Path) else from_array(read_predicted(mask))
        truth = _truth(sequence, index)
        more = video.rules.more
        counts.append(count_frame(truth, prediction, video.ids, values=sequence.values, origin=str(path), more=more))
    return np.array(counts, np.int64)


def score_video(sequence: Sequence, folder: Path, rules: Rules | None = None) -> SequenceScores:
    """Return the scores of a benchmark's sequence whose masks a method has written to `<folder>/<frame name>.png`.

    `rules`: by default those of DAVIS. Raises DataError naming a file that is missing, damaged or does not fit."""
    video = find_video(sequence, folder, rules)
    return video.scores(count_frames(video, 0, len(video.masks)))


def find_truth(folder: Path, protocol: Protocol) -> Truth:
    """Return the truth of a benchmark, from its dataset if `folder` is it, holds it, or has the dataset's masks.

    Any other folder holds `<sequence>/<frame>.png`: of the split, if a dataset around it has the list, or else of all
    sequences there are. Raises DataError if it cannot be listed or the list cannot be read, StudyError if the benchmark
    averages over classes, which such a folder does not name."""
    rules_of(protocol)
    folder = Path(os.path.normpath(folder.absolute()))
    located = locate_around(folder, protocol)
    unread: dict[str, str] = {}
    if located is not None:
        sequences, found = read_sequences(located)
        unread = {problem.sequence: problem.message for problem in found}
        inside = all(path.is_relative_to(folder) for one in sequences for path in one.mask_files)
        if sequences and (inside or located.root == folder):  # a description may lead elsewhere
            known = {sequence.name: sequence for sequence in sequences}
            return Truth(folder=folder, protocol=protocol, sequences=known, problems=unread, located=located)
    by_category = any(MEASURES[name].category for name in with_parts(protocol.measures))
    if protocol.averaging == "classes" or by_category:
        raise StudyError(
            f"--truth {folder}: not {protocol.dataset.title} as distributed; {protocol.title} averages over classes, "
            f"which folders of masks do not name, so give the folder that has {protocol.marker}"
        )
    names = list(located.readers()) if located is not None else _folders(folder)
    if located is None and not any(list_files(folder / name, None, MASK_ENDINGS) for name in names):
        raise DataError(
            f"{folder}: no <sequence>/<frame>.png in it, and no {protocol.dataset.title}, which has the list "
            f"{protocol.marker}; {describe(folder)} found"
        )
    stored: dict[str, Sequence] = {}
    plain: dict[str, Sequence] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            stored[name] = _read_plain(folder / name, protocol)
        except DataError as error:
            problems[name] = str(error)
    require_own_masks(stored.values())
    for name, raw in stored.items():
        try:
            sequence = prepare(protocol, raw)
        except DataError as error:
            problems[name] = str(error)
        else:
            plain |= {name: sequence} if sequence is not None else {}
    return Truth(
        folder=folder,
        protocol=protocol,
        sequences=plain,
        problems=problems if plain or not unread else unread,
        located=None,
        defect=next(iter(unread.values()), ""),
        listed=located is not None,
    )


def find_videos(truth: Truth, prediction: Path) -> tuple[list[Video], dict[str, str], list[str]]:
    """Return the videos to score, name → reason for those that cannot be scored, and folders that are ignored.

    `prediction` holds `<sequence>/<frame>.png`. Predicted frames that the protocol skips may be missing; predicted
    frames without truth are ignored. Raises DataError if the folder is missing or holds no folder."""
    videos: list[Video] = []
    problems = dict(truth.problems)
    rules = rules_of(truth.protocol)
    present = _folders(prediction, junk=True)
    for name, sequence in sorted(truth.sequences.items()):
        if name not in present:
            why = "" if truth.listed else f" (it has truth, and no list {truth.protocol.marker} was found)"
            problems[name] = f"{prediction / name}: no masks for this sequence{why}; segment it"
            continue
        try:
            if truth.located is None:
                _refuse_lost_truth(truth.folder / name, sequence, predicted_masks(prediction / name))
            videos.append(find_video(sequence, prediction / name, rules))
        except DataError as error:
            problems[name] = str(error)
    others = [name for name in present if name not in truth.sequences and name not in truth.problems]
    if not truth.listed:
        for name in [name for name in others if name not in JUNK and predicted_masks(prediction / name)]:
            problems[name] = f"{prediction / name}: {truth.folder} has no truth for it; restore it, or remove the masks"
            others.remove(name)
    return videos, problems, others


def find_video(sequence: Sequence, folder: Path, rules: Rules | None = None) -> Video:
    """Return a sequence with the masks in `folder`. Raises DataError if some are missing or named for other frames."""
    found = predicted_masks(folder)
    names = [sequence.frame_name(index) for index in range(len(sequence))]
    if None not in sequence.masks:
        _refuse_shift(folder, names, found)
    scored = [names[index] for index in sequence.scored]
    if missing := [name for name in scored if name not in found]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{folder / missing[0]}.png: mask missing{more}; one PNG for every scored frame expected, "
            f"{describe(folder)} found"
        )
    return Video(sequence=sequence, masks=tuple(found[name] for name in scored), rules=rules or Rules())


def _truth(sequence: Sequence, index: int) -> Raster:
    """Return the truth as stored, if it can be read fast; else as `Sequence.mask` does, which counts the same."""
    path = sequence.masks[index]
    if isinstance(path, Path) and path.suffix == ".png" and not sequence.threshold:
        return read_raster(path)
    return from_array(sequence.mask(index))


def _read_plain(folder: Path, protocol: Protocol) -> Sequence:
    """Return the sequence whose true masks are in a folder, with the masks in place of frames."""
    files = list_files(folder, None, MASK_ENDINGS)
    if not files:
        raise DataError(f"{folder}: no PNG masks found, but {describe(folder)}; restore the truth from the dataset")
    masks = tuple(files[name] for name in in_order(files, folder))
    binary = not (protocol.multi_object or protocol.merge_objects)
    if binary or protocol.counting == "first-frame":
        ids = (1,) if binary else first_ids(masks[0])
        return Sequence(name=folder.name, frames=masks, masks=masks, object_ids=ids, binary=binary)
    whole = Sequence(name=folder.name, frames=masks, masks=masks, object_ids=())
    return started(whole, mask_facts([whole], None))


def _refuse_shift(folder: Path, names: list[str], predicted: Collection[str]) -> None:
    """Raise DataError if masks are named one or more frames too early or too late.

    They go beyond one end of the sequence then, and lack the other."""
    found, known = numbering({*names, *predicted}, folder), numbering(names, folder)
    if found is None or known is None:
        return
    ours = {number for number, name in found.names.items() if name in predicted}
    first, last, beyond = min(known.names), max(known.names), ours - known.names.keys()
    late = beyond and min(beyond) > last and first not in ours
    early = beyond and max(beyond) < first and last not in ours
    if late or early:
        raise DataError(
            f"{folder}: masks {min(ours)} to {max(ours)} found, frames {first} to {last} expected; name each mask as "
            "its frame"
        )


def _refuse_lost_truth(folder: Path, sequence: Sequence, predicted: Collection[str]) -> None:
    """Raise DataError if the truth lacks a few numbered frames that were predicted; with many, it was never there."""
    names = {sequence.frame_name(index) for index in range(len(sequence))}
    found, known = numbering({*names, *predicted}, folder), numbering(names, folder)
    if found is None or known is None:
        return
    first, last = min(known.names), max(known.names)
    lost = [name for number, name in found.names.items() if first < number < last and name not in names]
    if 0 < len(lost) < len(names):
        raise DataError(f"{folder / lost[0]}.png: predicted, but its truth is missing; restore it from the dataset")


def _folders(folder: Path, *, junk: bool = False) -> list[str]:
    """Return the sorted folders that are not hidden, with those of systems and archives if `junk`."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); give the folder of the sequences") from None
    names = [name for name in names if junk or name not in JUNK]
    if not names:
        raise DataError(f"{folder}: {describe(folder)} found, <sequence>/<frame>.png expected")
    return names
