"""The real DAVIS 2016, if it is available."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.datasets import (
    check_sequences,
    data_kind,
    load_benchmark,
    load_protocols,
    load_training,
    load_training_sets,
    locate,
)
from harness.errors import DataError

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def root() -> Path:
    place = Path(os.environ.get("VOS_DATA") or Path(__file__).parents[2] / "shared/data")
    if not (place / "DAVIS/ImageSets/480p").is_dir():
        pytest.skip(f"no DAVIS 2016 under {place}; set VOS_DATA to the folder that holds DAVIS")
    return place


def test_davis16_has_30_and_20_sequences_and_3455_frames(root: Path) -> None:
    train, val = load_training("davis16-train", root), load_benchmark(load_protocols()["davis16-val"], root)
    assert (len(train), len(val), sum(map(len, train)), sum(map(len, val))) == (30, 20, 2079, 1376)


def test_davis16_is_the_whole_that_its_protocol_expects(root: Path) -> None:
    val, train = load_protocols()["davis16-val"], load_training_sets()["davis16-train"]
    assert locate(root, val).difference(load_benchmark(val, root)) == ""
    assert locate(root, train).difference(load_training("davis16-train", root)) == ""


def test_davis16_does_not_score_first_and_last_frame(root: Path) -> None:
    val = load_benchmark(load_protocols()["davis16-val"], root)
    assert all(one.scored == tuple(range(1, len(one) - 1)) for one in val)


def test_davis16_is_real_data(root: Path) -> None:
    assert data_kind(root) == "real"


def test_a_missing_davis17_is_named(root: Path) -> None:
    if any((root / name / "ImageSets/2017").exists() for name in ("DAVIS2017", "DAVIS17", "DAVIS-2017", "DAVIS", ".")):
        pytest.skip("DAVIS 2017 is available too")
    with pytest.raises(DataError, match="DAVIS 2017 not found"):
        load_benchmark(load_protocols()["davis17-val"], root)


def test_davis16_passes_the_checks_and_its_oddities_are_noted(root: Path) -> None:
    train, val = load_training("davis16-train", root), load_benchmark(load_protocols()["davis16-val"], root)
    odd = [one for one in (*train, *val) if one.name in {"bear", "bmx-bumps", "surf", "libby"}]
    problems = check_sequences(odd)
    assert [p for p in problems if p.severity == "error"] == []
    assert {(p.sequence, p.message.split(": ")[1]) for p in problems} == {
        ("bear", "this mask has an alpha channel, which is ignored"),
        ("bmx-bumps", "this and 13 more of the 90 masks have no object in sight"),
        ("surf", "this mask has no object in sight"),
    }
