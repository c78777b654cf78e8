"""Miniatures of YouTube-VOS 2019 and LVOS v2, rendered only where a study asks for them, next to the other data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from harness.datasets.generated import rendered, write_generated
from harness.datasets.layouts.base import make_folders
from harness.datasets.miniature.late import Journey, make_journey
from harness.datasets.miniature.scene import render
from harness.datasets.pixels import write_frame, write_mask
from harness.hardware import cores

HERE = (0.0, 0.0)
"""Never out of the frame."""

Clip = partial(Journey, frames=18, points=6)

YOUTUBE_VOS: Mapping[str, Journey] = {
    # held out, by its name or by a category that is
    "mini-join-turn": Clip(objects=("blob", "star"), categories=("fish", "bird"), absent=(HERE, (0.0, 0.3))),
    "mini-two-blob": Clip(objects=("walker", "box"), categories=("dog", "sedan"), absent=(HERE, HERE), lookalikes=1),
    "mini-late-box": Clip(objects=("box", "blob"), categories=("hat", "fish"), absent=((0.0, 0.4), HERE)),
    "mini-trio-hat": Clip(objects=("star", "box", "walker"), categories=("bird", "hat", "dog"), absent=(HERE,) * 3),
    "mini-lizard": Clip(objects=("walker",), categories=("lizard",), absent=(HERE,), lookalikes=1, drift=0.8),
    "mini-parachute": Clip(objects=("blob", "walker"), categories=("parachute", "person"), absent=((0.0, 0.5), HERE)),
    # the rest
    "mini-rest-pair": Clip(objects=("blob", "walker"), categories=("fish", "dog"), absent=(HERE, (0.0, 0.3))),
    "mini-rest-star": Clip(objects=("star", "box"), categories=("bird", "sedan"), absent=(HERE, HERE)),
    "mini-rest-walker": Clip(objects=("walker",), categories=("person",), absent=(HERE,)),
}
"""The training part, with a mask for every frame; frames are numbered by fives, as of 30 per second."""

Long = partial(Journey, frames=600, annotated=5, points=48, width=64, height=48, drift=0.7)

LVOS: Mapping[str, Journey] = {
    "mini-long-again": Long(objects=("blob", "box"), absent=((0.35, 0.55), HERE)),
    "mini-long-late": Long(objects=("star", "walker"), absent=(HERE, (0.0, 0.3))),
    "mini-long-unseen": Long(objects=("walker",), absent=((0.5, 0.65),), lookalikes=1),
}
"""The validation part, with a mask for every fifth frame. The last one is among the `unseen` of the description."""

FOLDERS: Mapping[str, str] = {"youtube-vos-2019": "YouTube-VOS-2019", "lvos-v2": "LVOS-v2"}
"""Dataset → its folder in the embedded data."""


def write_today(root: Path, seed: int, datasets: Iterable[str] = FOLDERS) -> None:
    """Write those of `datasets` that are rendered on demand into the embedded data; complete or absent, each.

    The same seed gives the same bytes. Raises StoreError if one cannot be written."""
    writers = {"youtube-vos-2019": _write_youtube_vos, "lvos-v2": _write_lvos}
    for name in sorted(FOLDERS.keys() & {*datasets}):
        write_generated(root / FOLDERS[name], "embedded", rendered(seed), partial(writers[name], seed))


def _write_youtube_vos(seed: int, folder: Path) -> None:
    part = folder / "train"
    shown = _write(part, YOUTUBE_VOS, f"{seed}/youtube-vos", lambda index: f"{5 * index:05d}")
    meta = {
        name: {
            "objects": {
                str(number): {"category": category, "frames": shown[name][number]}
                for number, category in enumerate(journey.categories, start=1)
            }
        }
        for name, journey in YOUTUBE_VOS.items()
    }
    (part / "meta.json").write_text(json.dumps({"videos": meta}, indent=1) + "\n", "utf-8")


def _write_lvos(seed: int, folder: Path) -> None:
    _write(folder / "val", LVOS, f"{seed}/lvos", lambda index: f"{index + 1:08d}")


def _write(
    part: Path, journeys: Mapping[str, Journey], seed: str, name_of: Callable[[int], str]
) -> dict[str, dict[int, list[str]]]:
    """Write frames and masks; return video → object → names of the frames that show it."""

    def write(name: str) -> dict[int, list[str]]:
        scene = make_journey(journeys[name], f"{seed}/{name}")
        frames, masks = make_folders(part / "JPEGImages" / name, part / "Annotations" / name)
        shown: dict[int, list[str]] = defaultdict(list)
        for index in range(scene.frames):
            image, ids = render(scene, index)
            write_frame(frames / f"{name_of(index)}.jpg", image)
            if index % journeys[name].annotated == 0:
                write_mask(masks / f"{name_of(index)}.png", ids)
                for number in np.unique(ids[ids > 0]):
                    shown[int(number)].append(name_of(index))
        return shown

    with ThreadPoolExecutor(cores()) as pool:
        return dict(zip(journeys, pool.map(write, journeys), strict=True))
