"""The scores against frozen official values: the fixture's, and those of published masks on the real DAVIS 2016."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.pixels import read_mask
from harness.score import score_sequence, total
from harness.score.measures import COUNTS
from harness.score.tables import object_rows

BESIDE = Path(__file__).parents[2] / "shared"
DATA = Path(os.environ.get("VOS_DATA", BESIDE / "data"))
FIXTURE = DATA.parent / "fixtures" / "score"
STATISTICS = ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay")

needs_fixture = pytest.mark.skipif(not FIXTURE.is_dir(), reason=f"{FIXTURE} is not there; set VOS_DATA to use it")
needs_data = pytest.mark.skipif(
    not (DATA / "results").is_dir(), reason=f"{DATA / 'results'} is not there; set VOS_DATA to use real data"
)


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def score_fixture(name, frames):
    def masks(side):
        return [read_mask(FIXTURE / side / name / f"{frame}.png") for frame in frames]

    truth = sorted((FIXTURE / "gt" / name).glob("*.png"))
    ids = np.unique(read_mask(truth[0])).tolist()
    return score_sequence(masks("gt"), masks("pred"), ids, name=name, frames=frames)


@needs_fixture
@pytest.mark.parametrize("name", ["fx_swap", "fx_empty", "fx_border", "fx_full"])
def test_fixture_values_of_every_frame_equal_the_official_ones(name):
    expected = [row for row in read_rows(FIXTURE / "expected_frames.csv") if row["sequence"] == name]
    frames = sorted({row["frame"] for row in expected})
    scores = score_fixture(name, frames)
    assert len(expected) == scores.J.size
    for row in expected:
        place = scores.object_ids.index(int(row["object"])), frames.index(row["frame"])
        assert dict(zip(COUNTS, scores.counts[place].tolist(), strict=True)) == {key: int(row[key]) for key in COUNTS}
        assert (scores.J[place], scores.F[place]) == (float(row["J"]), float(row["F"]))


@needs_fixture
def test_fixture_statistics_of_every_object_equal_the_official_ones():
    expected = {(row["sequence"], row["object"]): row for row in read_rows(FIXTURE / "expected_stats.csv")}
    scored = []
    for name in ("fx_swap", "fx_empty", "fx_border", "fx_full"):
        frames = [path.stem for path in sorted((FIXTURE / "gt" / name).glob("*.png"))]
        scored.append(score_fixture(name, frames[1:-1]))
    rows = {(one.name, str(i)): row for one in scored for i, row in zip(one.object_ids, object_rows(one), strict=True)}
    rows["GLOBAL", ""] = total(scored, "objects")
    for key, row in expected.items():
        found = rows[key if key in rows else ("GLOBAL", "")]
        assert [found[name] for name in STATISTICS] == pytest.approx(
            [float(row[name]) for name in STATISTICS], abs=1e-9
        )
    assert len(expected) == len(rows)


@needs_data
@pytest.mark.real_data
@pytest.mark.parametrize("method", ["osvos", "rgmp"])
def test_published_davis16_masks_get_the_official_values(method):
    official = json.loads((DATA / "official" / f"davis2016_val_per_frame_{method}.json").read_text())
    scored = []
    for name in sorted(set(official) - {"id"}):
        truth = sorted((DATA / "DAVIS" / "Annotations" / "480p" / name).glob("*.png"))
        truth = truth[1:-1]
        predicted = [DATA / "results" / method / name / path.name for path in truth]
        scores = score_sequence(map(read_mask, truth), map(read_mask, predicted), (1,), name=name, values="binary")
        scored.append(scores)
        for measure in ("J", "F"):
            assert [f"{value:.3f}" for value in getattr(scores, measure)[0]] == official[name][measure]
    site = {row["method"]: row for row in read_rows(DATA / "official" / "davis2016_val.csv")}[method]
    found = total(scored, "sequences")
    assert {key: f"{found[key]:.3f}" for key in STATISTICS} == {key: site[key.replace("_", "")] for key in STATISTICS}
