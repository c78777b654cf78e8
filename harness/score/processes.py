"""The frames of many videos scored in several processes: what the pieces are, who takes the next, what came of them."""

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
"""Number of a piece, in the pipe that all processes read; one read takes one whole token."""

MOST_PIECES = 1024
"""About; their tokens must fit into a pipe before anyone reads it (16 KiB on macOS, 64 KiB on Linux)."""

SMALLEST, LARGEST = 4, 64
"""Frames of a piece: small ones at the end let all processes end together, large ones cost no time in between."""

DIED = "a scoring process died before it was finished (out of memory?); use fewer --jobs"


class Part(NamedTuple):
    """Consecutive scored frames of one video."""

    video: int
    start: int
    stop: int


RESERVE = 16 << 20
"""Bytes, several times what a frame of 1080p takes; never touched, so not occupied."""

Piece = tuple[Part, ...]
Outcome = list[list[Counts]] | str
"""Counts of every frame and object of a part, or what is wrong with it."""


@dataclass
class Ledger:
    """What is known of every video so far."""

    counts: list[list[list[Counts] | None]]
    """Video → scored frame → counts of each object; None: not there (yet)."""

    problems: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Video → the first of its parts that has a problem, and which."""

    def enter(self, piece: Piece, outcomes: Sequence[Outcome]) -> None:
        """Keep the outcomes of a piece; of two problems of a video, that of its earlier frame."""
        for part, outcome in zip(piece, outcomes, strict=True):
            if isinstance(outcome, str):
                self.problems[part.video] = min((part.start, outcome), self.problems.get(part.video, (part.stop, "")))
            else:
                self.counts[part.video][part.start : part.stop] = outcome


def score_all(
    videos: Sequence[Video], jobs: int = 1, *, keep_going: bool = True
) -> tuple[list[SequenceScores], dict[str, str]]:
    """Scores of all the videos, in the order given, and for those without a score the reason, by name.

    `jobs`: processes, this one among them, where the system can fork; elsewhere this one alone. More than one only
    where the calling process has no threads of its own. A process that dies costs the videos whose frames it held, and
    they are named. Without `keep_going` the first problem in the order of the videos ends the work and is the only one,
    whatever the number of processes."""
    _keep_memory()
    lengths = [len(video.frames) for video in videos]
    ledger = Ledger([[None] * length for length in lengths])
    pieces = cut(lengths, jobs if "fork" in multiprocessing.get_all_start_methods() else 1)
    if min(jobs, len(pieces)) > 1:
        _share(videos, pieces, min(jobs, len(pieces)), ledger, keep_going=keep_going)
    else:
        for piece, outcomes in _work(videos, iter(pieces)):
            ledger.enter(piece, outcomes)
            if ledger.problems and not keep_going:
                break
    scores: list[SequenceScores] = []
    problems: dict[str, str] = {}
    for index, video in enumerate(videos):
        counts = [frame for frame in ledger.counts[index] if frame is not None]
        if index in ledger.problems:
            problems[video.name] = ledger.problems[index][1]
        elif len(counts) < len(video.frames):
            problems[video.name] = f"{video.name}: {DIED}"
        else:
            ids = tuple(range(1, len(counts[0]) + 1))
            scores.append(from_counts(counts, ids, name=video.name, frames=video.frames))
        if problems and not keep_going:
            break
    return scores, problems


def cut(lengths: Sequence[int], jobs: int) -> list[Piece]:
    """The frames of videos of these lengths in pieces, in order. For one process: a piece a video. For more: pieces
    that become smaller towards the end, so that all processes end together."""
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
    """Have the C library hand freed memory out again and not back to the system: a frame's buffers would otherwise be
    fetched page by page for every frame, a quarter of the time. glibc takes the largest block ever freed for what the
    process needs; elsewhere this does nothing."""
    reserve = bytearray(RESERVE)
    del reserve


def _share(videos: Sequence[Video], pieces: Sequence[Piece], jobs: int, ledger: Ledger, *, keep_going: bool) -> None:
    """Work on the pieces together with `jobs` - 1 children. Who is free takes the next token out of one pipe; that is
    atomic, needs no lock that a dead process could keep, and ends by itself."""
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
            ledger.enter(piece, outcomes)
            _collect(results, ledger, 0)
            if ledger.problems and not keep_going:
                _stop(tokens)
        while results:
            _collect(results, ledger, None)
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
    """Entry of a child: takes pieces until there are none."""
    try:
        for piece, outcomes in _work(videos, _take(tokens, pieces)):
            if not keep_going and any(isinstance(outcome, str) for outcome in outcomes):
                _stop(tokens)
            results.send((piece, outcomes))
    except (KeyboardInterrupt, BrokenPipeError):
        return  # the parent ends, and says why


def _collect(results: list[Connection], ledger: Ledger, patience: float | None) -> None:
    """Enter what children have sent; those that have ended are taken off the list. `patience`: seconds to wait for
    something, None: for ever, which the end of a child ends too."""
    ready = wait(results, patience)
    for connection in [one for one in results if one in ready]:
        try:
            ledger.enter(*connection.recv())
        except EOFError:
            results.remove(connection)


def _work(videos: Sequence[Video], pieces: Iterator[Piece]) -> Iterator[tuple[Piece, list[Outcome]]]:
    objects: dict[int, int] = {}
    for piece in pieces:
        yield piece, [_count(videos[part.video], part, objects) for part in piece]


def _count(video: Video, part: Part, objects: dict[int, int]) -> Outcome:
    """`objects`: video → its number of objects, for those that this process has met."""
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
    """Take all that is left, so that nobody begins another piece."""
    while os.read(tokens, 1 << 16):
        pass
