"""Hand-made trees in the distributed forms of YouTube-VOS, MOSE, LVOS, VOST and SA-V, with tiny images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.datasets import write_mask
from harness.datasets.pixels import write_binary_mask, write_frame

SA_V = """\
datasets:
  sa-v:
    title: SA-V val
    frames: JPEGImages_24fps/{sequence}/{frame}.jpg
    masks: Annotations_6fps/{sequence}/{object}/{frame}.png
    sequences: sav_val.txt
    late_objects: true
benchmarks:
  sa-v-val:
    {dataset: sa-v, multi_object: true, skip_first: 1, skip_last: 1, averaging: objects,
     counting: since-shown, measures: [JF_mean, J_mean, F_mean]}
"""


def ids(*numbers: int) -> NDArray[np.uint8]:
    """Return a mask of 32×24 with a square for each number."""
    mask = np.zeros((24, 32), np.uint8)
    for place, number in enumerate(numbers):
        mask[4:12, 2 + 7 * place : 8 + 7 * place] = number
    return mask


def save_video(part: Path, name: str, frames: Mapping[str, NDArray[np.uint8] | None]) -> None:
    """Write frames, and the masks there are, to JPEGImages and Annotations."""
    for folder in ("JPEGImages", "Annotations"):
        (part / folder / name).mkdir(parents=True, exist_ok=True)
    for frame, mask in frames.items():
        write_frame(part / "JPEGImages" / name / f"{frame}.jpg", np.full((24, 32, 3), 90, np.uint8))
        if mask is not None:
            write_mask(part / "Annotations" / name / f"{frame}.png", mask)


def meta(**videos: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return what a meta.json holds: video → object → category and first frame."""
    entries = {
        video: {key: {"category": category, "frames": [first]} for key, (category, first) in objects.items()}
        for video, objects in videos.items()
    }
    return {"videos": {video: {"objects": objects} for video, objects in entries.items()}}


def write_meta(path: Path, content: object) -> None:
    """Write a meta.json."""
    path.write_text(json.dumps(content))


def youtube_vos(root: Path) -> None:
    """Three videos of train: `hatted` is held out for the category of an object, `d` for its name."""
    part = root / "YouTube-VOS-2019/train"
    late = {"00000": ids(), "00005": ids(1), "00010": ids(1, 2), "00015": ids(1, 2)}
    save_video(part, "a", {"00000": ids(1), "00005": ids(1)})
    save_video(part, "d", late)
    save_video(part, "hatted", {"00000": ids(1, 2), "00005": ids(2), "00010": ids(1, 2)})
    content = meta(
        a={"1": ("dog", "00000")},
        d={"1": ("dog", "00005"), "2": ("dog", "00010")},
        hatted={"1": ("hat", "00000"), "2": ("dog", "00000")},
    )
    write_meta(part / "meta.json", content)
    save_video(root / "YouTube-VOS-2019/valid", "v", {"00000": ids(1), "00005": None, "00010": ids(2), "00015": None})
    content = meta(v={"1": ("dog", "00000"), "2": ("eagle", "00010")})
    write_meta(root / "YouTube-VOS-2019/valid/meta.json", content)


def mose(root: Path, folder: str = "MOSE") -> None:
    """Videos of train with all masks, and of valid with the first."""
    save_video(root / folder / "train", "a", {"00000": ids(1), "00001": ids(1)})
    save_video(root / folder / "train", "d", {f"0000{index}": ids(1, 2) for index in range(4)})
    save_video(root / folder / "valid", "v", {"00000": ids(1, 4), "00001": None, "00002": None})


def lvos(root: Path, folder: str = "LVOS-v2/val") -> None:
    """A video of seen and one of unseen categories, with a mask for every second frame."""
    for name in ("seen", "R3UJGYwy"):
        frames = {f"{index:08d}": ids(*(1, 3)[: 1 + (index > 3)]) if index % 2 else None for index in range(1, 8)}
        save_video(root / folder, name, frames)


def vost(root: Path) -> None:
    """Two videos, one of them in the list of val; a frame has no mask."""
    save_video(root / "VOST", "a", {f"frame{index:05d}": ids(1) for index in range(3)})
    save_video(root / "VOST", "b", {f"frame{index:05d}": None if index == 2 else ids(1, 2) for index in range(5)})
    (root / "VOST/ImageSets").mkdir()
    (root / "VOST/ImageSets/val.txt").write_text("b\n")
    (root / "VOST/ImageSets/train.txt").write_text("a\n")


def sa_v(root: Path) -> None:
    """A video at 24 frames per second with a folder of masks for each of two objects; the second one appears late."""
    part = root / "sav_val"
    place = part / "JPEGImages_24fps/sav_000001"
    place.mkdir(parents=True)
    for index in range(17):
        write_frame(place / f"{index:05d}.jpg", np.full((24, 32, 3), 90, np.uint8))
    for number, first in (("000", 0), ("001", 8)):
        masks = part / "Annotations_6fps/sav_000001" / number
        masks.mkdir(parents=True)
        for index in range(first, 17, 4):
            write_binary_mask(masks / f"{index:05d}.png", ids(1, 1)[:, :: 1 if number == "000" else -1] > 0)
    (part / "sav_val.txt").write_text("sav_000001\n")
    (part / "dataset.yaml").write_text(SA_V)


TREES: Mapping[str, Callable[[Path], None]] = {
    "youtube-vos-2019-local": youtube_vos,
    "youtube-vos-2019-val": youtube_vos,
    "mose-v1-local": mose,
    "mose-v1-val": mose,
    "mose-v2-val": lambda root: mose(root, "MOSEv2"),
    "lvos-v1-val": lambda root: lvos(root, "LVOS/valid"),
    "lvos-v2-val": lvos,
    "vost-val": vost,
    "sa-v-val": sa_v,
}
"""Benchmark → writer of its tree."""
