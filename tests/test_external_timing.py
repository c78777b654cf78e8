"""Seconds per frame of a command: from the lines that it prints, or of the whole process, and labeled as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.datasets import Sequence
from harness.external.protocol import Reports, timing
from tests.external import make_video


@pytest.fixture
def video(tmp_path: Path) -> Sequence:
    return make_video(tmp_path / "data", frames=5)


def timed(video: Sequence, *lines: tuple[str, float]) -> dict[str, Any]:
    reports = Reports([video], lambda share, message: None)
    for line, when in lines:
        reports.take(line, when)
    return timing(video, reports, 60.0)


def frames(*times: float, begin: int = 0) -> list[tuple[str, float]]:
    return [(f"harness-frame dogs {index:05d}", when) for index, when in enumerate(times, start=begin)]


def test_the_first_frame_and_one_to_warm_up_do_not_count(video: Sequence) -> None:
    found = timed(video, *frames(10.0, 15.0, 16.0, 17.5, 18.0))
    assert (found["seconds_per_frame"], found["measured"]) == (1.0, "frames")


def test_the_line_of_the_first_frame_may_be_missing(video: Sequence) -> None:
    assert timed(video, *frames(15.0, 16.0, 17.5, 18.0, begin=1))["seconds_per_frame"] == 1.0


def test_a_reported_initialization_is_spread_over_the_frames(video: Sequence) -> None:
    found = timed(video, ("harness-start dogs", 5.0), *frames(10.0, 15.0, 16.0, 17.5, 18.0))
    assert (found["seconds_per_frame"], found["one_shot_seconds_per_video"]) == (2.0, 5.0)
    assert found["inference_seconds_per_frame"] == 1.0


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no frame was reported"),
        (frames(1, 2, 3), "2 of 4 frames were reported"),
        (frames(1.0, 2.0, 2.0, 2.0, 2.0), "lines came many at a time; flush each"),
        (frames(1, 2, 3, 4, 5)[::-1], "the frames were not reported in time order"),
        ([("harness-frame dogs 1", 1.0)], "no frame was reported, but 'harness-frame dogs 1', which names none"),
        ([("frame dogs 00001", 1.0)], "no frame was reported"),
    ],
)
def test_without_usable_lines_the_whole_process_counts(
    video: Sequence, lines: list[tuple[str, float]], reason: str
) -> None:
    found = timed(video, *lines)
    assert (found["seconds_per_frame"], found["measured"], found["reason"]) == (12.0, "process", reason)


def test_a_short_video_is_timed_by_the_whole_process(tmp_path: Path) -> None:
    found = timed(make_video(tmp_path / "short", frames=2), *frames(1, 2))
    assert (found["seconds_per_frame"], found["measured"]) == (30.0, "process")
