"""Input for a command, in the layout of DAVIS: frames, given masks and a list, and nothing more of the truth.

The mask of a frame in which objects appear shows these and no others, as YouTube-VOS distributes them and as the public
codes of STCN (dataset/generic_test_dataset.py), XMem (its MaskMapper refuses ids that it knows) and Cutie
(inference/data/video_reader.py, use_all_masks) expect it.

All files are copies: through a hard link, a command could change the user's dataset, since a link has the rights of
the file, and a symbolic link would lead to the truth. The only links are those of `FLAT`, which stay inside."""

from __future__ import annotations

from collections.abc import Sequence as Several
from pathlib import Path

from harness.datasets import Sequence, write_mask
from harness.datasets.files import read_file
from harness.datasets.layouts.base import make_folders, write_list
from harness.datasets.part import Part, given_masks
from harness.datasets.pixels import write_frame
from harness.errors import DataError
from harness.external.config import Frames

FRAMES, MASKS = Path("JPEGImages/480p"), Path("Annotations/480p")
LISTS = Path("ImageSets/2017"), Path("ImageSets/2016")
"""Folders of the list, which has a sequence per line: codes for DAVIS 2016 read the second one."""

FLAT = Path("flat")
"""Folder of links to `FRAMES` and `MASKS` without `480p` in between, as YouTube-VOS and many codes have it."""

_JPEG = (".jpg", ".jpeg")


def lay_out(root: Path, videos: Several[Sequence | Part], split: str, *, frames: Frames, truth: bool = False) -> None:
    """Write videos under `root` as a split of DAVIS 2017.

    Without `truth`, only the given masks of each are there, in which void pixels are background; with it, all masks
    are, and 255 is void. Raises DataError naming a file that cannot be read."""
    for video in videos:
        images, masks = make_folders(root / FRAMES / video.name, root / MASKS / video.name)
        given = {} if truth else given_masks(video)
        for index, name in enumerate(frame_names(video)):
            _write_frame(images, name, video, index, frames)
            if index in given:
                write_mask(masks / f"{name}.png", given[index])
            elif truth and video.files_of_mask(index):
                write_mask(masks / f"{name}.png", video.mask(index))
    (flat,) = make_folders(root / FLAT)
    for place in (FRAMES, MASKS):
        (flat / place.parent).symlink_to(Path("..") / place)
    for folder in LISTS:
        write_list(root / folder / f"{split}.txt", [video.name for video in videos])


def frame_names(video: Sequence | Part) -> list[str]:
    """Return the names of the frames for a command, in time order: their own if they are numbers in order of the text.

    Otherwise 00000, 00001, …: many codes turn names into numbers, or sort them as texts."""
    names = [video.frame_name(index) for index in range(len(video))]
    plain = all(name.isascii() and name.isdigit() for name in names) and names == sorted(names)
    return names if plain else [f"{index:05d}" for index in range(len(video))]


def _write_frame(folder: Path, name: str, video: Sequence | Part, index: int, frames: Frames) -> None:
    source = video.frames[index]
    ending = source.suffix.lower()
    stored = ".jpg" if ending in _JPEG else ending
    wanted = stored if frames == "stored" else f".{frames}"
    target = folder / f"{name}{wanted}"
    if wanted != stored:
        write_frame(target, video.frame(index))
        return
    try:
        content = read_file(source)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); restore the frame from the dataset") from None
    target.write_bytes(content)
