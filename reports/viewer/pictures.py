"""Pictures of the comparing page: frames as JPEG, masks as palette PNG in scripts, all at one reduced size.

A page that is opened as a file may load images and scripts, but read no other file. The masks of a sequence and a
variant share one script: as files of their own they would fill a disk block each, five times their size."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.datasets import VOID, Sequence, predicted_masks
from reports.media import COLORS, object_ids

WIDTH = 432
"""Largest width of a picture, pixels: half of DAVIS's 854."""

QUALITY = 70
"""JPEG's quality: about 19 kB for a frame of DAVIS."""

OUTLINE = (255, 255, 255)
"""RGB of the truth's outline."""

Size = tuple[int, int]
"""Width and height, pixels."""


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
    """Write the frames as `00000.jpg`, …, by their place, and return the size of the first.

    Raises DataError for an unreadable frame."""
    size = (0, 0)
    for index in range(len(sequence)):
        frame = sequence.frame(index)
        size = _size(frame.shape) if index == 0 else size
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        volume.frame_bytes += (folder / f"{index:05d}.jpg").write_bytes(encoded.tobytes())
    volume.frames += len(sequence)
    return size


def write_truth(sequence: Sequence, folder: Path, name: str, volume: Volume) -> bool:
    """Write the outlines of the truth as `truth.js`; return whether there are any. Raises DataError."""
    known = [index for index, mask in enumerate(sequence.masks) if mask is not None]
    pictures = dict.fromkeys(range(len(sequence)), "")
    for index in known:
        ids = sequence.mask(index)
        pictures[index] = as_url(outline(_shrunk(ids)), (OUTLINE,))
    volume.masks += len(known)
    volume.mask_bytes += write_data(folder / "truth.js", f"{name}/truth", list(pictures.values()))
    return bool(known)


def write_masks(
    sequence: Sequence, masks: Mapping[int, str], folder: Path, name: str, volume: Volume
) -> dict[int, str]:
    """Write the masks of every cell as `masks-<cell>.js`; cells with equal masks share the first one's.

    `masks`: number of a cell → folder. Returns number → name of its script; none for a folder that is not on this
    machine. A text in place of a picture says why there is none. Raises DataError for an unreadable mask."""
    scripts: dict[int, str] = {}
    by_folder: dict[str, str] = {}
    by_content: dict[tuple[str, ...], str] = {}
    for number, place in masks.items():
        if place not in by_folder and Path(place).is_dir():
            pictures = mask_pictures(sequence, Path(place))
            script = by_content.setdefault(pictures, f"masks-{number}")
            by_folder[place] = script
            if script == f"masks-{number}":
                volume.masks += len(pictures)
                volume.mask_bytes += write_data(folder / f"{script}.js", f"{name}/{script}", pictures)
        if place in by_folder:
            scripts[number] = by_folder[place]
    return scripts


def mask_pictures(sequence: Sequence, folder: Path) -> tuple[str, ...]:
    """Return a data URL for every frame, or a text that says why there is none. Raises DataError."""
    files = predicted_masks(folder)
    pictures: list[str] = []
    expected = sequence.frame(0).shape[:2]
    for index in range(len(sequence)):
        if (file := files.get(sequence.frame_name(index))) is None:
            pictures.append("no mask")
            continue
        ids = object_ids(file, sequence)
        pictures.append(as_url(_shrunk(ids), COLORS) if ids.shape == expected else "mask of another size")
    return tuple(pictures)


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
