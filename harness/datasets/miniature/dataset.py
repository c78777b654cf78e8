"""The miniature's videos and stills, written in the datasets' own layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets import layouts
from harness.datasets.generated import data_kind, rendered, write_generated
from harness.datasets.miniature import videos
from harness.datasets.miniature.scenario import Scenario, make_scene, make_still
from harness.datasets.miniature.scene import render
from harness.datasets.miniature.shapes import KINDS
from harness.datasets.miniature.today import FOLDERS, write_today
from harness.errors import StoreError
from harness.files import locked
from harness.hardware import cores

SEED = 0
"""Seed of the embedded data that studies use."""

EDITION = 1
"""Number of that data: raised when it changes, so that a home of an older one gets the new one next to it."""

Frame = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""RGB and ids."""

STILLS = 72
STILL_SIZES = ((128, 80), (120, 96), (104, 104))


def write_miniature(out: Path, seed: int) -> Path:
    """Write the miniature of all datasets into the new folder `out`, and return it.

    The same seed gives the same bytes. The folder is complete or absent; if it already is the miniature of that seed,
    it is kept. Raises StoreError if `out` holds something else or cannot be written."""
    return write_generated(out, "embedded", rendered(seed), lambda draft: _write_all(draft, seed))


def embedded_data(home: Path, notify: Callable[[str], None], datasets: Iterable[str] = ()) -> Path:
    """Return the folder of the embedded data of a home, rendered on first use; `notify` gets a line about it.

    Of the datasets that are rendered on demand only, it has at least those in `datasets`.
    Raises StoreError if it cannot be written, or the folder holds something else."""
    folder = home / "data" / f"embedded-{EDITION}"
    try:
        with locked(folder):
            if data_kind(folder) != "embedded":
                notify(f"making the embedded data in {folder}")
                write_miniature(folder, SEED)
            for name in sorted(FOLDERS.keys() & {*datasets}):
                if data_kind(folder / FOLDERS[name]) != "embedded":
                    notify(f"making the embedded data in {folder / FOLDERS[name]}")
                    write_today(folder, SEED, [name])
    except OSError as error:
        raise StoreError(f"{folder}: the embedded data cannot be written ({error}); give another --home") from None
    return folder


def _write_all(folder: Path, seed: int) -> None:
    pool = ThreadPoolExecutor(cores())  # NumPy works on whole frames, during which other threads run
    try:
        start = partial(_render, pool)
        stills = {f"2007_{number:06d}": pool.submit(_still, number, f"{seed}/voc/{number}") for number in range(STILLS)}
        davis16 = {split: start(scenarios, f"{seed}/davis16") for split, scenarios in videos.DAVIS16.items()}
        davis17 = {split: start(scenarios, f"{seed}/davis17") for split, scenarios in videos.DAVIS17.items()}
        test_dev = start(videos.TEST_DEV, f"{seed}/davis17")
        youtube = start(videos.YOUTUBE_OBJECTS, f"{seed}/youtube")
        segtrack = start(videos.SEGTRACK, f"{seed}/segtrack")
        layouts.write_voc(folder / "VOCdevkit/VOC2012", {name: still.result() for name, still in stills.items()})
        for split, found in davis16.items():
            layouts.write_davis16(folder / "DAVIS2016", split, found)
        for split, found in davis17.items():
            layouts.write_davis17(folder / "DAVIS2017", split, found)
        layouts.write_davis17(folder / "DAVIS2017-test-dev", "test-dev", test_dev, annotated=1)
        layouts.write_youtube_objects(folder / "YouTube-Objects", youtube)
        layouts.write_segtrack(folder / "SegTrackv2", segtrack)
    finally:
        pool.shutdown(cancel_futures=True)


def _render(pool: Executor, scenarios: Mapping[str, Scenario], seed: str) -> dict[str, layouts.Video]:
    """Start to render videos and return them by name."""
    started = {name: pool.submit(_video, scenario, f"{seed}/{name}") for name, scenario in scenarios.items()}
    return {name: _frames(video) for name, video in started.items()}


def _video(scenario: Scenario, seed: str) -> list[Frame]:
    scene = make_scene(scenario, seed)
    return [render(scene, index) for index in range(scene.frames)]


def _frames(video: Future[list[Frame]]) -> Iterator[Frame]:
    yield from video.result()


def _still(number: int, seed: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return RGB, instance ids and class ids; the class of an instance is the kind of its shape."""
    scene = make_still(*STILL_SIZES[number % 3], seed)
    image, ids = render(scene, 0)
    classes = np.zeros(256, np.uint8)
    for item in scene.annotated:
        classes[item.object_id] = 1 + KINDS.index(item.shape.kind)
    return image, ids, classes[ids]
