"""Measures, their statistics and means, and the rows that are written."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from harness.datasets import load_protocols
from harness.datasets.protocol import DAVIS
from harness.errors import DataError, StudyError
from harness.score import (
    Rules,
    SequenceScores,
    boundary_measure,
    over_length,
    read_attributes,
    region_similarity,
    rules_of,
    score_sequence,
    total,
    write_scores,
)
from harness.score.measures import (
    MEASURES,
    Measure,
    decay,
    decay_edges,
    deviation,
    disappearances,
    last_quarter,
    reappearances,
    recall,
)


def scores_of(name, region, group=""):
    """Scores with these J (objects × frames) and F one half of them."""
    region = np.array(region, float)
    objects, frames = region.shape
    return SequenceScores(
        name=name,
        object_ids=tuple(range(1, objects + 1)),
        frames=tuple(f"{frame:05d}" for frame in range(1, frames + 1)),
        counts=np.zeros((objects, frames, 6), np.int64),
        J=region,
        F=region / 2,
        group=group,
    )


def square(y, x, index=1, shape=(40, 60)):
    mask = np.zeros(shape, np.uint8)
    mask[y : y + 10, x : x + 10] = index
    return mask


@pytest.mark.parametrize(
    ("counts", "region", "boundary"),
    [
        ((0, 0, 0, 0, 0, 0), 1.0, 1.0),  # both empty
        ((0, 9, 8, 0, 0, 0), 0.0, 0.0),  # one empty
        ((9, 36, 8, 0, 0, 0), 0.25, 0.0),  # the truth is full: it has no boundary
        ((0, 20, 8, 8, 0, 0), 0.0, 0.0),  # nothing matches
        ((10, 20, 8, 4, 4, 4), 0.5, 2 * 0.5 * 1.0 / 1.5),
    ],
)
def test_empty_masks_and_boundaries_score_by_the_official_rules(counts, region, boundary):
    assert region_similarity(np.array(counts)) == region
    assert boundary_measure(np.array(counts)) == boundary


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 8, 11, 48, 254, 255, 256])
def test_decay_bins_are_the_official_ones_up_to_where_those_overflow(frames):
    official = (np.round(np.linspace(1, frames, 5) + 1e-10) - 1).astype(np.uint8)
    assert decay_edges(frames) == official.tolist()


def test_decay_of_a_long_video_is_the_first_quarter_minus_the_last():
    values = np.repeat([1.0, 0.75, 0.5, 0.25], 250)
    assert decay(values) == pytest.approx(0.75, abs=0.01)


def test_recall_counts_frames_strictly_above_one_half():
    assert recall(np.array([0.5, 0.5 + 1e-12, 1.0, 0.0])) == 0.5


def test_no_frame_has_no_statistics():
    with pytest.raises(DataError, match="no frame"):
        total([scores_of("dog", [[]])], "objects")


def test_a_gap_in_the_ids_counts_as_an_object_that_is_empty():
    frame = square(5, 5, 1) + square(20, 30, 3)
    scores = score_sequence([frame], [frame], (1, 3))
    assert scores.object_ids == (1, 2, 3)
    assert scores.J.tolist() == scores.F.tolist() == [[1.0], [1.0], [1.0]]


def test_an_object_that_the_prediction_lacks_scores_as_empty():
    truth = square(5, 5, 1) + square(20, 30, 2)
    assert score_sequence([truth], [square(5, 5, 1)], (1, 2)).J.tolist() == [[1.0], [0.0]]


def test_truth_ids_that_the_first_frame_lacks_are_background():
    assert score_sequence([square(5, 5, 1) + square(20, 30, 2)], [square(5, 5, 1)], (1,)).J.tolist() == [[1.0]]


def test_void_truth_counts_as_background():
    truth = square(5, 5, 1) + square(20, 30, 255)
    wrong = square(5, 5, 1) + square(20, 30, 1)
    assert score_sequence([truth], [wrong], (1,)).J.tolist() == [[0.5]]
    assert score_sequence([truth], [wrong], (1,), values="foreground").J.tolist() == [[0.5]]


@pytest.mark.parametrize("stored", [1, 255, 38])
def test_binary_masks_may_be_stored_with_any_value(stored):
    for values in ("binary", "foreground"):
        assert score_sequence([square(5, 5)], [square(5, 5, stored)], (1,), values=values).F.tolist() == [[1.0]]


def test_a_predicted_id_above_the_highest_is_an_error_with_the_frame():
    with pytest.raises(DataError, match=r"dog/00007.* id 3.* up to 2"):
        score_sequence([square(0, 0, 2)], [square(0, 0, 3)], (1, 2), name="dog", frames=["00007"])


def test_masks_of_other_sizes_are_an_error_that_names_both():
    with pytest.raises(DataError, match=r"60×20.* 60×40"):
        score_sequence([square(0, 0)], [square(0, 0, shape=(20, 60))], (1,))


@pytest.mark.parametrize("lengths", [(1, 2), (2, 1)])
def test_a_frame_that_only_one_side_has_is_an_error(lengths):
    truth, prediction = ([square(0, 0)] * length for length in lengths)
    with pytest.raises(DataError, match="differ in length"):
        score_sequence(truth, prediction, (1,))


@pytest.mark.parametrize(("ids", "frames", "message"), [((), 1, "no object"), ((1,), 0, "no frame")])
def test_nothing_to_score_is_an_error(ids, frames, message):
    with pytest.raises(DataError, match=message):
        score_sequence([square(0, 0)] * frames, [square(0, 0)] * frames, ids)


@pytest.mark.parametrize(
    ("averaging", "mean"), [("objects", 4 / 7), ("sequences", (1 + 0.25 + 0.25 + 1) / 4), ("classes", (1 + 0.25) / 2)]
)
def test_the_total_is_the_mean_over_what_the_protocol_says(averaging, mean):
    scores = [
        scores_of("a", [[1.0]], "x"),
        scores_of("b", [[0.0], [0.5]], "y"),
        scores_of("c", [[0.0], [0.5]], "y"),
        scores_of("d", [[1.0], [1.0]], "x"),
    ]
    assert total(scores, averaging)["J_mean"] == pytest.approx(mean)


def test_jf_is_the_mean_of_the_two_means():
    assert total([scores_of("a", [[0.8, 0.4]])], "objects")["JF_mean"] == pytest.approx((0.6 + 0.3) / 2)


def test_written_numbers_are_read_back_exactly(tmp_path):
    values = np.random.default_rng(0).random((2, 7))
    scores = scores_of("dog", values)
    result = write_scores(tmp_path / "new" / "folder", [scores], "objects")
    files = tmp_path / "new" / "folder"
    assert json.loads((files / "total.json").read_text()) == result
    assert list(result) == list(DAVIS)
    with (files / "frames.csv").open(newline="") as file:
        frames = list(csv.DictReader(file))
    assert [float(row["J"]) for row in frames] == values.ravel().tolist()
    assert list(frames[0]) == ["sequence", "object", "frame", "J", "F"]
    with (files / "objects.csv").open(newline="") as file:
        objects = list(csv.DictReader(file))
    assert list(objects[0]) == ["sequence", "object", *(name for name in DAVIS if name != "JF_mean")]
    assert [float(row["J_mean"]) for row in objects] == values.mean(axis=1).tolist()


def test_an_added_measure_of_a_benchmark_is_in_every_score_file(tmp_path, monkeypatch):
    worst = Measure(name="J_worst", title="worst J", source="J", statistic=lambda values: float(values.min()))
    monkeypatch.setitem(MEASURES, worst.name, worst)
    result = write_scores(tmp_path, [scores_of("dog", [[0.25, 0.75], [0.5, 1.0]])], "objects", (*DAVIS, "J_worst"))
    assert result["J_worst"] == json.loads((tmp_path / "total.json").read_text())["J_worst"] == 0.375
    for name, expected in (("objects.csv", ["0.25", "0.5"]), ("sequences.csv", ["0.375"])):
        with (tmp_path / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["J_worst"] for row in rows] == expected
        assert float(rows[0]["F_mean"]) == float(rows[0]["J_mean"]) / 2


def test_a_sequence_without_scores_has_a_reason_and_no_total(tmp_path):
    assert write_scores(tmp_path, [scores_of("dog", [[1.0]])], "objects", problems={"cat": "mask missing"}) == {}
    with (tmp_path / "sequences.csv").open(newline="") as file:
        rows = {row["sequence"]: row for row in csv.DictReader(file)}
    assert (rows["cat"]["problem"], rows["cat"]["J_mean"]) == ("mask missing", "")
    assert (rows["dog"]["problem"], rows["dog"]["J_mean"]) == ("", "1.0")
    whole = json.loads((tmp_path / "total.json").read_text())
    assert whole["J_mean"] is None
    assert "cat" in whole["problem"]


def test_the_curve_over_the_length_weighs_short_and_long_videos_alike():
    curve = over_length([scores_of("long", [[1.0] * 30 + [0.0] * 30]), scores_of("short", [[1.0, 0.0, 0.0, 0.0]])], "J")
    assert curve.shape == (100,)
    assert curve[:25] == pytest.approx(1.0)
    assert curve[25:50] == pytest.approx(0.5)
    assert curve[50:] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("frames", [1, 3, 99, 101, 257])
def test_the_mean_of_the_curve_is_the_mean_over_the_frames(frames):
    values = np.random.default_rng(frames).random((1, frames))
    assert over_length([scores_of("a", values)], "J").mean() == pytest.approx(values.mean())
    assert over_length([scores_of("a", values)], "JF").mean() == pytest.approx(0.75 * values.mean())


def test_attributes_are_read_by_sequence(tmp_path):
    path = tmp_path / "db_info.yml"
    path.write_text("sequences:\n- {name: a, attributes: [FM, OCC]}\n- {name: b, attributes: [OCC]}\n")
    assert read_attributes(path) == {"a": ("FM", "OCC"), "b": ("OCC",)}


@pytest.mark.parametrize(
    "text", ["", "sequences: {}", "sequences: [{name: a}]", "a: [", "sequences: [{attributes: []}]"]
)
def test_a_file_of_attributes_that_is_not_one_is_an_error_that_names_it(tmp_path, text):
    path = tmp_path / "db_info.yml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"db_info\.yml"):
        read_attributes(path)


def test_clips_begin_where_the_truth_loses_or_regains_the_object():
    visible = np.array([1, 1, 0, 0, 1, 0], bool)
    assert disappearances(visible) == [slice(2, 4), slice(5, 6)]
    assert reappearances(visible) == [slice(4, 5)]
    assert (disappearances(~visible), reappearances(~visible)) == ([slice(4, 5)], [slice(2, 4), slice(5, 6)])
    assert disappearances(np.ones(3, bool)) == reappearances(np.zeros(3, bool)) == []


def test_the_last_quarter_begins_at_three_quarters_rounded_down():
    assert last_quarter(np.array([0, 0, 0, 0.5, 1.0])) == 0.75
    assert last_quarter(np.array([0.3])) == 0.3


def test_the_deviation_comes_from_a_rounded_variance():
    assert deviation(np.array([0.2, 0.6])) == 0.2
    assert deviation(np.array([0.5, 0.51])) == 0.0  # a variance of 0.000025


@pytest.mark.parametrize(
    ("counting", "ids", "frames"),
    [
        ("first-frame", (1, 2, 3), [5, 5, 5]),
        ("all-frames", (1, 3), [5, 5]),
        ("after-first-mask", (1, 3), [5, 2]),
        ("since-shown", (1, 3), [4, 3]),
    ],
)
def test_each_rule_counts_its_objects_and_frames(counting, ids, frames):
    """Object 1 hides in the first scored frame; 3 is predicted in the third one, and first shown in the next."""
    truth = [square(0, 0, 0), *(square(0, 0) for _ in range(4))]
    prediction = [mask.copy() for mask in truth]
    for index in (2, 3, 4):
        truth[index][20:30, 20:30] = 3 if index > 2 else 0
        prediction[index][20:30, 20:30] = 3
    rules = Rules(counting=counting)
    starts = (-1, 2)
    scores = score_sequence(truth, prediction, (1, 3), rules=rules, starts=starts)
    assert scores.object_ids == ids
    assert [len(values) for values in scores.values("J")] == frames
    assert [len(scores.frames_of(row)) for row in range(len(ids))] == frames


def test_an_object_without_a_frame_that_counts_is_left_out():
    truth = [square(0, 0), square(0, 0) + square(20, 20, 2)]
    rules = Rules(counting="after-first-mask", measures=("J_mean",))
    scores = score_sequence(truth, truth, (1, 2), rules=rules, starts=(-1, 1), categories=("seen", "unseen"))
    assert (scores.object_ids, scores.categories) == ((1,), ("seen",))
    with pytest.raises(DataError, match="last frame"):
        score_sequence([0 * truth[0], truth[0]], [0 * truth[0], truth[0]], (1,), rules=rules, starts=(1,))


def test_g_is_the_mean_of_four_and_missing_without_unseen_objects(tmp_path):
    names = ("G", "J_seen", "J_unseen")
    seen = replace(scores_of("a", [[0.8], [0.4]]), categories=("seen", "seen"))
    unseen = replace(scores_of("b", [[0.2]]), categories=("unseen",))
    found = total([seen, unseen], "objects", names)
    assert found == pytest.approx({"G": (0.6 + 0.3 + 0.2 + 0.1) / 4, "J_seen": 0.6, "J_unseen": 0.2})
    assert write_scores(tmp_path, [seen], "objects", names) == pytest.approx({"J_seen": 0.6})
    assert json.loads((tmp_path / "total.json").read_text()) == pytest.approx(
        {"G": None, "J_seen": 0.6, "J_unseen": None}
    )
    with (tmp_path / "sequences.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (float(row["G"]), row["J_unseen"]) == (pytest.approx(0.45), "")


def test_a_measure_that_does_not_exist_is_a_named_error():
    protocol = load_protocols()["davis17-val"].model_copy(update={"measures": ("J_maen",)})
    with pytest.raises(StudyError, match=r"davis17-val: measures: 'J_maen' found; allowed: J_mean"):
        rules_of(protocol)
