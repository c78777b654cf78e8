"""PASCAL VOC 2012 as distributed: still images with instances, each a sequence of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets.files import read_names
from harness.datasets.layouts.base import Reader, make_folders, still, write_list
from harness.datasets.palette import VOID
from harness.datasets.pixels import write_frame, write_mask

LISTS, FRAMES, INSTANCES, CLASSES = "ImageSets/Segmentation", "JPEGImages", "SegmentationObject", "SegmentationClass"


def voc(folder: Path, split: str) -> Mapping[str, Reader]:
    """Read `ImageSets/Segmentation/<split>.txt` with a name per line; palette masks of instances, 255 is void."""
    names = read_names(folder / LISTS / f"{split}.txt", folder)
    return {
        name: partial(still, name, folder / FRAMES / f"{name}.jpg", folder / INSTANCES / f"{name}.png", folder)
        for name in names
    }


def write_voc(
    folder: Path, stills: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]]
) -> None:
    """Write stills (RGB, instance ids, class ids) with void borders; every sixth image belongs to val."""
    frames, instances, classes = make_folders(folder / FRAMES, folder / INSTANCES, folder / CLASSES)
    for name, (image, ids, kinds) in stills.items():
        border = _borders(ids)
        write_frame(frames / f"{name}.jpg", image)
        write_mask(instances / f"{name}.png", np.where(border, VOID, ids).astype(np.uint8))
        write_mask(classes / f"{name}.png", np.where(border, VOID, kinds).astype(np.uint8))
    val = [name for number, name in enumerate(stills) if number % 6 == 5]
    train = [name for name in stills if name not in val]
    for split, names in {"train": train, "val": val, "trainval": stills}.items():
        write_list(folder / LISTS / f"{split}.txt", names)


def _borders(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the rim of every instance, one pixel to each side."""
    kernel = np.ones((3, 3), np.uint8)
    rim = np.zeros(ids.shape, bool)
    for value in np.unique(ids[ids > 0]):
        mask = (ids == value).astype(np.uint8)
        rim |= cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
    return rim
