"""Folders of masks: which sequences and frames there must be, what is wrong with them, and their scores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, HarnessError
from harness.score.counts import Counts
from harness.score.png import read_raster
from harness.score.raster import from_array
from harness.score.rules import ScoringRules, Values
from harness.score.sequence import VOID, SequenceScores, count_frame, from_counts

if TYPE_CHECKING:
    import harness.datasets


RESERVE = 16 << 20
"""Bytes, several times what a frame of 1080p takes; never touched, so not occupied."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """The mask files of one sequence."""

    name: str
    first: Path
    """Truth of the first frame; its ids are the objects."""

    truth: tuple[Path, ...]
    """Of the scored frames, in time order."""

    prediction: tuple[Path, ...]
    """Of the same frames."""

    values: Values


def score_files(video: Video) -> SequenceScores:
    """The scores of one sequence. Raises DataError naming a file that is missing, damaged or does not fit."""
    objects = 1 if video.values != "ids" else _highest_id(video.first)
    if not objects:
        raise DataError(f"{video.first}: no object in the first frame's truth, so there is nothing to score")
    _keep_memory()
    counts: list[list[Counts]] = []
    for truth, prediction in zip(video.truth, video.prediction, strict=True):
        masks = read_raster(truth), read_raster(prediction)
        counts.append(count_frame(*masks, objects, values=video.values, origin=str(prediction)))
    ids, frames = tuple(range(1, objects + 1)), tuple(path.stem for path in video.truth)
    return from_counts(counts, ids, name=video.name, frames=frames)


def score_video(sequence: harness.datasets.Sequence, folder: Path, values: Values) -> SequenceScores:
    """The scores of a dataset's sequence whose masks a method has written to `folder`, `<frame name>.png` each.

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
    truth: Path, prediction: Path, rules: ScoringRules, names: Iterable[str] | None = None
) -> tuple[list[Video], dict[str, str]]:
    """The sequences to score, and for the others why they cannot be scored, by name.

    Both folders hold `<sequence>/<frame>.png`. `names`: the sequences there must be; by default the folders in
    `truth`. Predicted frames that the rules leave out may be missing; predicted frames without truth are not looked at.
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
                videos.append(_find_video(truth / name, prediction / name, rules))
            except DataError as error:
                problems[name] = str(error)
    return videos, problems


def score_all(
    videos: Sequence[Video], jobs: int = 1, done: Callable[[str], None] = lambda name: None, *, keep_going: bool = True
) -> tuple[list[SequenceScores], dict[str, str]]:
    """Scores of all the sequences, in the order given, and for those without a score the reason, by name.

    `jobs`: processes; more than one only where the calling process has no threads of its own. A process that dies costs
    the sequences that were not finished, and they are named. `done` is called with every name finished. Without
    `keep_going` the first problem ends the work and is the only one."""
    scores: dict[str, SequenceScores] = {}
    problems: dict[str, str] = {}
    results = _in_processes(videos, jobs) if min(jobs, len(videos)) > 1 else ((v, _guarded(v)) for v in videos)
    for video, result in results:
        if isinstance(result, str):
            problems[video.name] = result
            if not keep_going:
                break
        else:
            scores[video.name] = result
        done(video.name)
    return [scores[video.name] for video in videos if video.name in scores], problems


def _in_processes(videos: Sequence[Video], jobs: int) -> Iterable[tuple[Video, SequenceScores | str]]:
    longest_first = sorted(videos, key=lambda video: -len(video.truth))
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    with ProcessPoolExecutor(min(jobs, len(videos)), multiprocessing.get_context(method)) as pool:
        tasks = {pool.submit(_guarded, video): video for video in longest_first}
        try:
            for task in as_completed(tasks):
                try:
                    result = task.result()
                except BrokenProcessPool:
                    result = "a scoring process died before it was finished (out of memory?); use fewer --jobs"
                yield tasks[task], result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _guarded(video: Video) -> SequenceScores | str:
    """Also the entry of a process: a problem with the data is a result, in words."""
    try:
        return score_files(video)
    except HarnessError as error:
        return str(error)


def _find_video(truth: Path, prediction: Path, rules: ScoringRules) -> Video:
    masks = _masks(truth)
    if not masks:
        raise DataError(f"{truth}: no PNG masks found; restore the truth from the dataset")
    predicted = _masks(prediction)
    names = sorted(masks)
    _refuse_lost_truth(truth, names, predicted)
    scored = [names[index] for index in rules.scored(len(names))]
    if not scored:
        raise DataError(
            f"{truth}: {len(names)} masks, none left to score without the first {rules.skip_first} and the last "
            f"{rules.skip_last}; restore the truth from the dataset"
        )
    missing = [name for name in scored if name not in predicted]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{prediction / missing[0]}.png: mask missing{more}; one PNG for every scored frame expected")
    return Video(
        name=truth.name,
        first=masks[names[0]],
        truth=tuple(masks[name] for name in scored),
        prediction=tuple(predicted[name] for name in scored),
        values=rules.values,
    )


def _refuse_lost_truth(folder: Path, names: Sequence[str], predicted: Mapping[str, Path]) -> None:
    """A few numbers left out while their prediction is there: truth was lost. Many: only some frames have truth."""
    if not all(name.isascii() and name.isdigit() for name in names):
        return
    numbers = {int(name) for name in names}
    lost = [name for name in sorted(predicted) if name.isdigit() and min(numbers) < int(name) < max(numbers)]
    lost = [name for name in lost if int(name) not in numbers]
    if 0 < len(lost) < len(names):
        raise DataError(f"{folder / lost[0]}.png: predicted, but its truth is missing; restore it from the dataset")


def _keep_memory() -> None:
    """Have the C library hand freed memory out again and not back to the system: a frame's buffers would otherwise be
    fetched page by page for every frame, a quarter of the time. glibc takes the largest block ever freed for what the
    process needs; elsewhere this does nothing."""
    reserve = bytearray(RESERVE)
    del reserve


def _highest_id(path: Path) -> int:
    values = read_raster(path).flat()
    return int(values[values != VOID].max(initial=0))


def _folders(folder: Path) -> list[str]:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); give the folder of the sequences") from None
    if not names:
        raise DataError(f"{folder}: no folders in it; <sequence>/<frame>.png expected")
    return names


def _masks(folder: Path) -> dict[str, Path]:
    try:
        return {path.stem: path for path in folder.iterdir() if path.suffix == ".png" and path.name[0] != "."}
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); restore the folder") from None
