"""YouTube-Objects as distributed: classes, videos, shots; a label for about every tenth frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.datasets.files import FRAME_ENDINGS, is_folder, list_files, list_folders
from harness.datasets.layouts.base import Reader, Video, make_folders
from harness.datasets.pixels import write_binary_mask, write_frame
from harness.datasets.sequence import Sequence
from harness.errors import DataError

JPEG_THRESHOLD = 127
"""Most labels are JPEG, whose gray levels vary around both values."""


def youtube_objects(folder: Path, split: str) -> Mapping[str, Reader]:
    """Read `<class>/data/<video>/shots/<shot>/{images,labels}`, the shots that have labels; there is one split."""
    readers: dict[str, Reader] = {}
    for group in list_folders(folder, folder):
        videos = folder / group / "data"
        if not is_folder(videos):
            continue
        for video in list_folders(videos, folder):
            shots = videos / video / "shots"
            try:
                names = list_folders(shots, folder) if is_folder(shots) else []
            except DataError as error:
                readers[f"{group}-{video}"] = partial(_fail, error)  # the other videos are read
                continue
            for shot in names:
                if _has_labels(shots / shot / "labels", folder):
                    name = f"{group}-{video}-{shot}"
                    readers[name] = partial(_read, shots / shot, folder, name, group)
    if not readers:
        raise DataError(f"{folder}: no labeled shot of {split!r} found; download the labels again")
    return readers


def write_youtube_objects(folder: Path, videos: Mapping[str, Video]) -> None:
    """Write one shot per class: PNG frames, and a JPEG label for every tenth of them."""
    for group, video in videos.items():
        shot = folder / group / "data/0001/shots/001"
        frames, labels = make_folders(shot / "images", shot / "labels")
        for index, (image, ids) in enumerate(video):
            write_frame(frames / f"{index + 1:05d}.png", image)
            if index % 10 == 0:
                write_binary_mask(labels / f"{index + 1:05d}.jpg", ids > 0)


def _has_labels(labels: Path, border: Path) -> bool:
    try:
        return is_folder(labels) and bool(list_files(labels, border, FRAME_ENDINGS))
    except DataError:
        return True  # its reader will raise the same error


def _fail(error: DataError) -> Sequence:
    raise error


def _read(shot: Path, border: Path, name: str, group: str) -> Sequence:
    """Read a shot from its first labeled frame to the last: nothing before or after can be scored."""
    frames = _by_number(shot / "images", border)
    labels = _by_number(shot / "labels", border)
    for number, path in labels.items():
        if number not in frames:
            raise DataError(f"{path}: no frame of this number in {shot / 'images'}; download the shot again")
    numbers = [number for number in sorted(frames) if min(labels) <= number <= max(labels)]
    return Sequence(
        name=name,
        frames=tuple(frames[number] for number in numbers),
        masks=tuple(labels.get(number) for number in numbers),
        object_ids=(1,),
        binary=True,
        threshold=JPEG_THRESHOLD,
        group=group,
    )


def _by_number(folder: Path, border: Path) -> dict[int, Path]:
    """Map the last number in a name to its file: names of frames and labels may differ otherwise."""
    files: dict[int, Path] = {}
    for stem, path in list_files(folder, border, FRAME_ENDINGS).items():
        digits = re.findall(r"[0-9]+", stem)
        if not digits:
            raise DataError(f"{path}: no number in its name, numbered frames expected; rename or remove it")
        if (number := int(digits[-1])) in files:
            raise DataError(f"{path}: {files[number].name} has the same number; remove one")
        files[number] = path
    return files
