"""Folders of generated data: complete or absent, and marked, so that nobody takes them for the real dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from harness.datasets.files import exists
from harness.errors import StoreError
from harness.files import atomic_folder

Generated = Literal["embedded", "derived"]
DataKind = Literal[Generated, "real"]
"""The miniature rendered from a seed, data derived from real sequences, or real data."""

MARKERS: Mapping[Generated, str] = {kind: f"{kind.upper()}.txt" for kind in get_args(Generated)}
"""Files that mark a folder as generated."""


def rendered(seed: int) -> str:
    """Return the text of the marker of data rendered from a seed."""
    return f"Rendered by harness.datasets from seed {seed}: no benchmark, its scores compare with no published ones.\n"


def data_kind(*folders: Path) -> DataKind:
    """Return the kind of the data in folders, from the first of them that has a marker."""
    for folder in folders:
        for kind, marker in MARKERS.items():
            if exists(folder / marker):
                return kind
    return "real"


def write_generated(out: Path, kind: Generated, text: str, write: Callable[[Path], None]) -> Path:
    """Create the folder `out` with what `write` puts into it and a marker with `text`; return `out`.

    If `out` has that marker with that text already (another process may have been first), it is kept as it is. Raises
    StoreError if `out` holds something else or cannot be written."""
    marker = out / MARKERS[kind]
    if _has_text(marker, text):
        return out
    try:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise StoreError(f"{out}: it holds something else; give a new or empty folder")
        with atomic_folder(out, replace=False) as draft:
            write(draft)
            (draft / marker.name).write_text(text, "utf-8")
    except OSError as error:
        if not _has_text(marker, text):
            raise StoreError(f"{out}: cannot be written ({error.strerror}); give a new or empty folder") from None
    return out


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.read_text("utf-8") == text
    except OSError:
        return False
