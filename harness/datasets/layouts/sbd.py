"""SBD (Semantic Boundaries Dataset) as distributed: stills with instances in MATLAB files, or converted to PNG."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.datasets.files import read_names, refuse_twice, require_inside
from harness.datasets.layouts.base import Reader
from harness.datasets.layouts.davis import first_ids
from harness.datasets.sequence import Sequence

LISTS: Mapping[str, tuple[str, ...]] = {"all": ("train", "val")}
"""Split → lists, where it is not one of that name: all of SBD is its two lists, 8,498 and 2,857 images."""


def sbd(folder: Path, split: str) -> Mapping[str, Reader]:
    """`<list>.txt` with a name a line, `img/<name>.jpg`, `inst/<name>.mat` or, where there is none, `.png`: values are
    instances, 255 (which only converted files have) is void.

    Raises DataError."""
    lists = [folder / f"{name}.txt" for name in LISTS.get(split, (split,))]
    names = [name for path in lists for name in read_names(path, folder)]
    refuse_twice(names, lists[-1])
    return {name: partial(_sbd, folder, name) for name in names}


def _sbd(folder: Path, name: str) -> Sequence:
    frame, mask = folder / "img" / f"{name}.jpg", folder / "inst" / f"{name}.mat"
    converted = mask.with_suffix(".png")
    if not os.path.exists(mask) and os.path.exists(converted):  # not Path's, which raise without the right to look
        mask = converted
    for path in (frame, mask):
        require_inside(path, folder)
    return Sequence(name=name, frames=(frame,), masks=(mask,), object_ids=first_ids(mask))
