"""Scores the frames of many videos in several processes, piece by piece."""

from __future__ import annotations

import gc
import multiprocessing
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from harness.errors import HarnessError
from harness.score.counts import Counts
from harness.score.folders import Video, count_frames, objects_of
from harness.score.sequence import SequenceScores, from_counts

TOKEN = struct.Struct("=I")
"""Number of a piece in the pipe that all processes read; one read takes one whole token."""

MOST_PIECES = 1024
"""Approximate limit; all tokens must fit into a pipe before it is read (16 KiB on macOS, 64 KiB on Linux)."""

SMALLEST, LARGEST = 4, 64
"""Frames of a piece: small pieces at the end let all processes end together, large ones before save overhead."""

DIED = "a scoring process died before it was finished (out of memory?); use fewer --jobs"


class Part(NamedTuple):
    """Consecutive scored frames of one video."""

    video: int
    start: int
    stop: int


RESERVE = 16 << 20
"""Bytes, several times those of a frame of 1080p; never written, so they occupy no memory."""

Piece = tuple[Part, ...]
Outcome = list[list[Counts]] | str
"""Counts of every frame and object of a part, or an error message."""


@dataclass
class Progress:
    """Counts and problems of every video so far."""

    counts: list[list[list[Counts] | None]]
    """Video → scored frame → counts of each object; None if there are none (yet)."""

    problems: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Video → start and message of its first part with a problem."""

    def add(self, piece: Piece, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of a piece; of two problems of a video, keep that of the earlier frame."""
        for part, outcome in zip(piece, outcomes, strict=True):
            if isinstance(outcome, str):
                self.problems[part.video] = min((part.start, outcome), self.problems.get(part.video, (part.stop, "")))
            else:
                self.counts[part.video][part.start : part.stop] = outcome


def score_all(
    videos: Sequence[Video], jobs: int = 1, *, keep_going: bool = True
) -> tuple[list[SequenceScores], dict[str, str]]:
    """Return the scores of the videos in the order given, and name → reason for those without a score.

    `jobs`: processes including this one; only this one if the system cannot fork. Use more than one only if the calling
    process has no threads of its own. A process that dies costs the videos whose frames it held; they are named.
    Without `keep_going`, the first problem in the order of the videos ends the work and is the only one returned,
    whatever the number of processes."""
    _keep_memory()
    lengths = [len(video.frames) for video in videos]
    progress = Progress([[None] * length for length in lengths])
    pieces = cut(lengths, jobs if "fork" in multiprocessing.get_all_start_methods() else 1)
    if min(jobs, len(pieces)) > 1:
        _share(videos, pieces, min(jobs, len(pieces)), progress, keep_going=keep_going)
    else:
        for piece, outcomes in _work(videos, iter(pieces)):
            progress.add(piece, outcomes)
            if progress.problems and not keep_going:
                break
    scores: list[SequenceScores] = []
    problems: dict[str, str] = {}
    for index, video in enumerate(videos):
        counts = [frame for frame in progress.counts[index] if frame is not None]
        if index in progress.problems:
            problems[video.name] = progress.problems[index][1]
        elif len(counts) < len(video.frames):
            problems[video.name] = f"{video.name}: {DIED}"
        else:
            ids = tuple(range(1, len(counts[0]) + 1))
            scores.append(from_counts(counts, ids, name=video.name, frames=video.frames))
        if problems and not keep_going:
            break
    return scores, problems


