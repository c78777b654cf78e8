"""DAVIS 2016 and DAVIS 2017 as distributed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from harness.datasets.files import (
    FRAME_ENDINGS,
    list_files,
    read_lines,
    read_names,
    refuse_twice,
    relative_path,
    require_inside,
    scan,
)
from harness.datasets.layouts.base import Reader
from harness.datasets.pixels import read_mask
from harness.datasets.sequence import Sequence
from harness.errors import DataError

VOID = 255


def davis16(folder: Path, split: str) -> Mapping[str, Reader]:
    """`ImageSets/480p/<split>.txt` with a frame and its mask a line; one object, masks 0/255.

    The list says which frames there are: a file that is missing is found by the checks. Raises DataError."""
    origin = folder / f"ImageSets/480p/{split}.txt"
    lines = read_lines(origin, folder)
    refuse_twice(lines, origin)
    videos: dict[str, list[tuple[Path, Path]]] = {}
    for line in lines:
        paths = [relative_path(text, origin) for text in line.split()]
        if len(paths) != 2 or len(paths[0].parts) < 2:
            raise DataError(f"{origin}: {line!r} found, '/<frame file> /<mask file>' expected; fetch the list again")
        videos.setdefault(paths[0].parent.name, []).append((paths[0], paths[1]))
    return {name: partial(_davis16, folder, name, tuple(pairs)) for name, pairs in videos.items()}


def davis17(folder: Path, split: str) -> Mapping[str, Reader]:
    """`ImageSets/2017/<split>.txt` with a name a line; palette masks whose index is the object.

    Where only the first mask is there (test-dev), the other frames have no truth. Raises DataError."""
    return {
        name: partial(_davis17, folder, name) for name in read_names(folder / f"ImageSets/2017/{split}.txt", folder)
    }


def first_ids(path: Path) -> tuple[int, ...]:
    """Object ids in a mask, ascending, background and void left out. Raises DataError naming the file."""
    present = np.flatnonzero(np.bincount(read_mask(path).ravel(), minlength=VOID + 1))
    return tuple(int(value) for value in present if value not in {0, VOID})


def _davis16(folder: Path, name: str, pairs: tuple[tuple[Path, Path], ...]) -> Sequence:
    for parent in sorted({path.parent for pair in pairs for path in pair}):
        scan(folder / parent, folder, FRAME_ENDINGS)  # for its errors: the folder is there, no link leads out
    for path in (folder / path for pair in pairs for path in pair):
        if os.path.islink(path):  # also of a kind that is not looked for in folders
            require_inside(path, folder)
    return Sequence(
        name=name,
        frames=tuple(folder / frame for frame, _ in pairs),
        masks=tuple(folder / mask for _, mask in pairs),
        object_ids=(1,),
        binary=True,
    )


def _davis17(folder: Path, name: str) -> Sequence:
    frame_folder, mask_folder = folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name
    frames = list_files(frame_folder, folder, FRAME_ENDINGS)
    masks = list_files(mask_folder, folder, (".png",))
    if not frames:
        raise DataError(f"{frame_folder}: no frames found; restore the folder from the dataset")
    names = _without_gaps(sorted({*frames, *masks}))
    only_first = len(masks) == 1 and names[0] in masks
    first = masks.get(names[0], mask_folder / f"{names[0]}.png")
    return Sequence(
        name=name,
        frames=tuple(frames.get(stem, frame_folder / f"{stem}.jpg") for stem in names),
        masks=(first, *(None if only_first else masks.get(s, mask_folder / f"{s}.png") for s in names[1:])),
        object_ids=first_ids(first),
    )


def _without_gaps(names: list[str]) -> list[str]:
    """DAVIS counts its frames from 00000 without a gap; a number left out is a file lost, and the checks name it."""
    if not all(name.isascii() and name.isdigit() and len(name) == len(names[0]) for name in names):
        return names
    numbers = range(int(names[0]), int(names[-1]) + 1)
    if len(numbers) > 2 * len(names):  # not one lost file here and there, but another way of counting
        return names
    return [f"{number:0{len(names[0])}d}" for number in numbers]
