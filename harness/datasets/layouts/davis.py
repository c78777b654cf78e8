"""DAVIS 2016 and DAVIS 2017 as distributed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from harness.datasets.files import (
    FRAME_ENDINGS,
    describe,
    frame_name,
    list_files,
    read_lines,
    read_names,
    relative_path,
    require_inside,
    require_unique,
    scan,
)
from harness.datasets.layouts.base import Reader, Video, first_ids, make_folders, write_list
from harness.datasets.order import in_listed_order, in_order, numbering
from harness.datasets.pixels import JPEG_QUALITY, write_binary_mask, write_frame, write_mask
from harness.datasets.sequence import Sequence
from harness.errors import DataError
from harness.hardware import cores

FRAMES, MASKS = "JPEGImages/480p", "Annotations/480p"


def davis16(folder: Path, split: str) -> Mapping[str, Reader]:
    """Read `ImageSets/480p/<split>.txt`, with a frame and its mask per line; one object, masks 0/255.

    The list says which frames there are: the checks report a file that is missing. Raises DataError."""
    origin = folder / f"ImageSets/480p/{split}.txt"
    lines = read_lines(origin, folder)
    require_unique(lines, origin)
    videos: dict[str, list[tuple[Path, Path]]] = {}
    for line in lines:
        paths = [relative_path(text, origin) for text in line.split()]
        if len(paths) != 2 or len(paths[0].parts) < 2:
            raise DataError(f"{origin}: {line!r} found, '/<frame file> /<mask file>' expected; download the list again")
        videos.setdefault(paths[0].parent.name, []).append((paths[0], paths[1]))
    return {name: partial(_davis16, folder, name, tuple(pairs)) for name, pairs in videos.items()}


def davis17(folder: Path, split: str) -> Mapping[str, Reader]:
    """Read `ImageSets/2017/<split>.txt`, with a name per line; palette masks whose index is the object.

    If only the first mask is there (test-dev), the other frames have no ground truth. Raises DataError."""
    return {
        name: partial(_davis17, folder, name) for name in read_names(folder / f"ImageSets/2017/{split}.txt", folder)
    }


def write_davis16(folder: Path, split: str, videos: Mapping[str, Video]) -> None:
    """Write videos as a split of DAVIS 2016; all their objects become one."""
    lines = []
    for name, video in videos.items():
        make_folders(folder / FRAMES / name, folder / MASKS / name)
        for index, (image, ids) in enumerate(video):
            frame, mask = f"{FRAMES}/{name}/{index:05d}.jpg", f"{MASKS}/{name}/{index:05d}.png"
            write_frame(folder / frame, image)
            write_binary_mask(folder / mask, ids > 0)
            lines.append(f"/{frame} /{mask} ")
    write_list(folder / f"ImageSets/480p/{split}.txt", lines)


def write_davis17(
    folder: Path,
    split: str,
    videos: Mapping[str, Video],
    *,
    annotated: int | None = None,
    quality: int = JPEG_QUALITY,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Write videos as a split of DAVIS 2017, with masks for the first `annotated` frames (None: for all); on all cores.

    `quality` is JPEG's. `done` is called with the name of each finished video."""

    def write(name: str) -> None:
        frames, masks = make_folders(folder / FRAMES / name, folder / MASKS / name)
        for index, (image, ids) in enumerate(videos[name]):
            write_frame(frames / f"{index:05d}.jpg", image, quality)
            if annotated is None or index < annotated:
                write_mask(masks / f"{index:05d}.png", ids)

    with ThreadPoolExecutor(cores()) as pool:
        for name, _ in zip(videos, pool.map(write, videos), strict=True):
            done(name)
    write_list(folder / f"ImageSets/2017/{split}.txt", videos)


def _davis16(folder: Path, name: str, pairs: tuple[tuple[Path, Path], ...]) -> Sequence:
    found: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for parent in sorted({(folder / path).parent for pair in pairs for path in pair}):
        for path in scan(parent, folder, FRAME_ENDINGS):
            found[parent, frame_name(path)].append(path)

    def file(listed: Path) -> Path:
        """Return the file that is listed; if it is not there, the only one of its name with another ending."""
        path = folder / listed
        same = found[path.parent, frame_name(path)]
        if path not in same:  # hidden or missing: not checked by `scan`
            require_inside(path, folder)
        return same[0] if len(same) == 1 else path

    by_name = {frame_name(frame): (file(frame), file(mask)) for frame, mask in pairs}
    if len(by_name) < len(pairs):
        raise DataError(f"{folder}: {name} lists a frame twice, each expected once; download the list again")
    frames, masks = zip(*(by_name[one] for one in in_listed_order(by_name, folder / FRAMES / name)), strict=True)
    return Sequence(name=name, frames=frames, masks=masks, object_ids=(1,), binary=True)


def _davis17(folder: Path, name: str) -> Sequence:
    frame_folder, mask_folder = folder / FRAMES / name, folder / MASKS / name
    frames = list_files(frame_folder, folder, FRAME_ENDINGS)
    masks = list_files(mask_folder, folder, (".png",))
    for files, place in ((frames, frame_folder), (masks, mask_folder)):
        if not files:
            noun = "frames" if files is frames else "PNG masks"
            raise DataError(f"{place}: no {noun} found, but {describe(place)}; restore the folder from the dataset")
    names = _without_gaps({*frames, *masks}, mask_folder)
    only_first = len(masks) == 1 and names[0] in masks
    first = masks.get(names[0], mask_folder / f"{names[0]}.png")
    return Sequence(
        name=name,
        frames=tuple(frames.get(stem, frame_folder / f"{stem}.jpg") for stem in names),
        masks=(first, *(None if only_first else masks.get(s, mask_folder / f"{s}.png") for s in names[1:])),
        object_ids=first_ids(first),
    )


def _without_gaps(names: set[str], origin: Path) -> list[str]:
    """Return names in order with the missing numbers: DAVIS counts without a gap, so the checks report a lost file."""
    found = numbering(names, origin)
    if found is None:
        return in_order(names, origin)
    numbers = range(min(found.names), max(found.names) + 1)
    if len(numbers) > 2 * len(names):  # more than a few lost files: another way of counting
        return list(found.names.values())
    return [found.name(number) for number in numbers]