def cut(lengths: Sequence[int], jobs: int) -> list[Piece]:
    """Return the frames of videos of these lengths in pieces, in order.

    One process gets a piece per video; several get pieces that become smaller toward the end, so that all end together.
    """
    if jobs == 1:
        return [(Part(index, 0, length),) for index, length in enumerate(lengths)]
    left = sum(lengths)
    largest = max(LARGEST, left // MOST_PIECES)
    pieces: list[Piece] = []
    piece: list[Part] = []
    room = 0
    for index, length in enumerate(lengths):
        start = 0
        while start < length:
            if not room:
                room = max(SMALLEST, min(largest, left // (4 * jobs)))
            stop = min(start + room, length)
            piece.append(Part(index, start, stop))
            room -= stop - start
            left -= stop - start
            start = stop
            if not room or not left:
                pieces.append(tuple(piece))
                piece = []
    return pieces


def _keep_memory() -> None:
    """Make the C library reuse freed memory instead of returning it to the system.

    Otherwise a frame's buffers are fetched page by page for every frame, a quarter of the time. glibc takes the largest
    block ever freed for what the process needs; with other C libraries this does nothing."""
    reserve = bytearray(RESERVE)
    del reserve


def _share(
    videos: Sequence[Video], pieces: Sequence[Piece], jobs: int, progress: Progress, *, keep_going: bool
) -> None:
    """Work on the pieces together with `jobs` - 1 children.

    A free process takes the next token from one pipe. That is atomic, needs no lock that a dead process could keep, and
    ends by itself."""
    context = multiprocessing.get_context("fork")
    tokens, filled = os.pipe()
    os.write(filled, b"".join(TOKEN.pack(number) for number in range(len(pieces))))
    os.close(filled)
    children: list[BaseProcess] = []
    results: list[Connection] = []
    gc.freeze()  # a collection in a child would otherwise copy every page that holds objects
    try:
        for _ in range(jobs - 1):
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(videos, pieces, tokens, sender, keep_going), daemon=True)
            child.start()
            sender.close()  # so that the end of the child is the end of its results
            children.append(child)
            results.append(receiver)
        for piece, outcomes in _work(videos, _take(tokens, pieces)):
            progress.add(piece, outcomes)
            _collect(results, progress, 0)
            if progress.problems and not keep_going:
                _stop(tokens)
        while results:
            _collect(results, progress, None)
    except BaseException:
        for process in children:
            process.terminate()
        raise
    finally:
        gc.unfreeze()
        os.close(tokens)
        for process in children:
            process.join()


def _child(
    videos: Sequence[Video], pieces: Sequence[Piece], tokens: int, results: Connection, keep_going: bool
) -> None:
    """Take pieces until there are none; entry point of a child."""
    try:
        for piece, outcomes in _work(videos, _take(tokens, pieces)):
            if not keep_going and any(isinstance(outcome, str) for outcome in outcomes):
                _stop(tokens)
            results.send((piece, outcomes))
    except (KeyboardInterrupt, BrokenPipeError):
        return  # the parent ends and says why


def _collect(results: list[Connection], progress: Progress, timeout: float | None) -> None:
    """Add what children have sent; remove those that have ended from the list.

    `timeout`: seconds to wait for anything to arrive; None waits without limit, until a child sends something or ends.
    """
    ready = wait(results, timeout)
    for connection in [one for one in results if one in ready]:
        try:
            progress.add(*connection.recv())
        except EOFError:
            results.remove(connection)


def _work(videos: Sequence[Video], pieces: Iterator[Piece]) -> Iterator[tuple[Piece, list[Outcome]]]:
    objects: dict[int, int] = {}
    for piece in pieces:
        yield piece, [_count(videos[part.video], part, objects) for part in piece]


def _count(video: Video, part: Part, objects: dict[int, int]) -> Outcome:
    """Return the outcome of a part. `objects`: video → number of objects, for videos that this process has seen."""
    try:
        if part.video not in objects:
            objects[part.video] = objects_of(video)
        return count_frames(video, objects[part.video], part.start, part.stop)
    except HarnessError as error:
        return str(error)


def _take(tokens: int, pieces: Sequence[Piece]) -> Iterator[Piece]:
    while token := os.read(tokens, TOKEN.size):
        yield pieces[TOKEN.unpack(token)[0]]


def _stop(tokens: int) -> None:
    """Take all remaining tokens, so that no process starts another piece."""
    while os.read(tokens, 1 << 16):
        pass
