"""SBD (Semantic Boundaries Dataset) as distributed: stills with instances in MATLAB files, or converted to PNG."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.datasets.files import exists, read_names, require_unique
from harness.datasets.layouts.base import Reader, still
from harness.datasets.sequence import Sequence


def sbd(folder: Path, split: str) -> Mapping[str, Reader]:
    """Read `<list>.txt` with a name per line, `img/<name>.jpg`, and `inst/<name>.mat` or, without it, `.png`.

    Values are instances; 255 (in converted files only) is void. Raises DataError."""
    parts = ("train", "val") if split == "all" else (split,)  # all of SBD is two lists, 8,498 and 2,857 images
    lists = [folder / f"{part}.txt" for part in parts]
    names = [name for path in lists for name in read_names(path, folder)]
    require_unique(names, lists[-1])
    return {name: partial(_sbd, folder, name) for name in names}


def _sbd(folder: Path, name: str) -> Sequence:
    original, converted = (folder / "inst" / f"{name}{ending}" for ending in (".mat", ".png"))
    mask = converted if not exists(original) and exists(converted) else original
    return still(name, folder / "img" / f"{name}.jpg", mask, folder)
