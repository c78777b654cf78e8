"""SegTrack v2 as distributed: lists with a folder in their first line, png and bmp mixed, a mask file an object."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.datasets.files import (
    FRAME_ENDINGS,
    list_files,
    list_folders,
    read_lines,
    refuse_twice,
    relative_path,
    require_inside,
    require_name,
)
from harness.datasets.layouts.base import Reader
from harness.datasets.pixels import read_mask
from harness.datasets.sequence import Sequence
from harness.errors import DataError


def segtrack(folder: Path, split: str) -> Mapping[str, Reader]:
    """`ImageSets/<split>.txt` with names, some behind a `*`; `ImageSets/<name>.txt` with the folder of the video in the
    first line, then its frames without ending; `GroundTruth/<folder>/[<object>/]<frame>`.

    Raises DataError."""
    origin = folder / f"ImageSets/{split}.txt"
    names = [line.lstrip("*").strip() for line in read_lines(origin, folder)]
    for name in names:
        require_name(name, origin)
    refuse_twice(names, origin)
    return {name: partial(_read, folder, name) for name in names}


def _read(folder: Path, name: str) -> Sequence:
    """An object that the first frame lacks cannot be given to a method, and is left out."""
    origin = folder / f"ImageSets/{name}.txt"
    first, *stems = read_lines(origin, folder)
    if not stems:
        raise DataError(f"{origin}: one line found, a folder and then its frames expected; fetch the list again")
    for stem in stems:
        require_name(stem, origin)
    refuse_twice(stems, origin)
    place = relative_path(first.rstrip("/"), origin)
    truth = folder / "GroundTruth" / place
    objects = list_folders(truth, folder)
    numbered = [str(number) for number in range(1, len(objects) + 1)]
    if sorted(objects, key=lambda text: (len(text), text)) != numbered:
        raise DataError(f"{truth}: folders {', '.join(objects)} found, 1, 2, … expected; restore them from the dataset")
    frames = _files(folder / "JPEGImages" / place, folder, stems)
    layers = [_files(truth / number, folder, stems) for number in numbered] or [_files(truth, folder, stems)]
    given = [layer for layer in layers if read_mask(layer[0]).any()]
    return Sequence(
        name=name,
        frames=frames,
        masks=tuple(zip(*given, strict=True)) or (None,) * len(frames),
        object_ids=tuple(range(1, len(given) + 1)),
    )


def _files(folder: Path, border: Path, stems: list[str]) -> tuple[Path, ...]:
    """Files in the order of the list; one that is missing gets the ending of the others, so that checks can name it."""
    found = list_files(folder, border, FRAME_ENDINGS)
    ending = next((path.suffix for path in found.values()), ".png")
    paths = tuple(found.get(stem, folder / f"{stem}{ending}") for stem in stems)
    for path in {*paths} - {*found.values()}:
        require_inside(path, border)
    return paths
