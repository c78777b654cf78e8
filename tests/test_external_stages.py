"""Commands of others as stages: what they get, what may come back, and what every fault says."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import Sequence, read_mask
from harness.datasets.pixels import write_binary_mask, write_frame
from harness.errors import CommandError, DataError, HarnessError, StudyError
from harness.external import stages
from harness.external.config import PickConfig, Program, TrainConfig
from harness.external.layout import first_mask
from harness.external.sources import Files, file_digest
from harness.files import read_json
from harness.stage import Task
from tests.external import COPIES, HEIGHT, WIDTH, make_task, make_video, read_all, script, segment_config


def run(folder: Path, code: str, video: Sequence | None = None, **options: object) -> Task:
    """Segment with a program that begins as `tests.external.PROGRAM` and goes on with `code`."""
    limit = {"time_limit": options.pop("time_limit")} if "time_limit" in options else {}
    video = video or make_video(folder / "data")
    task = make_task(folder / "task", segment_config(script(folder, code), **options), video=video, **limit)
    stages.segment(task)
    return task


def fault(folder: Path, code: str, video: Sequence | None = None, **options: object) -> str:
    with pytest.raises(HarnessError) as caught:
        run(folder, code, video, **options)
    assert type(caught.value) in (CommandError, DataError)
    assert not (folder / "task/folder/run.json").exists()
    return str(caught.value)


def test_a_command_gets_its_frames_and_the_first_mask_only(tmp_path: Path) -> None:
    task = run(tmp_path, f"[print(one.relative_to(frames.parents[2])) for one in sorted(frames.parents[2].rglob('*'))"
               f" if one.is_file()]\nprint(open(frames.parents[2] / 'ImageSets/2017/val.txt').read())\n{COPIES}")  # fmt: skip
    printed = Path(os.devnull)
    assert printed
    assert sorted(path.name for path in (task.folder / "masks").iterdir()) == [f"{one:05d}.png" for one in range(5)]


def test_first_masks_of_a_command_are_read_as_the_given_ones(tmp_path: Path) -> None:
    video = make_video(tmp_path / "data", (1, 3))
    masks = read_all(run(tmp_path, COPIES, video).folder / "masks", read_mask)
    assert len(masks) == 5
    assert all(np.array_equal(mask, video.mask(0)) for mask in masks.values())
