"""Objects that appear later: parts of a sequence, the segmentation loop, and the stages of methods."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import Config
from harness.datasets import write_mask
from harness.datasets.part import Part, given_masks, parts_of, timed_video
from harness.method import CellRequest
from harness.stage import Data, Stage, Task
from tests.late import LateSquares, late_sequence
from tests.videos import Squares
from vos.parts import by_part, joined, part_task
from vos.segment import segment_video


class Recorded:
    """Keeps its masks where they were given, with one score for all, and notes each call."""

    def __init__(self, calls: list[tuple[object, ...]], name: object, score: float = 0.9) -> None:
        self.calls, self.name, self.score = calls, name, score

    def start(self, frame: np.ndarray, objects: np.ndarray) -> None:
        self.calls.append((self.name, "start", int(frame.sum()), len(objects)))
        self.scores = self.score * objects.astype(np.float32)

    def step(self, frame: np.ndarray) -> np.ndarray:
        self.calls.append((self.name, "step", int(frame.sum())))
        return self.scores


def request_of(*videos: object) -> CellRequest:
    names = [getattr(video, "name", f"video{number}") for number, video in enumerate(videos)]
    data = {name: Data(name=f"set/{name}", digest=name, value=video) for name, video in zip(names, videos, strict=True)}
    return CellRequest(config=Config(), sequences=data, multi_object=True, training={}, missing={})


def test_a_part_is_the_video_from_a_frame_on_with_its_objects_only(tmp_path: Path) -> None:
    video = late_sequence(tmp_path / "video", (0, 2, 2))
    first, second = parts_of(video).values()
    assert [first.name, second.name] == ["late", "late-from-00010"]
    assert (len(first), len(second), second.object_ids, second.prompts) == (5, 3, (2, 3), {0: (2, 3)})
    assert second.frame_name(1) == "00015"
    assert np.array_equal(second.frame(1), video.frame(3))
    assert set(np.unique(second.mask(0))) == {0, 2, 3}
    assert np.array_equal(second.mask(1), np.where(video.mask(3) > 1, video.mask(3), 0))
    assert pickle.loads(pickle.dumps(second)) == second  # noqa: S301  bytes of ours
    masks = given_masks(video)
    assert [(index, set(np.unique(mask))) for index, mask in masks.items()] == [(0, {0, 1}), (2, {0, 2, 3})]


def test_void_is_background_in_what_a_method_is_given(tmp_path: Path) -> None:
    video = late_sequence(tmp_path / "video")
    (file,) = video.files_of_mask(2)
    mask = video.mask(2)
    mask[:4] = 255
    write_mask(file, mask)
    assert set(np.unique(video.mask(2))) == {0, 1, 2, 255}
    assert set(np.unique(Part(whole=video, start=2).mask(0))) == {0, 2}


def test_each_part_is_segmented_from_its_start_in_one_pass_over_the_frames() -> None:
    video = LateSquares(length=5, objects=3, starts=(0, 3, 0))
    calls: list[tuple[object, ...]] = []
    masks = list(segment_video(video, Recorded(calls, "first"), lambda start: Recorded(calls, f"from {start}")))
    sums = [int(video.frame(index).sum()) for index in range(5)]
    assert calls == [
        ("first", "start", sums[0], 2),
        ("first", "step", sums[1]),
        ("first", "step", sums[2]),
        ("first", "step", sums[3]),
        ("from 3", "start", sums[3], 1),
        ("first", "step", sums[4]),
        ("from 3", "step", sums[4]),
    ]
    assert [set(np.unique(mask)) for mask in masks] == [{0, 1, 3}] * 3 + [{0, 1, 2, 3}] * 2
    assert np.array_equal(masks[3] == 2, video.mask(3) == 2)


def test_each_frame_is_decoded_once() -> None:
    read: list[int] = []

    class Counted(LateSquares):
        def frame(self, index: int) -> np.ndarray:
            read.append(index)
            return super().frame(index)

    list(segment_video(Counted(), Recorded([], "first"), lambda start: Recorded([], "later")))
    assert read == list(range(6))


def test_a_given_mask_covers_and_later_the_highest_score_wins() -> None:
    class Same(LateSquares):
        def drawn(self, index: int) -> np.ndarray:  # both objects in one place, the second one from frame 2 on
            return np.minimum(Squares(length=6).drawn(0) * 2, 1 if index < 2 else 2).astype(np.uint8)

    for score, winner in ((0.95, 2), (0.85, 1), (0.4, 1)):
        masks = list(segment_video(Same(), Recorded([], "first"), partial(Recorded, [], score=score)))
        assert [int(mask.max()) for mask in masks] == [1, 1, 2, winner, winner, winner]


class Table:
    """Scores that are known before: of each object in each frame of the video."""

    def __init__(self, scores: np.ndarray, start: int) -> None:
        self.scores, self.index = scores, start

    def start(self, frame: np.ndarray, objects: np.ndarray) -> None:
        assert len(objects) == len(self.scores)

    def step(self, frame: np.ndarray) -> np.ndarray:
        self.index += 1
        return self.scores[:, self.index]


@settings(max_examples=40, deadline=None)
@given(starts=st.lists(st.integers(0, 3), min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_each_pixel_is_of_the_highest_score_of_the_objects_that_are_there(starts: list[int], seed: int) -> None:
    starts = [0, *starts]
    rng = np.random.default_rng(seed)
    scores = rng.permutation(len(starts) * 4 * 60 * 80).reshape(-1, 4, 60, 80).astype(np.float32)
    scores /= scores.max()
    video = LateSquares(length=4, objects=len(starts), starts=tuple(starts))

    def make(start: int) -> Table:
        return Table(scores[[start == one for one in starts]], start)

    for index, found in enumerate(segment_video(video, make(0), make)):
        new = np.isin(video.mask(index), [i for i, start in enumerate(starts, 1) if start == index])
        given = np.where([[[start < index]] for start in starts], scores[:, index], 0)
        best = np.where(given.max(0) > 0.5, given.argmax(0) + 1, 0)
        assert np.array_equal(found, np.where(new, video.mask(index), best))


def test_without_late_objects_the_loop_gives_the_same() -> None:
    for starts in ((0, 0), None):
        video = LateSquares(starts=starts) if starts else Squares(objects=2)
        first = video.mask(0)
        assert all(np.array_equal(mask, first) for mask in segment_video(video, Recorded([], "only")))


def test_late_objects_need_segmenters_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"objects start in the frames \[0, 2\]"):
        next(segment_video(LateSquares(), Recorded([], "only")))


def test_a_video_without_late_objects_is_its_only_part() -> None:
    request = request_of(Squares())
    assert by_part(request) == request
    stage = Stage(name="train", label="", run="tests.late:late_sequence", config=Config())
    assert joined(request, {"video0": {"network": stage}}) == {"video0": {"network": stage}}
    task = Task(folder=Path(), scratch=Path(), config=None, needs={"network": Path("a")}, data={"video": Squares()})
    assert part_task(task, 0) is task


def test_stages_are_planned_for_each_part(tmp_path: Path) -> None:
    video = late_sequence(tmp_path / "video", (0, 2, 4))
    request = request_of(Squares(), video)
    parts = by_part(request).sequences
    assert [*parts] == ["video0", "late", "late-from-00010", "late-from-00020"]
    assert len({data.digest for data in parts.values()} | {"late"}) == 5
    assert [data.name for data in parts.values()][2:] == ["set/late-from-00010", "set/late-from-00020"]
    stages = {
        name: {"network": Stage(name="finetune", label=name, run="tests.late:late_sequence", config=Config())}
        for name in parts
    }
    needs = joined(request, stages)["late"]
    assert {role: stage.label for role, stage in needs.items()} == {
        "network": "late",
        "network@2": "late-from-00010",
        "network@4": "late-from-00020",
    }
    folders = {role: Path(stage.label) for role, stage in needs.items()}
    task = Task(folder=tmp_path, scratch=tmp_path, config=None, needs=folders, data={"video": video})
    for start, name in ((0, "late"), (2, "late-from-00010"), (4, "late-from-00020")):
        part = part_task(task, start)
        assert part.needs == {"network": Path(name)}
        assert part.data["video"].name == name


def test_videos_without_late_objects_are_timed_if_there_are_any() -> None:
    late, short, long = LateSquares(length=7), Squares(length=4), Squares(length=9)
    assert timed_video({"a": late, "b": late, "c": short}) == "c"
    assert timed_video({"a": late, "b": long, "c": short}) == "b"
    assert timed_video({"a": LateSquares(length=9), "b": late}) == "a"
