"""A result next to a published number: what is known of the number, what differs, and what nobody can know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.results import CellResult
from reports.diff import COMPARER
from reports.diff.pair import Pair
from tests.diff_homes import pair_of, save, scored, texts
from tests.report_cells import cell, submitted

WHOLE = {f"s{index}": 0.6 + 0.01 * index for index in range(20)}
"""Scores of a whole DAVIS16 val."""


def real(variant: str, **change: Any) -> CellResult:
    change = {"data_kind": "real", "scale": "light", "method": "dipnet", "method_label": "DIPNet"} | change
    return cell(variant, 0.5, **change)


def masks_of(home: Path, value: float) -> CellResult:
    """Return OSVOS's submitted masks with the same score in every video."""
    made = scored(home, submitted("OSVOS", 0.5, data_kind="real"), dict.fromkeys(WHOLE, value))
    return replace(made, benchmark_title="DAVIS16 val")


def unknown(pair: Pair) -> set[str]:
    return {one.topic for one in pair.unknown}


def mentioned(found: Iterable[str], *parts: str) -> bool:
    return any(all(part in text for part in parts) for text in found)


def test_the_row_that_a_variant_reproduces_is_found(tmp_path: Path) -> None:
    made = [scored(tmp_path, real(variant), WHOLE) for variant in ("full", "no-crop", "osvos")]
    save(tmp_path, *made)
    found = {}
    for variant in ("full", "no-crop", "osvos"):
        (pair,) = COMPARER.compare(variant, "paper:", tmp_path).pairs
        found[variant] = (pair.second.name, pair.second.value, pair.second.facts)
    assert found == {
        "full": ("DIPNet", 0.858, ("published in DIPNet, WACV 2020, Table 1",)),
        "no-crop": ("DIPNet*", 0.836, ("published in DIPNet, WACV 2020, Table 1",)),
        "osvos": ("OSVOS", 0.798, ("published in DIPNet, WACV 2020, Table 1",)),
    }


def test_what_the_publication_does_not_say_is_not_known(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, scored(tmp_path, real("full"), WHOLE), names=("full", "paper:"))
    assert pair.difference == pytest.approx(0.858 - 0.695)
    assert unknown(pair) == {"frames", "protocol", "seeds", "training", "code", "libraries", "hardware"}
    assert pair.same == ("data", "videos", "objects")
    assert mentioned([one.text for one in pair.unknown], "published: 13.5k images")
    assert pair.videos is None
    assert pair.first.interval is not None


def test_a_smaller_scale_is_shown_by_its_options(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, scored(tmp_path, real("full"), WHOLE), names=("full", "paper:"))
    assert mentioned(texts(pair, "method"), "scale light, smaller networks")
    assert texts(pair, "options")[0] == "propagation.backbone: ours: mobilenet_v2; at scale paper: resnet50"
    large = pair_of(
        tmp_path / "b", scored(tmp_path / "b", real("full", scale="paper"), WHOLE), names=("full", "paper:")
    )
    assert not large.differs
    assert "options" in unknown(large)


def test_the_published_number_may_be_the_first_side(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, scored(tmp_path, real("full"), WHOLE), names=("paper:", "full"))
    assert (pair.first.name, pair.second.name) == ("DIPNet", "full")
    assert pair.difference == pytest.approx(0.695 - 0.858)


def test_another_method_is_named_with_what_is_known_of_it(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, scored(tmp_path, real("full"), WHOLE), names=("full", "paper:osvos"))
    assert "ours: DIPNet, full; published: OSVOS" in texts(pair, "method")
    assert "one-shot fine-tuning: ours: light; published: heavy" in texts(pair, "method")
    assert not texts(pair, "options")
    assert "options" in unknown(pair)


def test_another_row_of_the_same_method_is_named(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, scored(tmp_path, real("no-crop"), WHOLE), names=("no-crop", "paper:table1-dipnet"))
    assert mentioned(texts(pair, "method"), "published: DIPNet; what no-crop reproduces is DIPNet*")


def test_masks_that_score_as_printed_settle_frames_and_rules(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, masks_of(tmp_path, 0.7979), names=("osvos", "paper:"))
    assert not pair.differs
    assert {"videos", "frames", "protocol"} <= set(pair.same)
    assert mentioned(pair.notes, "0.7979: equal to the printed digits")
    assert {"options", "training", "code"} <= unknown(pair)


def test_masks_that_score_otherwise_settle_nothing(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, masks_of(tmp_path, 0.79), names=("osvos", "paper:"))
    assert {"frames", "protocol"} <= unknown(pair)
    assert pair.notes == ("Its masks, scored here, give 0.7900.",)


def test_masks_of_the_method_in_another_study_are_pointed_at(tmp_path: Path) -> None:
    save(tmp_path, masks_of(tmp_path, 0.798), study="submitted")
    pair = pair_of(tmp_path, scored(tmp_path, real("full"), WHOLE), names=("full", "paper:OSVOS"))
    assert mentioned(pair.notes, "compare with its masks: submitted:osvos")
    assert {"frames", "protocol"} <= set(pair.same)


def test_embedded_data_is_not_compared_with_a_published_number(tmp_path: Path) -> None:
    made = scored(tmp_path, cell("full", 0.5, method="dipnet"), {"x": 0.9})
    pair = pair_of(tmp_path, made, names=("full", "paper:"))
    assert pair.incomparable
    assert "B − A" not in "\n".join(COMPARER.compare("full", "paper:", tmp_path).lines())
    assert texts(pair)[0] == "ours: embedded data, no benchmark; published: the real DAVIS16 val"


def test_missing_videos_are_named_first(tmp_path: Path) -> None:
    values = {name: WHOLE[name] for name in list(WHOLE)[:18]}
    pair = pair_of(
        tmp_path, scored(tmp_path, real("full", extent="18 of 20 sequences"), values), names=("full", "paper:")
    )
    assert texts(pair)[0] == "ours: 18 of 20 sequences; published: the whole benchmark"


def test_a_measure_that_is_not_printed_has_no_number(tmp_path: Path) -> None:
    made = scored(tmp_path, real("full"), WHOLE)
    pair = pair_of(tmp_path, made, names=("full", "paper:"), measure="F_decay")
    assert pair.second.why == "F decay is not printed there"
    assert not COMPARER.compare("full", "paper:", tmp_path, measure="F_decay").measured


def test_a_whole_study_is_compared_with_all_rows_that_it_reproduces(tmp_path: Path) -> None:
    made = [scored(tmp_path, real(variant), WHOLE) for variant in ("full", "no-crop", "of-my-own")]
    save(tmp_path, *made)
    pairs = COMPARER.compare("s", "paper:", tmp_path).pairs
    assert [(pair.first.name, pair.second.name) for pair in pairs] == [("full", "DIPNet"), ("no-crop", "DIPNet*")]
