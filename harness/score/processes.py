"""Scores the frames of many videos in several processes, piece by piece."""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.score.folders import Video, count_frames
from harness.score.sequence import SequenceScores

FRAMES = 16
"""Frames of a piece, few enough that all processes end at about the same time."""

DIED = "a scoring process died before it was finished (out of memory?); use fewer --jobs"

Outcome = NDArray[np.int64] | str
"""Counts of every frame and object of a piece, or an error message."""


class Piece(NamedTuple):
    """Consecutive scored frames of one video."""

    video: int
    start: int
    stop: int


def score_all(
    videos: Sequence[Video], jobs: int = 1, *, keep_going: bool = True
) -> tuple[list[SequenceScores], dict[str, str]]:
    """Return the scores of the videos in the order given, and name → reason for those without a score.

    `jobs`: processes that score; use more than one only if the calling process has no threads of its own. A process
    that dies costs the videos whose frames it held; they are named. Without `keep_going`, the first problem in the
    order of the videos ends the work and is the only one returned, whatever the number of processes."""
    _keep_memory()
    pieces = [
        [Piece(index, start, start + FRAMES) for start in range(0, len(video.frames), FRAMES)]
        for index, video in enumerate(videos)
    ]
    waiting = deque(piece for own in pieces for piece in own)
    jobs = min(jobs, len(waiting))
    outcomes: dict[Piece, Outcome] = {}
    for piece, outcome in _share(videos, waiting, jobs) if jobs > 1 else _work(videos, waiting):
        outcomes[piece] = outcome
        if isinstance(outcome, str) and not keep_going:
            waiting.clear()
    scores: list[SequenceScores] = []
    problems: dict[str, str] = {}
    for video, own in zip(videos, pieces, strict=True):
        found = [outcomes[piece] for piece in own if piece in outcomes]
        messages = [outcome for outcome in found if isinstance(outcome, str)]
        if messages or len(found) < len(own):
            problems[video.name] = messages[0] if messages else f"{video.name}: {DIED}"
            if not keep_going:
                break
        else:
            scores.append(video.scores(np.concatenate([one for one in found if not isinstance(one, str)])))
    return scores, problems


def _keep_memory() -> None:
    """Make the C library reuse freed memory instead of returning it to the system.

    Otherwise a frame's buffers are fetched page by page for every frame, a quarter of the time. glibc takes the largest
    block ever freed for what the process needs; with other C libraries this does nothing."""
    reserve = bytearray(16 << 20)  # several frames of 1080p; never written, so it occupies no memory
    del reserve


def _work(videos: Sequence[Video], waiting: deque[Piece]) -> Iterator[tuple[Piece, Outcome]]:
    while waiting:
        piece = waiting.popleft()
        yield piece, _count(videos, piece)


def _share(videos: Sequence[Video], waiting: deque[Piece], jobs: int) -> Iterator[tuple[Piece, Outcome]]:
    """Yield the outcomes of pieces that children work on, without those that a child held when it died.

    Each child has a pipe of its own: there is no lock that a dead process could keep."""
    context = multiprocessing.get_context("fork")
    children: list[ForkProcess] = []
    pipes: list[Connection] = []
    gc.freeze()  # a collection in a child would otherwise copy every page that holds objects
    try:
        for _ in range(jobs):
            pipe, far_end = context.Pipe()
            child = context.Process(target=_serve, args=(videos, waiting.popleft(), far_end), daemon=True)
            child.start()
            far_end.close()  # so that the end of the child is the end of its pipe
            children.append(child)
            pipes.append(pipe)
        while pipes:
            ready = wait(pipes)
            for pipe in [one for one in pipes if one in ready]:
                try:
                    piece, outcome = pipe.recv()
                except (EOFError, OSError):
                    pipes.remove(pipe)
                    continue
                if isinstance(outcome, Exception):
                    raise outcome
                yield piece, outcome
                with suppress(ConnectionError):  # the end of a child that has died is read above
                    pipe.send(waiting.popleft() if waiting else None)
    finally:
        gc.unfreeze()
        for child in children:
            child.terminate()
            child.join()


def _serve(videos: Sequence[Video], piece: Piece | None, pipe: Connection) -> None:
    """Count the frames of this piece and of those that arrive, until None does; entry point of a child."""
    try:
        while piece:
            pipe.send((piece, _count(videos, piece)))
            piece = pipe.recv()
    except (KeyboardInterrupt, EOFError, ConnectionError, MemoryError):
        return  # the parent ends too, or names the video
    except Exception as error:  # noqa: BLE001  raised again in the parent
        pipe.send((piece, error))


def _count(videos: Sequence[Video], piece: Piece) -> Outcome:
    try:
        return count_frames(videos[piece.video], piece.start, piece.stop)
    except HarnessError as error:
        return str(error)
