"""The loop over a video with any segmenter, videos in folders, and the package without the harness's services."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets.pixels import read_mask, write_mask
from harness.errors import DataError
from harness.stage import Task
from tests.engine import ROOT
from tests.videos import Squares
from vos import FolderVideo, Segmenter, Video, segment_video
from vos.config import TimingConfig
from vos.geometry import Box
from vos.segment import exclusive, label
from vos.stage_runs import run_segmenting
from vos.timing import FineTuning, measure_seconds


class MovesRight:
    """The first masks, one pixel further to the right in each frame: the least that a segmenter is."""

    def start(self, frame: np.ndarray, objects: np.ndarray) -> None:
        self.scores = objects.astype(np.float32)

    def step(self, frame: np.ndarray) -> np.ndarray:
        self.scores = np.roll(self.scores, 1, axis=2)
        return self.scores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames and first mask of a video of two objects, as files."""
    video = Squares(objects=2, length=3)
    (tmp_path / "frames").mkdir()
    for index in range(3):
        Image.fromarray(video.frame(index)).save(tmp_path / "frames" / f"{index:03d}.png")
    write_mask(tmp_path / "first.png", video.mask(0))
    return tmp_path


def test_scores_of_any_segmenter_become_masks_of_ids() -> None:
    video = Squares(objects=2, length=4, void=True)
    segmenter = MovesRight()
    assert isinstance(segmenter, Segmenter)
    masks = list(segment_video(video, segmenter))
    first = np.where(video.mask(0) == 255, 0, video.mask(0))
    assert len(masks) == 4
    assert all(np.array_equal(mask, np.roll(first, index, axis=1)) for index, mask in enumerate(masks))


def test_a_segmenter_takes_one_video_after_the_other() -> None:
    segmenter = MovesRight()
    runs = [np.stack(list(segment_video(Squares(), segmenter))) for _ in range(2)]
    assert np.array_equal(*runs)


def test_masks_are_written_under_the_names_of_their_frames(tmp_path: Path) -> None:
    video, said = Squares(objects=2, length=3), []
    inputs = {"config": None, "needs": {}, "data": {"video": video}}
    task = Task(folder=tmp_path, scratch=tmp_path, progress=lambda share, text: said.append((share, text)), **inputs)
    run_segmenting(task, lambda part: None, lambda networks, _: MovesRight())
    files = sorted((tmp_path / "masks").iterdir())
    assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
    assert np.array_equal(read_mask(files[2]), np.roll(video.mask(0), 2, axis=1))
    assert said == [(1 / 3, "00000"), (2 / 3, "00001"), (1.0, "00002")]


def test_the_highest_score_above_a_half_wins() -> None:
    scores = np.array([[[0.9, 0.4, 0.6]], [[0.8, 0.3, 0.7]]], np.float32)
    assert label(scores, (3, 5)).tolist() == [[3, 0, 5]]
    assert exclusive(scores).tolist() == [[[True, False, False]], [[False, False, True]]]


def test_maps_are_placed_in_their_box_only() -> None:
    result = Box(1, 2, 3, 6).placed(np.ones((1, 4, 4), np.float32), np.zeros((5, 8)))
    assert result.sum() == 8
    assert result[0, 1:3, 2:6].all()


def test_a_folder_of_frames_and_a_mask_are_a_video(folder: Path) -> None:
    video, expected = FolderVideo(folder / "frames", folder / "first.png"), Squares(objects=2, length=3)
    assert isinstance(video, Video)
    assert (len(video), video.object_ids, video.frame_name(2)) == (3, (1, 2), "002")
    assert np.array_equal(video.frame(1), expected.frame(1))
    assert np.array_equal(video.mask(0), expected.mask(0))
    assert len(list(segment_video(video, MovesRight()))) == 3
    assert video.prompts == {0: (1, 2)}
    with pytest.raises(LookupError, match="only frames in which objects appear"):
        video.mask(1)


def test_a_folder_may_have_masks_of_later_objects(folder: Path) -> None:
    later = np.where(Squares().mask(2) == 1, 7, Squares(objects=2).mask(2))
    write_mask(folder / "later.png", later)
    video = FolderVideo(folder / "frames", folder / "first.png", {"002": folder / "later.png"})
    assert (video.object_ids, video.prompts) == ((1, 2, 7), {0: (1, 2), 2: (7,)})
    assert np.array_equal(video.mask(2), np.where(later == 7, 7, 0))
    masks = list(segment_video(video, MovesRight(), lambda start: MovesRight()))
    assert [set(np.unique(mask)) for mask in masks] == [{0, 1, 2}, {0, 1, 2}, {0, 1, 2, 7}]
    for name, text in (("003", "no frame 003"), ("001", "no object found but those of earlier masks")):
        with pytest.raises(DataError, match=text):
            FolderVideo(folder / "frames", folder / "first.png", {name: folder / "first.png"})


def test_a_black_and_white_mask_is_one_object(folder: Path) -> None:
    Image.fromarray(np.uint8(255) * (Squares().mask(0) != 0)).save(folder / "first.png")
    video = FolderVideo(folder / "frames", folder / "first.png")
    assert video.object_ids == (1,)
    assert np.array_equal(video.mask(0), Squares().mask(0))


def test_a_folder_that_is_no_video_is_named(folder: Path) -> None:
    for size, text in (((60, 80), "no object found"), ((60, 81), "81×60, but the frames are 80×60")):
        write_mask(folder / "bad.png", np.full(size, size[1] - 80, np.uint8))
        with pytest.raises(DataError, match=text):
            FolderVideo(folder / "frames", folder / "bad.png")
    with pytest.raises(DataError, match="none: cannot be listed"):
        FolderVideo(folder / "none", folder / "first.png")


def test_timing_scales_fine_tuning_up_or_runs_all_of_it() -> None:
    for scale_up, steps in ((True, [1, 5, 5]), (False, [1, 40, 20])):
        taken: list[int] = []
        parts = [FineTuning(40, taken.append), FineTuning(20, taken.append)]
        timing = TimingConfig(mean_frames=10)
        result = measure_seconds(Squares(), MovesRight(), timing, "cpu", parts, scale_up=scale_up)
        assert taken == steps
        one_shot = result["one_shot_seconds_per_video"]
        assert one_shot > 0
        assert result["seconds_per_frame"] == pytest.approx(result["inference_seconds_per_frame"] + one_shot / 10)


def test_networks_need_neither_ray_nor_mlflow() -> None:
    modules = [
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for top in ("vos", "dipnet", "rivals")
        for path in sorted((ROOT / top).glob("*.py"))
    ]
    program = (
        "import sys, importlib; sys.modules.update(dict.fromkeys(('ray', 'mlflow')));"
        f"[importlib.import_module(name) for name in {modules}]"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
