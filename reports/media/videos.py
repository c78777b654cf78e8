"""Overlay videos: the truth and a few variants side by side, as WebM (VP8), which browsers play."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets import Sequence, load_benchmark, load_protocols
from harness.results import CellResult
from reports.inputs import Part, cells_with_masks, name_of
from reports.media.sheets import overlay, predicted

PANEL = 320  # width of one video in the grid, pixels
PANELS = 4  # at most, the truth and the first variants, in a grid of two columns
RATE = 12  # frames per second
HEAD = 4096  # bytes at the start of a file that describe its track

TRACK = b"\x73\xc5\x88"
"""Start of WebM's TrackUID (Matroska, RFC 9559, section 5.1.4.1.2), eight bytes that FFmpeg draws at random."""

HARMLESS = b"OpenCV: FFMPEG: tag 0x30385056/'VP80' is not supported"
"""Start of OpenCV's message for every WebM, whose codecs have no tags; it writes the file all the same."""


def draw_videos(
    parts: Iterable[Part], baseline: str, sheets: Collection[str], folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Write `<folder>/videos/<benchmark>/<sequence>.webm` for the given `sheets/<benchmark>/<sequence>.png`.

    Returns path of a sheet → path of its video, and title → reason for videos that cannot be written."""
    made: dict[str, str] = {}
    protocols = load_protocols()
    for part in parts:
        for benchmark in part.benchmarks:
            place = f"{benchmark}{part.suffix}"
            if not any(sheet.startswith(f"sheets/{place}/") for sheet in sheets):
                continue
            cells = cells_with_masks(part, benchmark, baseline)
            root = next(cell.data_root for cell in cells if cell.data_root)  # the sheet was drawn from it
            for sequence in load_benchmark(protocols[benchmark], Path(root)):
                sheet, video = f"sheets/{place}/{sequence.name}.png", f"videos/{place}/{sequence.name}.webm"
                if sheet in sheets:
                    (folder / video).parent.mkdir(parents=True, exist_ok=True)
                    if not write_video(folder / video, sequence, cells[: PANELS - 1]):
                        return made, {"videos": "this build of OpenCV cannot write VP8"}
                    made[sheet] = video
    return made, {}


def write_video(path: Path, sequence: Sequence, cells: tuple[CellResult, ...]) -> bool:
    """Write all frames of a sequence. Return False if OpenCV cannot write such a video.

    Raises DataError for an unreadable file."""
    first = sequence.frame(0)
    height = round(PANEL * first.shape[0] / first.shape[1] / 2) * 2
    lines = (1 + len(cells) + 1) // 2
    with suppress_line(HARMLESS):
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), RATE, (2 * PANEL, lines * height))
    if not writer.isOpened():
        return False
    try:
        for index in range(len(sequence)):
            picture = panels(sequence, index, cells, height, lines)
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    fix_track_id(path)
    return True


@contextmanager
def suppress_line(start: bytes) -> Iterator[None]:
    """Hold back what the process (C code too) writes to stderr; print it afterwards without lines that begin so."""
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
            os.write(2, b"".join(line for line in caught if not line.startswith(start)))


def fix_track_id(path: Path) -> None:
    """Replace the random track number of a WebM file by 1."""
    # Without it, no two reports of the same results would have the same bytes: the HTML page embeds the videos.
    content = path.read_bytes()
    place = content.find(TRACK, 0, HEAD)
    if place >= 0:
        drawn = content[place + len(TRACK) :][:8]
        path.write_bytes(content[:HEAD].replace(drawn, (1).to_bytes(8, "big")) + content[HEAD:])


def panels(sequence: Sequence, index: int, cells: tuple[CellResult, ...], height: int, lines: int) -> NDArray[np.uint8]:
    """Return one frame of the video, RGB: lines · height × 2 · PANEL."""
    frame = sequence.frame(index)
    truth = sequence.mask(index) if sequence.masks[index] is not None else None
    shown = [("truth", overlay(frame, truth, height, "no truth", PANEL))]
    for cell in cells:
        mask = predicted(cell, sequence, index)
        shown += [(name_of(cell), overlay(frame, mask, height, "no mask", PANEL))]
    picture = np.full((lines * height, 2 * PANEL, 3), 255, np.uint8)
    for place, (label, tile) in enumerate(shown):
        cv2.putText(tile, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(tile, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        top, left = place // 2 * height, place % 2 * PANEL
        picture[top : top + height, left : left + PANEL] = tile
    return picture
