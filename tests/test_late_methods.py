"""Every method on a video in which an object appears later, from training to masks and seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.config import resolve
from harness.datasets import Sequence
from harness.datasets.pixels import read_mask
from harness.method import CellPlan, CellRequest, find_method
from harness.stage import Data
from tests.late import late_sequence
from tests.test_dipnet_stages import STILLS, VIDEOS, reached, run
from tests.test_dipnet_stages import TINY as DIPNET
from tests.test_rivals import TINY, TUNED

START, LENGTH = 2, 4
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "dipnet": ("dipnet", DIPNET),
    "dipnet-frame": ("dipnet", {**DIPNET, "crop": False, "training": "offline"}),
    "dipnet-both": ("dipnet", {**DIPNET, "training": "end-to-end"}),
    "nearest": ("nearest", {"backbone": "mini", "weights": "none", "size": 64, "block": "f4", "upsampling": 1}),
    "cinm": ("cinm", {"osvos": TUNED, "msk": TUNED}),
    "cinm-offline": ("cinm", {"osvos": {**TUNED, "training": "offline"}, "msk": {**TUNED, "training": "offline"}}),
    **{name: (name, options) for name, options in TINY.items()},
}
TUNES = {"dipnet": 4, "dipnet-both": 4, "cinm": 4, "osvos": 2, "msk": 2, "onavos": 2, "rgmp": 2}
"""One-shot stages of a video with two parts of one object each; none of the others."""


def plan(name: str, *videos: Sequence) -> CellPlan:
    method, options = METHODS[name]
    config = resolve(find_method(method, "test").config, options, "test")
    return find_method(method, "test").plan(
        CellRequest(
            config=config,
            sequences={video.name: Data(name=video.name, digest=video.name, value=video) for video in videos},
            multi_object=True,
            training={"pretraining": STILLS, "offline": VIDEOS},
            missing={},
            machine="here",
        )
    )


def masks_of(folder: Path) -> NDArray[np.uint8]:
    return np.stack([read_mask(file) for file in sorted((folder / "masks").iterdir())])


@pytest.mark.parametrize("name", METHODS)
def test_a_late_object_is_segmented_as_in_the_video_from_its_start(name: str, tmp_path: Path) -> None:
    video, done = late_sequence(tmp_path / "late", (0, START), LENGTH), dict[str, Path]()
    first, second = (replace(video, name=f"only{i}", object_ids=(i,), starts=()) for i in (1, 2))
    second = replace(second, frames=video.frames[START:], masks=video.masks[START:])
    cell = plan(name, video, first, second)
    tuned = [stage for stage in reached(cell.segment["late"]).values() if stage.name == "finetune"]
    assert len(tuned) == TUNES.get(name, 0)
    whole, one, other = (masks_of(run(cell.segment[part], tmp_path, done)) for part in ("late", "only1", "only2"))
    assert len(whole) == LENGTH
    assert not (whole[:START] == 2).any()
    assert np.array_equal(whole[0], np.where(video.mask(0) == 1, 1, 0))
    assert np.array_equal(whole[START] == 2, video.mask(START) == 2)
    if not name.startswith("cinm"):  # whose OSVOS has decided before which object a pixel is of
        assert np.array_equal(whole[:START], one[:START])
        assert not ((whole == 1) & (one != 1)).any()
        later = whole[START:]
        assert not ((later == 2) & (other != 2)).any()
        assert np.array_equal(later > 0, (one[START:] > 0) | (other > 0))


@pytest.mark.parametrize("name", ["dipnet", "osvos", "cinm"])
def test_a_video_with_late_objects_is_timed_by_its_first_ones(name: str, tmp_path: Path) -> None:
    late = late_sequence(tmp_path / "late", (0, START), LENGTH)
    cell = plan(name, late)
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, {}) / "timing.json").read_text())
    assert timing["objects"] == 1
    assert timing["seconds_per_frame"] > 0
    plain = late_sequence(tmp_path / "plain", (0, 0), 9, name="plain")
    timed = plan(name, late, plain).timing
    assert timed is not None
    assert timed.data["video"].value is plain


@pytest.mark.parametrize("name", METHODS)
def test_stages_do_not_change_where_no_object_is_late(name: str, tmp_path: Path) -> None:
    video = late_sequence(tmp_path / "plain", (0, 0), LENGTH, name="plain")
    stages = reached(plan(name, video).segment["plain"]).values()
    roles = {role for stage in stages for role in stage.needs}
    assert not any("@" in role for role in roles)
    assert {id(stage.data["video"].value) for stage in stages if "video" in stage.data} == {id(video)}
