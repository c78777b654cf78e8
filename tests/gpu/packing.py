"""The folder that the GPU check takes along: DAVIS 2016 with smaller frames, weights, and wheels.

The data is DAVIS (CC BY-NC 4.0): the folder is for your own use, and git ignores it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence as Several
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2

from harness.datasets.layouts.davis import davis16
from harness.datasets.pixels import write_binary_mask
from harness.datasets.sequence import Sequence
from harness.errors import HarnessError
from harness.files import atomic_folder
from harness.hardware import cores

LARGEST = 60.0
"""Most megabytes (2²⁰ bytes) of a pack."""

HEIGHTS = range(360, 88, -8)
QUALITY = 50
JPEG = (cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
"""Smaller frames lose more than coarser ones: networks scale them up again."""


WHEELS = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
SPLITS = ("train", "val")
SAMPLED = 80
"""One of so many frames is encoded at every height to find the largest one that fits."""


class PackError(HarnessError):
    """A pack that cannot be made."""


def main(arguments: Several[str] | None = None) -> int:
    """Make a pack; return an exit status."""
    parser = argparse.ArgumentParser(prog="tests/gpu/pack", description="Pack what tests/gpu/run needs: docs/gpu.md.")
    parser.add_argument("davis", type=Path, help="folder of DAVIS 2016, with JPEGImages, Annotations and ImageSets")
    parser.add_argument("out", type=Path, help="folder to make; it is replaced")
    parser.add_argument("--megabytes", type=float, default=56.0, help=f"size to stay below (at most {LARGEST:g})")
    parser.add_argument(
        "--weights", metavar="BACKBONE=FILE", action="append", default=[], help="state dict of a backbone; repeatable"
    )
    parser.add_argument("--python", default="3.12", help="version of Python there, for the wheels (default: 3.12)")
    parser.add_argument("--no-wheels", action="store_true", help="pack no wheels: pydantic is installed there")
    options = parser.parse_args(arguments)
    try:
        text = pack(
            options.davis,
            options.out,
            options.megabytes,
            dict(pair.split("=", 1) for pair in options.weights),
            None if options.no_wheels else options.python,
        )
    except (HarnessError, OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"tests/gpu/pack: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {text}")
    return 0


def pack(davis: Path, out: Path, megabytes: float, weights: dict[str, str], python: str | None) -> str:
    """Write the pack, and return what is in it. Raises PackError or DataError."""
    if not 0 < megabytes <= LARGEST:
        raise PackError(f"--megabytes {megabytes:g}: expected more than 0 and at most {LARGEST:g}")
    splits = {split: [read() for read in davis16(davis, split).values()] for split in SPLITS}
    with atomic_folder(out) as draft:
        for backbone, file in weights.items():
            (draft / "weights").mkdir(exist_ok=True)
            shutil.copyfile(file, draft / "weights" / f"{backbone}.pt")
        if python is not None:
            _download(draft / "wheels", python)
        target = draft / "DAVIS2016"
        lists = target / "ImageSets" / "480p"
        lists.mkdir(parents=True)
        for split in SPLITS:
            shutil.copyfile(davis / "ImageSets" / "480p" / f"{split}.txt", lists / f"{split}.txt")
        sequences = {one.name: one for some in splits.values() for one in some}
        room = int(megabytes * 2**20) - _size(draft) - 4096
        height = _write(davis, target, list(sequences.values()), room)
        frames = sum(map(len, sequences.values()))
        packed = _size(draft) / 2**20
        text = (
            f"DAVIS 2016 (CC BY-NC 4.0, not to be passed on), {len(sequences)} videos, {frames} frames of height "
            f"{height}, {packed:.1f} MiB with weights of {', '.join(weights) or 'no backbone'}"
        )
        content = {"text": text, "height": height, "quality": QUALITY, "mebibytes": packed, "python": python}
        (draft / "pack.json").write_text(json.dumps(content, indent=1) + "\n")
    return text


def _write(davis: Path, target: Path, sequences: list[Sequence], room: int) -> int:
    """Write frames and masks at the largest height that fits into so many bytes; return it."""
    original = sequences[0].frame(0).shape[0]
    heights = [height for height in HEIGHTS if height < original] or [original]
    sampled = [(one, index) for one in sequences for index in range(0, len(one), SAMPLED)]
    scratch = target / "sample"
    scratch.mkdir()
    places = scratch / "frame.jpg", scratch / "mask.png"
    for height in heights:
        sizes = [_write_frame(one, index, height, *places) for one, index in sampled]
        expected = sum(map(len, sequences)) * sum(sizes) / len(sizes)
        if expected > 0.97 * room:
            continue
        with ThreadPoolExecutor(cores()) as pool:
            written = sum(pool.map(partial(_write_video, davis, target, height), sequences))
        if written <= room:
            shutil.rmtree(scratch)
            return height
    raise PackError(f"{len(sequences)} videos do not fit into {room / 2**20:.1f} MiB; give more --megabytes")


def _write_video(davis: Path, target: Path, height: int, sequence: Sequence) -> int:
    """Write a video where the official lists expect it; return its bytes."""
    size = 0
    for index, (frame, mask) in enumerate(zip(sequence.frames, sequence.masks, strict=True)):
        assert isinstance(mask, Path)
        places = [target / path.relative_to(davis) for path in (frame, mask)]
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
        size += _write_frame(sequence, index, height, *places)
    return size


def _write_frame(sequence: Sequence, index: int, height: int, frame: Path, mask: Path) -> int:
    """Write a frame and its mask at a height; return their bytes."""
    image, inside = sequence.frame(index), sequence.mask(index)
    size = (round(image.shape[1] * height / image.shape[0]), height)
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    frame.write_bytes(cv2.imencode(".jpg", small, JPEG)[1].tobytes())
    write_binary_mask(mask, cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST) == 1)
    return frame.stat().st_size + mask.stat().st_size


def _download(folder: Path, python: str) -> None:
    """Download the wheels that fit a version of Python on x86-64 Linux, in the versions that are installed here."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--dest", str(folder), "--implementation", "cp", "--python-version", python),
        *(part for platform in PLATFORMS for part in ("--platform", platform)),
        *(f"{name}=={version(name)}" for name in WHEELS),
    ]
    subprocess.run(command, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
