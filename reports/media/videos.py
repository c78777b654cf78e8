"""Overlay videos: the truth and a few variants side by side, as WebM (VP8), which browsers play."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets import Sequence, load_benchmark, load_protocols
from reports.inputs.cells import Part, Row
from reports.media.sheets import overlay, predicted, shown_rows
from reports.tables.content import suffixes

PANEL = 320
"""Width of one video in the grid, pixels."""

PANELS = 4
"""The truth, and the first variants beside it, in a grid of two columns."""

RATE = 12
"""Frames a second."""

HEAD = 4096
"""Bytes of a file in which its track is described."""

TRACK = b"\x73\xc5\x88"
"""Begins WebM's TrackUID (Matroska, RFC 9559, section 5.1.4.1.2), eight bytes that FFmpeg draws at random."""

HARMLESS = b"OpenCV: FFMPEG: tag 0x30385056/'VP80' is not supported"
"""Begins what OpenCV says for every WebM, whose codecs have no tags, before it writes it all the same."""


def draw_videos(
    parts: tuple[Part, ...], baseline: str, sheets: Iterable[str], folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Writes `<folder>/videos/<benchmark>/<sequence>.webm` beside the given `sheets/<benchmark>/<sequence>.png`.

    Returns path of a sheet → path of its video, and title → reason for what could not be written."""
    made: dict[str, str] = {}
    wanted = tuple(sheets)
    protocols = load_protocols()
    for part, suffix in zip(parts, suffixes(parts), strict=True):
        for benchmark in part.benchmarks:
            rows = shown_rows(part, benchmark, baseline)
            place = f"{benchmark}{suffix}"
            if not any(sheet.startswith(f"sheets/{place}/") for sheet in wanted):
                continue
            root = next(row.data_root for row in rows if row.data_root)  # the sheet was drawn from it
            for sequence in load_benchmark(protocols[benchmark], Path(root)):
                sheet = f"sheets/{place}/{sequence.name}.png"
                path = folder / "videos" / place / f"{sequence.name}.webm"
                if sheet in wanted:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if not write_video(path, sequence, rows[: PANELS - 1]):
                        return made, {"videos": "this build of OpenCV cannot write VP8"}
                    made[sheet] = path.relative_to(folder).as_posix()
    return made, {}


def write_video(path: Path, sequence: Sequence, rows: tuple[Row, ...]) -> bool:
    """All frames of a sequence; False if OpenCV cannot write such a video. Raises DataError for an unreadable file."""
    first = sequence.frame(0)
    height = round(PANEL * first.shape[0] / first.shape[1] / 2) * 2
    lines = (1 + len(rows) + 1) // 2
    with without_line(HARMLESS):
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), RATE, (2 * PANEL, lines * height))
    if not writer.isOpened():
        return False
    try:
        for index in range(len(sequence)):
            picture = panels(sequence, index, rows, height, lines)
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    settle(path)
    return True


@contextmanager
def without_line(known: bytes) -> Iterator[None]:
    """What anything in this process writes to stderr meanwhile comes out afterwards, but for lines that begin so. Of
    the process, not of Python, because C code writes there."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            os.write(2, b"".join(line for line in caught if not line.startswith(known)))


def settle(path: Path) -> None:
    """Gives the track of a WebM file the number 1, wherever it is named, so that equal pictures give equal bytes."""
    content = path.read_bytes()
    place = content.find(TRACK, 0, HEAD)
    if place >= 0:
        drawn = content[place + len(TRACK) :][:8]
        path.write_bytes(content[:HEAD].replace(drawn, (1).to_bytes(8, "big")) + content[HEAD:])


def panels(sequence: Sequence, index: int, rows: tuple[Row, ...], height: int, lines: int) -> NDArray[np.uint8]:
    """One frame of the video, RGB: lines · height × 2 · PANEL."""
    frame = sequence.frame(index)
    truth = sequence.mask(index) if sequence.masks[index] is not None else None
    shown = [("truth", overlay(frame, truth, height, "no truth", PANEL))]
    shown += [(row.name, overlay(frame, predicted(row, sequence, index), height, "no mask", PANEL)) for row in rows]
    picture = np.full((lines * height, 2 * PANEL, 3), 255, np.uint8)
    for place, (label, tile) in enumerate(shown):
        cv2.putText(tile, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(tile, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        top, left = place // 2 * height, place % 2 * PANEL
        picture[top : top + height, left : left + PANEL] = tile
    return picture
