"""Pictures of the comparing page: frames as JPEG, masks as palette PNG in scripts, all at one reduced size.

A page that is opened as a file may load images and scripts, but read no other file. The masks of a sequence and a
variant share one script: as files of their own they would fill a disk block each, five times their size."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.datasets import VOID, MaskFile, Sequence, predicted_masks
from harness.datasets.pixels import write_frame
from harness.errors import DataError
from harness.hardware import cores
from reports.media import COLORS, object_ids

WIDTH = 432
"""Largest width of a picture, pixels: half of DAVIS's 854."""

QUALITY = 70
"""JPEG's quality: about 19 kB for a frame of DAVIS."""

OUTLINE = (255, 255, 255)
"""RGB of the truth's outline."""

Size = tuple[int, int]
"""Width and height, pixels."""

Pictures = tuple[str, ...]
"""A data URL for every frame, or a text that says why there is none."""


@dataclass(kw_only=True)
class Volume:
    """Number and bytes of the pictures written so far."""

    frames: int = 0
    frame_bytes: int = 0
    masks: int = 0
    mask_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all pictures."""
        return self.frame_bytes + self.mask_bytes


def write_data(path: Path, name: str, value: Any) -> int:
    """Write a script that hands `value` to the page under `name`; return its bytes."""
    text = f"addData({json.dumps(name)}, {json.dumps(value, separators=(',', ':'))});\n"
    return path.write_text(text, encoding="ascii", newline="\n")


def write_frames(sequence: Sequence, folder: Path, volume: Volume) -> Size:
    """Write the frames as `00000.jpg`, …, by their place, all at the size returned. Raises DataError."""
    size = (0, 0)
    for index in range(len(sequence)):
        frame = sequence.frame(index)
        size = size if index else _size(frame.shape)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        path = folder / f"{index:05d}.jpg"
        write_frame(path, np.asarray(small, np.uint8), QUALITY)
        volume.frames += 1
        volume.frame_bytes += path.stat().st_size
    return size


def truth_pictures(sequence: Sequence) -> Pictures:
    """Return the outlines of the truth as data URLs; an empty text for a frame without truth.

    Raises DataError for an unreadable mask."""
    known = (sequence.mask(index) if mask is not None else None for index, mask in enumerate(sequence.masks))
    return tuple("" if ids is None else as_url(outline(_shrunk(ids)), (OUTLINE,)) for ids in known)


def mask_pictures(sequence: Sequence, size: tuple[int, ...], folder: Path) -> Pictures:
    """Return the masks of a folder as data URLs; a text in place of one says why there is none.

    `size`: height and width of the frames."""
    try:
        return _mask_pictures(sequence, size, predicted_masks(folder))
    except DataError:  # its message names paths of this machine, which a report must not contain
        return ("the masks cannot be read",) * len(sequence)


def _mask_pictures(sequence: Sequence, size: tuple[int, ...], files: Mapping[str, MaskFile]) -> Pictures:
    def picture(index: int) -> str:
        if (file := files.get(sequence.frame_name(index))) is None:
            return "no mask"
        ids = object_ids(file, sequence)
        return as_url(_shrunk(ids), COLORS) if ids.shape == size else "mask of another size"

    return tuple(map(picture, range(len(sequence))))


def write_masks(
    sequence: Sequence, masks: Mapping[int, str], folder: Path, name: str, volume: Volume
) -> dict[int, str]:
    """Write the masks of every cell as `masks-<cell>.js`; cells with equal masks share the script of the first.

    `masks`: number of a cell → folder. Returns number → name of its script; none for a folder that is not on this
    machine. `name`: place of the folder in `compare/`."""
    given = {number: Path(place) for number, place in masks.items() if Path(place).is_dir()}
    draw = partial(mask_pictures, sequence, sequence.frame(0).shape[:2])
    places = list(dict.fromkeys(given.values()))
    with ThreadPoolExecutor(cores()) as pool:
        drawn = dict(zip(places, pool.map(draw, places), strict=True))
    scripts: dict[int, str] = {}
    written: dict[Pictures, str] = {}
    for number, place in given.items():
        if (pictures := drawn[place]) not in written:
            written[pictures] = f"masks-{number}"
            write_pictures(folder, name, written[pictures], pictures, volume)
        scripts[number] = written[pictures]
    return scripts


def write_pictures(folder: Path, name: str, script: str, pictures: Pictures, volume: Volume) -> None:
    """Write a script with a picture for every frame."""
    volume.masks += sum(picture.startswith("data:") for picture in pictures)
    volume.mask_bytes += write_data(folder / f"{script}.js", f"{name}/{script}", pictures)


def outline(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 1 at pixels whose right or lower neighbor has another id, else 0."""
    edges = np.zeros(ids.shape, bool)
    edges[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    edges[:-1] |= ids[:-1] != ids[1:]
    return edges.astype(np.uint8)


def as_url(ids: NDArray[np.uint8], colors: tuple[tuple[int, int, int], ...]) -> str:
    """Return a PNG as a data URL: object 1, 2, … in the given colors, from the first again; 0 is transparent."""
    image, file = Image.fromarray(ids), io.BytesIO()
    used = [colors[index % len(colors)] for index in range(int(ids.max(initial=1)) or 1)]
    image.putpalette(bytes([0, 0, 0, *(channel for color in used for channel in color)]))  # as few bits as fit
    image.save(file, format="PNG", transparency=0)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _size(shape: tuple[int, ...]) -> Size:
    width = min(WIDTH, shape[1])
    return width, max(1, round(width * shape[0] / shape[1]))


def _shrunk(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shown = np.where(ids == VOID, 0, ids).astype(np.uint8)
    return np.asarray(cv2.resize(shown, _size(ids.shape), interpolation=cv2.INTER_NEAREST), np.uint8)
