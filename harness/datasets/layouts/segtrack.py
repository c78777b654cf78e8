"""SegTrack v2 as distributed: lists headed by a folder, PNG and BMP mixed, one mask file per object."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from harness.datasets.files import (
    FRAME_ENDINGS,
    describe,
    list_files,
    list_folders,
    read_lines,
    relative_path,
    require_inside,
    require_names,
)
from harness.datasets.layouts.base import Reader, Video, make_folders, write_list
from harness.datasets.order import in_listed_order
from harness.datasets.pixels import read_mask, write_binary_mask, write_frame
from harness.datasets.sequence import Sequence
from harness.errors import DataError


def segtrack(folder: Path, split: str) -> Mapping[str, Reader]:
    """Read `ImageSets/<split>.txt` with names, some after a `*`, and `ImageSets/<name>.txt` for each of them.

    That file holds the folder of the video in its first line, then the frames without ending; the masks are in
    `GroundTruth/<folder>/[<object>/]<frame>`. Raises DataError."""
    origin = folder / f"ImageSets/{split}.txt"
    names = [line.lstrip("*").strip() for line in read_lines(origin, folder)]
    require_names(names, origin)
    return {name: partial(_read, folder, name) for name in names}


def write_segtrack(folder: Path, videos: Mapping[str, Video]) -> None:
    """Write videos with a mask folder per object of the first frame if there are several; PNG and BMP alternate."""
    for number, (name, video) in enumerate(videos.items()):
        frame_ending, mask_ending = (("png", "bmp"), ("bmp", "png"))[number % 2]
        (frame_folder,) = make_folders(folder / "JPEGImages" / name)
        stems: list[str] = []
        object_ids: list[int] = []
        for index, (image, ids) in enumerate(video):
            stems.append(f"{name}_{index:05d}")
            object_ids = object_ids or [int(value) for value in np.unique(ids) if value]
            write_frame(frame_folder / f"{stems[-1]}.{frame_ending}", image)
            for value in object_ids:
                place = folder / "GroundTruth" / name
                (place,) = make_folders(place / str(value) if len(object_ids) > 1 else place)
                write_binary_mask(place / f"{stems[-1]}.{mask_ending}", ids == value)
        write_list(folder / f"ImageSets/{name}.txt", [f"{name}/", *stems])
    write_list(folder / "ImageSets/all.txt", [f"*{name}" for name in videos])


def _read(folder: Path, name: str) -> Sequence:
    """Read one video without the objects that its first frame lacks, since no method could be given them."""
    origin = folder / f"ImageSets/{name}.txt"
    first, *stems = read_lines(origin, folder)
    if not stems:
        raise DataError(f"{origin}: one line found, a folder and then its frames expected; download the list again")
    require_names(stems, origin)
    stems = in_listed_order(stems, origin)
    place = relative_path(first.rstrip("/"), origin)
    truth = folder / "GroundTruth" / place
    objects = list_folders(truth, folder)
    numbered = [str(number) for number in range(1, len(objects) + 1)]
    if sorted(objects, key=lambda text: (len(text), text)) != numbered:
        raise DataError(f"{truth}: folders {', '.join(objects)} found, 1, 2, … expected; restore them from the dataset")
    frames = _files(folder / "JPEGImages" / place, folder, stems, FRAME_ENDINGS)
    layers = [_files(truth / number, folder, stems, (".png", ".bmp")) for number in numbered or ["."]]
    given = [layer for layer in layers if read_mask(layer[0]).any()]
    return Sequence(
        name=name,
        frames=frames,
        masks=tuple(zip(*given, strict=True)) or (None,) * len(frames),
        object_ids=tuple(range(1, len(given) + 1)),
    )


def _files(folder: Path, border: Path, stems: list[str], endings: tuple[str, ...]) -> tuple[Path, ...]:
    """Return files in the order of the list; a missing one gets the ending of the others, so that checks name it."""
    found = list_files(folder, border, endings)
    if not found:
        raise DataError(
            f"{folder}: no files {', '.join(endings)} found, but {describe(folder)}; restore them from the dataset"
        )
    ending = next(path.suffix for path in found.values())
    paths = tuple(found.get(stem, folder / f"{stem}{ending}") for stem in stems)
    for path in {*paths} - {*found.values()}:
        require_inside(path, border)
    return paths
