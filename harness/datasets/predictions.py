"""Masks that a method has written for one sequence: which files they are, and the ids in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.files import list_files, list_folders
from harness.datasets.order import numbering
from harness.datasets.palette import VOID
from harness.datasets.pixels import read_mask
from harness.errors import DataError

MaskFile = Path | Mapping[int, Path]
"""A PNG of ids, or a PNG for each object by its id."""

MASK_ENDINGS = (".png",)


def predicted_masks(folder: Path) -> Mapping[str, MaskFile]:
    """Map the names of frames to their masks: PNG files in `folder`, or in a folder for each object, `1`, `2`, ….

    Raises DataError if `folder` cannot be listed, two files have one number, or an object lacks a frame."""
    if files := list_files(folder, None, MASK_ENDINGS):
        numbering(files, folder)
        return dict(files)
    names = [name for name in list_folders(folder, None) if name.isascii() and name.isdigit()]
    objects = {int(name): list_files(folder / name, None, MASK_ENDINGS) for name in names}
    if len(objects) < len(names) or any(not 0 < number < VOID for number in objects):
        raise DataError(f"{folder}: folders {', '.join(names)} of masks found, one per object, 1, 2, … expected")
    masks: dict[str, dict[int, Path]] = {}
    for number, files in objects.items():
        for frame, path in files.items():
            masks.setdefault(frame, {})[number] = path
    for frame, layers in masks.items():
        if lacking := objects.keys() - layers.keys():
            raise DataError(
                f"{folder}: object {min(lacking)} lacks frame {frame}, which {min(layers)} has; add its mask"
            )
    return masks


def read_predicted(mask: MaskFile) -> NDArray[np.uint8]:
    """Return the ids of one frame, height × width. Raises DataError naming a file, also if two objects overlap."""
    if isinstance(mask, Path):
        return read_mask(mask)
    layers = {number: read_mask(path) for number, path in mask.items()}
    ids = np.zeros_like(next(iter(layers.values())))
    for number, layer in layers.items():
        path = mask[number]
        if np.unique(layer[layer != 0]).size > 1:
            raise DataError(f"{path}: several values, a mask of one object expected, since its folder is {number}")
        if layer.shape != ids.shape:
            raise DataError(f"{path}: a mask of another size than that of the other objects; write all at one size")
        if ids[layer != 0].any():
            raise DataError(f"{path}: overlaps another object of this frame, one object per pixel expected")
        ids[layer != 0] = number
    return ids
