"""Scores of made masks against the values of the published evaluators of other benchmarks (tests/golden/score).

The repository and commit of each are in the file. They ran with NumPy 2.4, OpenCV 5.0 and scikit-image 0.26, LVOS's
with its one-element arrays turned into numbers, which NumPy 2.4 no longer does itself. The server of YouTube-VOS is not
public: visionml/pytracking's evaluation of a split of its training set is compared instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.score import Rules, SequenceScores, score_sequence, total
from harness.score.tables import object_rows
from tests.score_cases import ALL_FROM_START, made_videos

OFFICIAL = json.loads((Path(__file__).parent / "golden" / "score" / "official.json").read_text("utf-8"))
VIDEOS = {video.name: video for video in made_videos()}
LVOS = ("G", "J_seen", "J_unseen", "F_seen", "F_unseen", "V")
MOSE = ("JFa_mean", "Js_mean", "Fa_mean", "JFa_disappear", "JFa_reappear")


def scores_of(name: str, rules: Rules) -> SequenceScores:
    """Score the frames between the first and the last, as all of these evaluators do."""
    video = VIDEOS[name]
    ids, starts = zip(*video.starts.items(), strict=True)
    return score_sequence(
        video.truth[1:-1],
        video.prediction[1:-1],
        ids,
        name=name,
        frames=video.frames[1:-1],
        rules=rules,
        starts=[start - 1 for start in starts],
        categories=(video.category,) * len(ids),
    )


def rows_of(evaluator: str, rules: Rules) -> list[tuple[dict[str, float], list[float | None]]]:
    """Return our measures of each object that the evaluator scores, with its values; both score the same objects."""
    found: list[tuple[dict[str, float], list[float | None]]] = []
    for name, objects in OFFICIAL[evaluator]["values"].items():
        ours = scores_of(name, rules)
        assert [str(number) for number in ours.object_ids] == list(objects)
        found += zip(object_rows(ours, rules.measures), objects.values(), strict=True)
    assert len(found) > 7
    return found


@pytest.mark.parametrize("evaluator", ["vos-benchmark", "sa-v"])
def test_objects_count_since_they_are_shown_as_in_sa_v(evaluator: str) -> None:
    for ours, official in rows_of(evaluator, Rules(counting="since-shown")):
        assert [100 * ours["J_mean"], 100 * ours["F_mean"]] == pytest.approx(official, rel=1e-14)


def test_objects_count_after_their_first_mask_as_in_lvos() -> None:
    rules = Rules(counting="after-first-mask", measures=("V_seen", "V_unseen", "J_mean", "F_mean"))
    for ours, official in rows_of("lvos", rules):
        deviation = np.nansum([ours["V_seen"], ours["V_unseen"]])
        assert [ours["J_mean"], ours["F_mean"], deviation] == pytest.approx(official, rel=1e-14)


def test_seen_unseen_and_overall_means_are_those_of_lvos() -> None:
    rules = Rules(counting="after-first-mask", measures=LVOS)
    scores = [scores_of(name, rules) for name in OFFICIAL["lvos"]["values"]]
    found = total(scores, "objects", LVOS)
    assert found == pytest.approx({name: OFFICIAL["lvos"]["total"][name] for name in LVOS}, rel=1e-14)


def test_objects_count_after_their_first_mask_as_in_pytracking() -> None:
    for ours, official in rows_of("pytracking", Rules(counting="after-first-mask")):
        assert [ours["J_mean"], ours["F_mean"]] == pytest.approx(official, rel=1e-7)  # it sums in single precision


def test_adaptive_boundaries_and_clips_are_those_of_mose_v2() -> None:
    names = ("Js_mean", "Fa_mean", "Js_disappear", "Fa_disappear", "Js_reappear", "Fa_reappear")
    for ours, official in rows_of("mose-v2", Rules(counting="all-frames", measures=names)):
        expected = [np.nan if value is None else value for place, value in enumerate(official) if place != 2]
        assert [ours[name] for name in names] == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_means_over_objects_and_clips_are_those_of_mose_v2() -> None:
    rules = Rules(counting="all-frames", measures=MOSE)
    found = total([scores_of(name, rules) for name in OFFICIAL["mose-v2"]["values"]], "objects", MOSE)
    assert found == pytest.approx(OFFICIAL["mose-v2"]["total"], rel=1e-14)


def test_region_over_the_last_quarter_is_that_of_vost() -> None:
    measures = ("J_mean", "J_last")
    for ours, official in rows_of("vost", Rules(measures=measures)):
        assert list(ours.values()) == pytest.approx(official, rel=1e-14)
    found = total([scores_of(name, Rules(measures=measures)) for name in ALL_FROM_START], "objects", measures)
    assert found == pytest.approx(OFFICIAL["vost"]["total"], rel=1e-14)
