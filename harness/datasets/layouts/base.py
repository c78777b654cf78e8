"""What a layout is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.files import require_inside
from harness.datasets.palette import VOID
from harness.datasets.pixels import read_mask
from harness.datasets.sequence import Sequence

Reader = Callable[[], Sequence]
"""Reads what one sequence consists of, decoding its first mask at most. Raises DataError."""

Layout = Callable[[Path, str], Mapping[str, Reader]]
"""Maps folder and split to readers by sequence name, in the dataset's order. Raises DataError for a damaged split."""

Video = Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""Pixels to write: frames (RGB, height × width × 3) with their object ids (height × width), in time order."""


def first_ids(path: Path) -> tuple[int, ...]:
    """Return the object ids in a mask, ascending, without background and void. Raises DataError naming the file."""
    present = np.flatnonzero(np.bincount(read_mask(path).ravel(), minlength=VOID + 1))
    return tuple(int(value) for value in present if value not in {0, VOID})


def still(name: str, frame: Path, mask: Path, border: Path) -> Sequence:
    """Return a still image with its instances as a sequence of one frame. Raises DataError."""
    for path in (frame, mask):
        require_inside(path, border)
    return Sequence(name=name, frames=(frame,), masks=(mask,), object_ids=first_ids(mask))


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a text file of lines, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def make_folders(*folders: Path) -> tuple[Path, ...]:
    """Create folders and return them."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders
