#!/usr/bin/env python3
"""Run a tracker on videos: a class with `initialize(frame, mask)` and `track(frame) -> mask`.

    harness-worker.py FILE.py:Class --frames FOLDER --first-mask PLACE --output FOLDER [--option NAME=VALUE ...]
    harness-worker.py package.module:Class --root FOLDER --list FILE --output FOLDER [--option NAME=VALUE ...]

The second form segments all sequences of a list with one tracker: `JPEGImages/480p/<sequence>/` and the masks in
`Annotations/480p/<sequence>/` below the root; it writes `<output>/<sequence>/`. Frames are RGB, height × width × 3,
uint8. Masks are object ids, height × width, uint8, and 0 is the background. `initialize` begins a sequence. The class,
or any function that returns a tracker, is called with the options; numbers, true and false are converted.

PLACE is the file of the first mask, or a folder of masks that are named as their frames: that of the first frame, and
those of later frames in which objects appear. Of a later mask, only objects count that no earlier mask shows. A tracker
with a method `add(frame, mask)` gets them after it has tracked that frame. Without `add`, each group of objects is
tracked by itself, from its frame on, and later ones cover earlier ones.

Standard output gets a line `harness-start SEQUENCE` before `initialize` and `harness-frame SEQUENCE FRAME` after every
frame, unless groups are tracked one after the other. What the tracker itself prints there goes to standard error.

This file needs Python 3.8, NumPy and Pillow, and nothing else. It may be copied anywhere."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = Any  # a NumPy array

FRAME_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}
PALETTE = [
    sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
    for index in range(256)
    for channel in range(3)
]
"""Colors of DAVIS, 256 × RGB."""


def main() -> None:
    """Read the arguments and segment what they name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker", help="FILE.py:Class or package.module:Class")
    parser.add_argument("--frames", type=Path, help="folder of the frames of one sequence")
    parser.add_argument("--first-mask", type=Path, help="mask of its first frame, or folder of masks")
    parser.add_argument("--root", type=Path, help="folder with JPEGImages/480p and Annotations/480p")
    parser.add_argument("--list", type=Path, help="file with a sequence per line")
    parser.add_argument("--output", type=Path, required=True, help="folder for the masks")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="for the class")
    parser.add_argument("--warm-up", action="store_true", help="track one frame before the first sequence begins")
    given = parser.parse_args()
    report = _own_standard_output()
    tracker = load(given.tracker)(**dict(map(option, given.option)))
    if given.frames and given.first_mask:
        jobs = [(given.frames, given.first_mask, given.output)]
    elif given.root and given.list:
        jobs = [
            (given.root / "JPEGImages/480p" / name, given.root / "Annotations/480p" / name, given.output / name)
            for name in given.list.read_text(encoding="utf-8").split("\n")
            if name.strip()
        ]
    else:
        parser.error("--frames and --first-mask, or --root and --list expected")
    if given.warm_up:
        folder, place, _ = jobs[0]
        files = frames_in(folder)
        tracker.initialize(read_frame(files[0]), given_masks(place, files)[0])
        tracker.track(read_frame(files[:2][-1]))
    for folder, place, output in jobs:
        segment(tracker, folder, place, output, report)


def segment(tracker: Any, folder: Path, place: Path, output: Path, report: Callable[[str], None]) -> None:
    """Write the masks of one sequence; `report` is called with each line of the protocol."""
    files = frames_in(folder)
    output.mkdir(parents=True, exist_ok=True)
    given = given_masks(place, files)
    groups = [given] if hasattr(tracker, "add") else [{start: mask} for start, mask in given.items()]
    say = report if len(groups) == 1 else lambda line: None
    say(f"harness-start {folder.name}")
    for group in groups:
        start = min(group)
        for file, found in masks_of(tracker, files[start:], start, group):
            target = output / f"{file.stem}.png"
            write_mask(target, np.where(found, found, read_mask(target)) if start else found)
            say(f"harness-frame {folder.name} {file.stem}")


def masks_of(tracker: Any, files: list[Path], start: int, given: dict[int, Array]) -> Iterator[tuple[Path, Array]]:
    """Yield frames with their object ids; the first of them has the index `start` and a given mask."""
    for index, file in enumerate(files, start):
        frame = read_frame(file)
        if index == start:
            found = given[start]
            tracker.initialize(frame, found.copy())
        else:
            found = ids(tracker.track(frame), given[start].shape, file)
            if index in given:
                found = np.where(given[index], given[index], found)
                tracker.add(frame, given[index].copy())
        yield file, found


def given_masks(place: Path, files: list[Path]) -> dict[int, Array]:
    """Return index of a frame → ids of the objects that appear there, from a file or a folder of masks."""
    indices = {file.stem: index for index, file in enumerate(files)}
    masks = sorted(place.glob("*.png")) if place.is_dir() else [place]
    if not files or not masks:
        raise SystemExit(f"{place}: frames and a mask expected, {len(files)} frames and {len(masks)} masks found")
    found: dict[int, Array] = {}
    for file in masks:
        index = indices.get(file.stem, -1) if place.is_dir() else 0
        if index < 0:
            raise SystemExit(f"{file}: no frame has this name; expected the names of frames, such as {files[0].stem}")
        found[index] = read_mask(file)
    if 0 not in found:
        raise SystemExit(f"{place}: no mask of the first frame, {files[0].stem}")
    shown: set[int] = set()
    given: dict[int, Array] = {}
    for index, mask in sorted(found.items()):
        new = set(np.unique(mask).tolist()) - shown - {0}
        if new or not given:
            given[index] = np.where(np.isin(mask, list(new)), mask, 0).astype(np.uint8)
        shown |= new
    return given


def load(place: str) -> Any:
    """Return the class or function that `FILE.py:Class` or `package.module:Class` names."""
    module, separator, name = place.rpartition(":")
    if not separator:
        raise SystemExit(f"{place}: FILE.py:Class or package.module:Class expected")
    sys.path.insert(0, str(Path.cwd()))
    if module.endswith(".py"):
        file = Path(module).resolve()
        if not file.is_file():
            raise SystemExit(f"{file}: no such file")
        sys.path.insert(0, str(file.parent))
        module = file.stem
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise SystemExit(f"{place}: {found.__file__} has no {name}")
    return getattr(found, name)


def option(text: str) -> tuple[str, Any]:
    """Return name and value of NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not separator:
        raise SystemExit(f"--option {text}: NAME=VALUE expected")
    if value in ("true", "false"):
        return name, value == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def frames_in(folder: Path) -> list[Path]:
    """Return the frames of a folder in time order, which is that of their names."""
    found = [file for file in folder.iterdir() if file.suffix.lower() in FRAME_ENDINGS]
    return sorted(
        found, key=lambda file: [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", file.stem)]
    )


def read_frame(file: Path) -> Array:
    """Return RGB, height × width × 3."""
    with Image.open(file) as image:
        return np.array(image.convert("RGB"))


def read_mask(file: Path) -> Array:
    """Return object ids, height × width."""
    with Image.open(file) as image:
        return np.array(image, np.uint8)


def write_mask(file: Path, mask: Array) -> None:
    """Write object ids as a palette PNG."""
    image = Image.fromarray(mask)
    image.putpalette(PALETTE)
    image.save(file)


def ids(mask: Any, shape: tuple[int, ...], file: Path) -> Array:
    """Return what `track` has returned as object ids, height × width; a tensor on a GPU is fetched."""
    found = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if found.ndim == 3 and 1 in (found.shape[0], found.shape[2]):
        found = found.squeeze(0 if found.shape[0] == 1 else 2)
    if found.shape != shape:
        raise SystemExit(f"{file}: track returned a mask of shape {found.shape}, {shape} expected")
    if found.dtype.kind not in "bui" or found.min(initial=0) < 0 or found.max(initial=0) > 255:
        raise SystemExit(f"{file}: track returned {found.dtype} up to {found.max()}, object ids 0 to 255 expected")
    return np.ascontiguousarray(found, np.uint8)


def _own_standard_output() -> Callable[[str], None]:
    """Keep standard output for the lines of the protocol; return the function that writes them."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def report(line: str) -> None:
        print(line, file=lines, flush=True)

    return report


if __name__ == "__main__":
    main()
