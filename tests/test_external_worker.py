"""The stand-alone worker: a class with `initialize` and `track` becomes a command, without the harness."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL
import pytest

from harness.datasets import read_mask
from harness.external import stages
from harness.external.config import worker_file
from harness.external.layout import lay_out
from harness.external.sources import file_digest
from harness.files import read_json
from tests.external import make_task, make_video, read_all, segment_config

TRACKER = """
import numpy as np

class Shift:
    def __init__(self, step=0, verbose=False, name=""):
        self.step, self.count = step, 0
        print("loaded", step, verbose, name)

    def initialize(self, frame, mask):
        assert frame.shape == (*mask.shape, 3) and frame.dtype == mask.dtype == np.uint8
        self.mask, self.count = mask, 0
        mask_before = mask.copy()
        mask[:] = mask_before  # it may write into what it gets

    def track(self, frame):
        self.count += 1
        return np.roll(self.mask, self.step * self.count, axis=1)

class Floats(Shift):
    def track(self, frame):
        return self.mask / 2

class Small(Shift):
    def track(self, frame):
        return self.mask[::2]

def make(**options):
    return Shift(**options)
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with a copy of the worker, a tracker, and the only two packages that are importable there."""
    shutil.copy(worker_file(), tmp_path / "harness-worker.py")
    (tmp_path / "tracker.py").write_text(TRACKER)
    (tmp_path / "packages").mkdir()
    site = Path(np.__path__[0]).parent
    assert Path(PIL.__path__[0]).parent == site
    for name in ("numpy", "numpy.libs", "PIL", "pillow.libs"):
        (tmp_path / "packages" / name).symlink_to(site / name)
    return tmp_path


def call(bare: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the worker with Python's own library and the packages in `bare`."""
    return subprocess.run(
        [sys.executable, "-S", "-B", str(bare / "harness-worker.py"), *map(str, arguments)],
        env={"PYTHONPATH": str(bare / "packages")},
        cwd=bare,
        capture_output=True,
        text=True,
        check=False,
    )


def one_sequence(bare: Path) -> tuple[object, ...]:
    lay_out(bare / "root", [make_video(bare / "data", frames=3)], "val", frames="stored")
    frames, first = bare / "root/JPEGImages/480p/dogs", bare / "root/Annotations/480p/dogs/00000.png"
    return "--frames", frames, "--first-mask", first, "--output", bare / "masks"


def test_the_harness_is_not_importable_where_the_worker_is_tested(bare: Path) -> None:
    (bare / "harness-worker.py").write_text("import numpy, PIL\nimport harness")
    assert "No module named 'harness'" in call(bare).stderr


@pytest.mark.parametrize("place", ["tracker.py:Shift", "tracker:make"])
def test_the_worker_segments_a_sequence_and_reports_frames(bare: Path, place: str) -> None:
    done = call(bare, place, *one_sequence(bare), "--option", "step=3", "--option", "verbose=true", "--option=name=a=b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["harness-start dogs", *[f"harness-frame dogs {one:05d}" for one in range(3)]]
    assert done.stderr == "loaded 3 True a=b\n"
    given = read_mask(bare / "root/Annotations/480p/dogs/00000.png")
    masks = read_all(bare / "masks", read_mask)
    assert len(masks) == 3
    assert all(np.array_equal(masks[f"{index:05d}"], np.roll(given, 3 * index, axis=1)) for index in range(3))


def test_the_worker_segments_all_sequences_of_a_list(bare: Path) -> None:
    videos = [make_video(bare / "a", (1,), 3, "a"), make_video(bare / "b", (1, 2), 12, "b")]
    lay_out(bare / "root", videos, "val", frames="png")
    names = bare / "root/ImageSets/2017/val.txt"
    done = call(bare, "tracker.py:Shift", "--root", bare / "root", "--list", names, "--output", bare / "masks")
    assert done.returncode == 0, done.stderr
    for video in videos:
        masks = read_all(bare / "masks" / video.name, read_mask)
        assert len(masks) == len(video)
        assert all(np.array_equal(mask, video.mask(0)) for mask in masks.values())


@pytest.mark.parametrize(
    ("tracker", "message"),
    [
        ("tracker.py:Floats", "00001.jpg: track returned float64 up to 1.0, object ids 0 to 255 expected"),
        ("tracker.py:Small", "00001.jpg: track returned a mask of shape (12, 32), (24, 32) expected"),
        ("tracker.py:Missing", "has no Missing"),
        ("gone.py:Shift", "gone.py: no such file"),
        ("tracker", "FILE.py:Class or package.module:Class expected"),
    ],
)
def test_the_worker_says_what_is_wrong_with_a_tracker(bare: Path, tracker: str, message: str) -> None:
    done = call(bare, tracker, *one_sequence(bare))
    assert done.returncode == 1
    assert done.stderr.strip().endswith(message)


def test_frames_with_unpadded_numbers_are_tracked_in_time_order(bare: Path) -> None:
    frames = bare / "root/JPEGImages/480p/dogs"
    given = one_sequence(bare)
    for index in range(3):
        (frames / f"{index:05d}.jpg").rename(frames / f"{index + 9}.jpg")
    assert call(bare, "tracker.py:Shift", *given).stdout.split()[4::3] == ["9", "10", "11"]


def test_a_tracker_as_a_method_is_timed_by_its_frames(tmp_path: Path) -> None:
    (tmp_path / "tracker.py").write_text(
        TRACKER.replace("self.count += 1", "import time; time.sleep(0.1); self.count += 1")
    )
    videos = "--root {root} --list {list} --output {output} --warm-up"
    template = f"{{python}} {{worker}} {tmp_path}/tracker.py:Shift {videos}"
    config = segment_config(template, per="benchmark", worker=file_digest(worker_file()))
    task = make_task(tmp_path / "task", config, video=make_video(tmp_path / "data", frames=6))
    stages.measure(task)
    found = read_json(task.folder / "timing.json")
    assert found is not None
    assert found["measured"] == "frames"
    assert 0.1 < found["inference_seconds_per_frame"] <= found["seconds_per_frame"] < found["process_seconds"] / 6
    assert found["objects"] == 2
    record = json.loads((task.folder / "run.json").read_text())
    assert [index for index, _ in record["frames"]["dogs"]] == list(range(6))
