"""PASCAL VOC 2012 as distributed: still images with instances, each a sequence of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.datasets.files import read_names, require_inside
from harness.datasets.layouts.base import Reader
from harness.datasets.layouts.davis import first_ids
from harness.datasets.sequence import Sequence


def voc(folder: Path, split: str) -> Mapping[str, Reader]:
    """`ImageSets/Segmentation/<split>.txt` with a name a line; palette masks whose index is the instance, 255 void.

    Raises DataError."""
    names = read_names(folder / f"ImageSets/Segmentation/{split}.txt", folder)
    return {name: partial(_voc, folder, name) for name in names}


def _voc(folder: Path, name: str) -> Sequence:
    frame, mask = folder / "JPEGImages" / f"{name}.jpg", folder / "SegmentationObject" / f"{name}.png"
    for path in (frame, mask):
        require_inside(path, folder)
    return Sequence(name=name, frames=(frame,), masks=(mask,), object_ids=first_ids(mask))
