"""The miniature's videos and stills, written in the datasets' own layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.generated import write_generated
from harness.datasets.layouts import (
    Video,
    write_davis16,
    write_davis17,
    write_segtrack,
    write_voc,
    write_youtube_objects,
)
from harness.datasets.miniature.scenario import Scenario, VideoFormat, make_scene, make_still
from harness.datasets.miniature.scene import Scene, render
from harness.datasets.miniature.shapes import KINDS
from harness.datasets.miniature.videos import (
    DAVIS16,
    DAVIS17,
    FORMAT,
    SEGTRACK,
    SPARSE_FORMAT,
    TEST_DEV,
    YOUTUBE_OBJECTS,
)

STILLS = 72
STILL_SIZES = ((160, 96), (144, 112), (120, 120))


def write_miniature(out: Path, seed: int) -> Path:
    """Write the miniature of all datasets into the new folder `out`, and return it.

    The same seed gives the same bytes. The folder is complete or absent; if it already is the miniature of that seed,
    it is kept. Raises StoreError if `out` holds something else or cannot be written.
    """
    text = f"Rendered by harness.datasets from seed {seed}: no benchmark, its scores compare with no published ones.\n"
    return write_generated(out, "embedded", text, lambda draft: _write_all(draft, seed))


def _write_all(folder: Path, seed: int) -> None:
    for split, scenarios in DAVIS16.items():
        write_davis16(folder / "DAVIS2016", split, _videos(scenarios, f"{seed}/davis16"))
    for split, scenarios in DAVIS17.items():
        write_davis17(folder / "DAVIS2017", split, _videos(scenarios, f"{seed}/davis17"))
    write_davis17(folder / "DAVIS2017-test-dev", "test-dev", _videos(TEST_DEV, f"{seed}/davis17"), annotated=1)
    write_youtube_objects(folder / "YouTube-Objects", _videos(YOUTUBE_OBJECTS, f"{seed}/youtube", SPARSE_FORMAT))
    write_segtrack(folder / "SegTrackv2", _videos(SEGTRACK, f"{seed}/segtrack"))
    stills = {f"2007_{number:06d}": _still(number, f"{seed}/voc/{number}") for number in range(STILLS)}
    write_voc(folder / "VOCdevkit/VOC2012", stills)


def _videos(scenarios: Mapping[str, Scenario], seed: str, form: VideoFormat = FORMAT) -> dict[str, Video]:
    return {name: _video(make_scene(scenario, form, f"{seed}/{name}")) for name, scenario in scenarios.items()}


def _video(scene: Scene) -> Video:
    return (render(scene, index) for index in range(scene.frames))


def _still(number: int, seed: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return RGB, instance ids and class ids; the class of an instance is the kind of its shape."""
    scene = make_still(*STILL_SIZES[number % 3], seed)
    image, ids = render(scene, 0)
    classes = np.zeros(256, np.uint8)
    for item in scene.objects:
        if item.object_id:
            classes[item.object_id] = 1 + KINDS.index(item.shape.kind)
    return image, ids, classes[ids]
