"""The masks that a command has written: checked, read in the forms that people write, and written as stages do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets import MaskFile, Sequence, describe, predicted_masks, read_mask, read_predicted, write_mask
from harness.datasets.part import Part, parts_of
from harness.errors import CommandError
from harness.external.layout import frame_names


def collect(video: Sequence | Part, written: Path, folder: Path) -> None:
    """Read the masks of one sequence in `written`, and write them as palette PNGs of ids, `<folder>/<frame>.png`.

    The first mask may be missing: it is the given one then. If there is one object, 255 is read as its id. Raises
    CommandError if masks are missing, belong to no frame, have another size than the first mask, or have ids of no
    object or of one that starts later, and DataError naming a file that cannot be read."""
    given = parts_of(video)[0].mask(0)
    starts = {one: start for start, ids in video.prompts.items() for one in ids}
    masks = _masks_of_frames(video, written)
    folder.mkdir(parents=True)
    for index, name in enumerate(frame_names(video)):
        ids = _ids(video, index, masks[name], given.shape, starts) if name in masks else given
        write_mask(folder / f"{video.frame_name(index)}.png", ids)


def merge(video: Sequence, folders: Mapping[int, Path], folder: Path) -> None:
    """Write the masks of a video from those of its parts, by the index of their first frame.

    As in the copied first masks, a pixel of two parts belongs to the later one."""
    folder.mkdir(parents=True)
    for index in range(len(video)):
        name = f"{video.frame_name(index)}.png"
        ids = read_mask(folders[0] / name)
        for start, masks in folders.items():
            if 0 < start <= index:
                later = read_mask(masks / name)
                ids = np.where(later, later, ids)
        write_mask(folder / name, ids)


def _masks_of_frames(video: Sequence | Part, written: Path) -> dict[str, MaskFile]:
    """Return frame → mask, by the names that the command was given.

    Raises CommandError unless the masks belong to the frames, one each."""
    if not (found := dict(predicted_masks(written)) if written.is_dir() else {}):
        raise CommandError(
            f"{written}: no masks found; {{masks}} in the command is the folder for them, {{output}} is "
            f"{written.parent}, where there are: {_tree(written.parent)}"
        )
    names = frame_names(video)
    missing = [name for name in names[1:] if name not in found]
    others = sorted(found.keys() - set(names))
    lacking = f"{written}: {_some(missing, 'mask')} of {len(names)} frames missing" if missing else ""
    if others:
        raise CommandError(
            f"{written}: {_some(others, 'mask')} found that belong to no frame of {video.name}, whose frames are "
            f"{names[0]} to {names[-1]}{f', and {len(missing)} masks are missing' if missing else ''}; name each mask "
            "as its frame, and write no other PNG there"
        )
    if missing:
        raise CommandError(f"{lacking}; one PNG for each frame expected, {describe(written)} found")
    return found


def _ids(
    video: Sequence | Part, index: int, mask: MaskFile, shape: tuple[int, ...], starts: Mapping[int, int]
) -> NDArray[np.uint8]:
    """Return the ids of one frame. `starts`: id → index of the frame in which the object starts.

    Raises CommandError if ids or size are not those of the given masks, or an object starts later."""
    ids = read_predicted(mask)
    path = mask if isinstance(mask, Path) else next(iter(mask.values()))
    if ids.shape != shape:
        raise CommandError(
            f"{path}: {_size(ids.shape)} found, {_size(shape)} expected, the size of the first mask of {video.name}; "
            "write masks at the size of the frames"
        )
    used = {int(value) for value in np.unique(ids)} - {0}
    if len(video.object_ids) == 1 and used == {255}:
        return np.where(ids == 255, video.object_ids[0], 0).astype(np.uint8)
    if others := used - {*video.object_ids}:
        raise CommandError(
            f"{path}: ids {_list(others)} found, but the first mask of {video.name} has {_list(video.object_ids)}; "
            "write each object with its id of the first mask, and 0 for the background"
        )
    if early := [one for one in sorted(used) if starts[one] > index]:
        start = frame_names(video)[starts[early[0]]]
        raise CommandError(
            f"{path}: id {early[0]} found, an object that starts in frame {start} of {video.name}; write each object "
            "from the frame on whose given mask shows it first"
        )
    return ids


def _tree(folder: Path) -> str:
    """Return the first files anywhere below a folder, by their paths in it."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "") or "no files"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"


def _list(values: Iterable[int]) -> str:
    found = sorted(values)
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return ", ".join(map(str, found[:6])) + more


def _some(names: list[str], noun: str) -> str:
    """Return `mask 00003` or `masks 00003 and 4 more`."""
    return f"{noun} {names[0]}" if len(names) == 1 else f"{noun}s {names[0]} and {len(names) - 1} more"
