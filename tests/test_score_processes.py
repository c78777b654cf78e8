"""Several processes: the same scores and problems as one, and the death of one is reported."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import suppress

import numpy as np
import pytest

from harness.datasets import load_protocols
from harness.datasets.pixels import write_mask
from harness.score import processes
from harness.score.folders import count_frames, find_truth, find_videos
from harness.score.processes import score_all

LENGTHS = {"ant": 3, "bee": 17, "cat": 40, "dog": 9}


@pytest.fixture
def videos(tmp_path):
    rng = np.random.default_rng(0)
    for name, frames in LENGTHS.items():
        for side in ("truth", "pred"):
            (tmp_path / side / name).mkdir(parents=True)
            for frame in range(frames):
                write_mask(tmp_path / side / name / f"{frame:05d}.png", rng.integers(0, 3, (12, 16)).astype(np.uint8))
    return find_videos(find_truth(tmp_path / "truth", load_protocols()["davis17-val"]), tmp_path / "pred")[0]


@pytest.mark.parametrize("jobs", [2, 3, 50])
def test_any_number_of_processes_gives_the_scores_of_one(videos, jobs):
    alone, shared = score_all(videos)[0], score_all(videos, jobs)[0]
    assert {one.name: len(one.frames) + 2 for one in shared} == LENGTHS  # without the first and the last
    for one, other in zip(alone, shared, strict=True):
        assert (one.name, one.frames, one.object_ids) == (other.name, other.frames, other.object_ids)
        assert np.array_equal(one.counts, other.counts)


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("keep_going", [True, False])
def test_the_first_problem_is_reported_by_any_number_of_processes(videos, jobs, keep_going):
    for name, frame in (("dog", 1), ("bee", 9), ("bee", 2), ("cat", 30)):
        next(one for one in videos if one.name == name).masks[frame - 1].write_bytes(b"")
    scores, problems = score_all(videos, jobs, keep_going=keep_going)
    assert [one.name for one in scores] == ["ant"]
    assert list(problems) == (["bee", "cat", "dog"] if keep_going else ["bee"])
    assert "bee/00002.png" in problems["bee"]


def test_a_killed_process_costs_only_the_videos_that_it_held(videos, tmp_path, monkeypatch):
    def die_once(video, *rest):
        if video.name == "cat":
            with suppress(FileExistsError):
                (tmp_path / "died").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return count_frames(video, *rest)

    monkeypatch.setattr(processes, "count_frames", die_once)
    scores, problems = score_all(videos, 2)
    assert list(problems) == ["cat"]
    assert "cat: a scoring process died" in problems["cat"]
    assert [one.name for one in scores] == ["ant", "bee", "dog"]


def test_if_all_processes_are_killed_every_video_is_named(videos, monkeypatch):
    monkeypatch.setattr(processes, "count_frames", lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
    scores, problems = score_all(videos, 2)
    assert not scores
    assert list(problems) == list(LENGTHS)


def test_a_defect_of_the_scorer_is_raised_and_leaves_no_process(videos, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a defect")

    monkeypatch.setattr(processes, "count_frames", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        score_all(videos, 3)
    assert not multiprocessing.active_children()
