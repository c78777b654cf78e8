"""Exports the masks of a study as the benchmarks' servers take them: a palette PNG per frame, a folder per sequence.

Every frame has a mask of all objects, those that appear later too. A benchmark that only a server can score gets a zip
as well.

<out>/<benchmark>/<variant>/<sequence>/<frame>.png     `<variant>-seed<n>` in a study of several seeds
<out>/<benchmark>/<variant>.zip                        if the truth is not public (DAVIS17 test-dev, YouTube-VOS)
<out>/export.json                                      content of each folder: scale, data kind, protocol"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from harness.datasets import Sequence, read_mask, write_mask
from harness.errors import DataError, StoreError
from harness.files import atomic_file, atomic_folder, read_json, write_json
from harness.fingerprint import digest_of
from harness.hardware import cores
from harness.planning import Cell, Plan
from harness.store import Store

INDEX = "export.json"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that zip knows: identical masks make identical files."""


def require_usable(out: Path) -> None:
    """Raise StoreError if `out` holds anything but an export or cannot be written, before hours of work."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        used = any(out.iterdir())
        if used and not (out / INDEX).is_file():
            raise StoreError(f"{out}: holds something other than exported masks; give --export a new or empty folder")
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}); give --export another folder") from None


def export(plan: Plan, store: Store, out: Path) -> Iterator[str]:
    """Write the masks of every segmented cell; yield a line about what was written, unchanged or skipped.

    Raises DataError for a mask that the server would refuse: missing, of another size than the first frame's, or with
    an id of no object. Raises StoreError as `require_usable` does."""
    require_usable(out)
    known = (read_json(out / INDEX) or {}).get("cells", {})
    try:
        for cell in plan.cells:
            if not cell.segment:
                continue
            place = _place(cell, plan)
            entry = _entry(cell, plan)
            found = {name: store.find(stage.name, stage.key) for name, stage in cell.segment.items()}
            folders = {name: folder for name, folder in found.items() if folder is not None}
            if missing := len(found) - len(folders):
                yield f"{place}: not exported, {missing} of {len(found)} sequences are not segmented yet"
                continue
            if known.get(place) == entry and all(target.exists() for target in _targets(out, place, cell, plan)):
                yield f"{place}: {len(folders)} sequences, unchanged"
                continue
            known.pop(place, None)
            write_json(out / INDEX, {"study": plan.study.name, "cells": known}, indent=1)
            frames = _write(out, place, cell, plan, folders)
            known[place] = entry
            write_json(out / INDEX, {"study": plan.study.name, "cells": known}, indent=1)
            yield f"{place}: {len(folders)} sequences, {frames} masks"
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}); give --export another folder") from None


def _place(cell: Cell, plan: Plan) -> str:
    name = cell.variant.name if len(plan.study.seeds) == 1 else f"{cell.variant.name}-seed{cell.seed}"
    return f"{cell.benchmark}/{name}"


def _entry(cell: Cell, plan: Plan) -> dict[str, Any]:
    inputs = plan.inputs.benchmarks[cell.benchmark]
    return {
        "variant": cell.variant.name,
        "benchmark": inputs.protocol.title,
        "seed": cell.seed,
        "scale": plan.study.scale.name,
        "data_kind": inputs.data_kind,
        "protocol": inputs.fingerprint,
        "stages": digest_of({name: stage.key for name, stage in cell.segment.items()}),
    }


def _targets(out: Path, place: str, cell: Cell, plan: Plan) -> list[Path]:
    zipped = not plan.inputs.benchmarks[cell.benchmark].protocol.scored
    return [out / place, *([out / f"{place}.zip"] if zipped else [])]


def _write(out: Path, place: str, cell: Cell, plan: Plan, folders: dict[str, Path]) -> int:
    """Write the folder and the zip of a cell, each complete or not at all; return the number of masks."""
    sequences = plan.inputs.benchmarks[cell.benchmark].sequences
    target, *zips = _targets(out, place, cell, plan)
    with atomic_folder(target) as masks:
        with ThreadPoolExecutor(cores()) as pool:
            copy = pool.map(lambda name: _copy(sequences[name].value, folders[name] / "masks", masks / name), folders)
            frames = sum(copy)
        for path in zips:
            with atomic_file(path) as draft:
                _zip(masks, draft, plan.inputs.benchmarks[cell.benchmark].protocol.dataset.zip_folder)
    return frames


def _copy(sequence: Sequence, source: Path, target: Path) -> int:
    """Write the masks of a sequence with the palette of DAVIS, whatever the method wrote; return their number."""
    target.mkdir()
    shape = sequence.mask(0).shape
    allowed = {0, *sequence.object_ids}
    for index in range(len(sequence)):
        name = f"{sequence.frame_name(index)}.png"
        if not (source / name).is_file():
            raise DataError(f"{source / name}: mask missing; the method has to write one for every frame")
        ids = read_mask(source / name)
        if ids.shape != shape:
            raise DataError(
                f"{source / name}: {ids.shape[1]}×{ids.shape[0]}, but the first frame is {shape[1]}×{shape[0]}; "
                "the method has to write masks of the frame's size"
            )
        if extra := sorted({int(value) for value in np.flatnonzero(np.bincount(ids.ravel()))} - allowed):
            raise DataError(f"{source / name}: ids {extra}; expected those of the given masks, {sorted(allowed)}")
        write_mask(target / name, ids)
    return len(sequence)


def _zip(folder: Path, path: Path, top: str) -> None:
    """Write a zip with the folders of the sequences in the folder `top`, as the server expects."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for file in sorted(folder.rglob("*.png")):
            entry = zipfile.ZipInfo((Path(top) / file.relative_to(folder)).as_posix(), _ZIP_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
