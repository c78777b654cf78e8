"""YouTube-Objects as distributed: classes, videos, shots; a label about every tenth frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.datasets.files import FRAME_ENDINGS, is_folder, list_files, list_folders
from harness.datasets.layouts.base import Reader
from harness.datasets.sequence import Sequence
from harness.errors import DataError

JPEG_THRESHOLD = 127
"""Labels are JPEG: grey levels around both values."""


def youtube_objects(folder: Path, split: str) -> Mapping[str, Reader]:
    """`<class>/data/<video>/shots/<shot>/{images,labels}`; there is one split, and a shot without labels is none of it.

    Raises DataError."""
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
                readers[f"{group}-{video}"] = partial(_fail, error)  # of this video; the others are read
                continue
            for shot in names:
                if _has_labels(shots / shot / "labels", folder):
                    name = f"{group}-{video}-{shot}"
                    readers[name] = partial(_read, shots / shot, folder, name, group)
    if not readers:
        raise DataError(f"{folder}: no labelled shot found for {split!r}; fetch the labels again")
    return readers


def _has_labels(labels: Path, border: Path) -> bool:
    try:
        return is_folder(labels) and bool(list_files(labels, border, FRAME_ENDINGS))
    except DataError:
        return True  # its reader meets the same and says it


def _fail(error: DataError) -> Sequence:
    raise error


def _read(shot: Path, border: Path, name: str, group: str) -> Sequence:
    """From the first labelled frame to the last: nothing before or after can be scored."""
    frames = _by_number(shot / "images", border)
    labels = _by_number(shot / "labels", border)
    for number, path in labels.items():
        if number not in frames:
            raise DataError(f"{path}: no frame of this number in {shot / 'images'}; fetch the shot again")
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
    """Files by the last number in their name: frames and labels are not named alike everywhere."""
    files: dict[int, Path] = {}
    for stem, path in list_files(folder, border, FRAME_ENDINGS).items():
        digits = re.findall(r"[0-9]+", stem)
        if not digits:
            raise DataError(f"{path}: no number in its name; frames are numbered, rename or remove the file")
        if (number := int(digits[-1])) in files:
            raise DataError(f"{path}: {files[number].name} has the same number; remove one")
        files[number] = path
    return files
