"""Intervals cover the true value, differences are paired, and verdicts follow from the intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import StudyError
from harness.results import normalized
from reports.inputs import load_claims, load_published, load_tables, order_cells, read_scorebook, split
from reports.statistics import MIN_SEQUENCES, holm, interval
from reports.tables.claims import Verdict, judge
from tests.report_cells import cell, with_scores

SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def test_intervals_contain_a_known_mean_in_95_of_100_cases() -> None:
    draw = np.random.default_rng(5).beta(4, 2, size=(400, 1, 20))
    found = [interval(values, np.ones(20)) for values in draw]
    held = sum(one.low <= 4 / 6 <= one.high for one in found if one.low is not None and one.high is not None)
    assert 0.92 <= held / 400 <= 0.98


@settings(max_examples=25, deadline=None)
@given(SHARES, st.randoms())
def test_an_interval_does_not_depend_on_sequence_order(shares: list[float], random: Any) -> None:
    shuffled = random.sample(shares, len(shares))
    assert interval(np.array([shares]), np.ones(len(shares))) == interval(np.array([shuffled]), np.ones(len(shares)))


@settings(max_examples=25, deadline=None)
@given(SHARES)
def test_an_interval_contains_its_estimate(shares: list[float]) -> None:
    found = interval(np.array([shares]), np.ones(len(shares)))
    assert found.low is not None
    assert found.high is not None
    assert found.low - 1e-9 <= found.estimate <= found.high + 1e-9


def test_one_sequence_has_a_mean_and_no_interval() -> None:
    found = interval(np.array([[0.4]]), np.ones(1))
    assert (found.estimate, found.low, found.high) == (pytest.approx(0.4), None, None)


def test_seeds_that_differ_widen_the_interval() -> None:
    values = np.linspace(0.4, 0.6, 10)
    equal, different = (
        interval(np.array([values, values]), np.ones(10)),
        interval(np.array([values - 0.2, values + 0.2]), np.ones(10)),
    )
    assert different.high - different.low > equal.high - equal.low + 0.1  # type: ignore[operator]


def test_sequences_weigh_by_their_objects() -> None:
    assert interval(np.array([[0.2, 0.8]]), np.array([1.0, 3.0])).estimate == pytest.approx(0.65)


def test_corrected_p_values_are_those_of_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def verdict(folder: Path, ours: list[float], theirs: list[float], **change: Any) -> Verdict:
    """Return the verdict on the claim that `full` beats `no-crop`, from their J by sequence.

    `change` goes into the cell of `no-crop`, and its `claim` into the claim."""
    changed = change.pop("claim", {})
    measure = changed.get("measure", "J_mean")
    others = cell("no-crop", 0.5, **{"options": {"crop": False}, **change})
    cells = [with_scores(folder, cell("full", 0.5), ours, measure), with_scores(folder, others, theirs, measure)]
    ordered = order_cells(cells, load_tables().variants)
    claim = load_claims().claims[0].model_copy(update=changed)
    return judge(claim, 0.01, split(ordered)[0], read_scorebook(ordered))


EVEN = list(np.linspace(0.4, 0.7, 12))


def test_a_difference_in_all_sequences_is_reproduced(tmp_path: Path) -> None:
    found = verdict(tmp_path, [value + 0.02 + place / 1000 for place, value in enumerate(EVEN)], EVEN)
    assert found.verdict == "reproduced"
    assert found.interval is not None
    assert found.interval.estimate == pytest.approx(0.0255)


def test_the_opposite_difference_is_contradicted(tmp_path: Path) -> None:
    assert verdict(tmp_path, [value - 0.02 for value in EVEN], EVEN).verdict == "contradicted"


def test_an_interval_over_zero_is_inconclusive(tmp_path: Path) -> None:
    mixed = [value + 0.1 * (-1) ** place for place, value in enumerate(EVEN)]
    assert verdict(tmp_path, mixed, EVEN).verdict == "inconclusive"


def test_too_few_sequences_are_always_inconclusive(tmp_path: Path) -> None:
    few = EVEN[: MIN_SEQUENCES - 1]
    found = verdict(tmp_path, [value + 0.2 for value in few], few)
    assert (found.verdict, found.why) == ("inconclusive", f"{MIN_SEQUENCES - 1} sequences are too few")


def test_similar_means_within_the_margin(tmp_path: Path) -> None:
    assert verdict(tmp_path, [value + 0.001 for value in EVEN], EVEN, claim={"similar": True}).verdict == "reproduced"


def test_a_failed_cell_is_not_measured_and_says_why(tmp_path: Path) -> None:
    found = verdict(tmp_path, EVEN, EVEN, status="failed", reason="no space left")
    assert (found.verdict, found.why) == ("not measured", "no-crop failed: no space left")


def test_variants_that_differ_in_more_than_the_factor_are_confounded(tmp_path: Path) -> None:
    found = verdict(tmp_path, EVEN, EVEN, options={"crop": False, "one_shot": {"frame_iterations": 9}})
    assert found.confounded == "option one_shot.frame_iterations"


def test_variants_with_different_skipped_training_are_confounded(tmp_path: Path) -> None:
    assert "skipped training" in verdict(tmp_path, EVEN, EVEN, omitted=("pre-training skipped: no VOC",)).confounded


def test_the_shipped_claims_have_different_names() -> None:
    names = [claim.name for claim in load_claims().claims]
    assert len(set(names)) == len(names) >= 15


def test_less_decay_is_better(tmp_path: Path) -> None:
    less, more = (
        [value / 10 for value in EVEN],
        [value / 10 + 0.02 + place / 1000 for place, value in enumerate(EVEN)],
    )
    assert verdict(tmp_path, less, more, claim={"measure": "J_decay"}).verdict == "reproduced"


def test_seconds_get_no_verdict(tmp_path: Path) -> None:
    found = verdict(tmp_path, EVEN, EVEN, claim={"measure": "seconds_per_frame"})
    assert (found.verdict, found.why[:24]) == ("not measured", "a variant is timed once,")


def test_a_further_analysis_does_not_confound(tmp_path: Path) -> None:
    assert verdict(tmp_path, EVEN, EVEN, options={"crop": False, "analyses": ["identities"]}).confounded == ""


def test_expected_differences_follow_from_the_published_rows() -> None:
    published = {(row.place, normalized(row.method)): row for row in load_published().rows}
    checked = 0
    for claim in load_claims().claims:
        place = claim.source.split(", ")[-1]
        names = ["dipnet" if name == "full" else name for name in (claim.higher, claim.lower)]
        rows = [published.get((place, name)) for name in names]
        if claim.method and claim.expected is not None and all(rows):
            ours, theirs = (row.values[claim.benchmark][claim.measure] for row in rows if row)
            assert ours - theirs == pytest.approx(claim.expected, abs=1e-9), claim.name
            checked += 1
    assert checked >= 18


def test_a_claim_on_an_unknown_measure_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    claim = {key: value for key, value in load_claims().claims[0].model_dump(mode="json").items() if value is not None}
    claim["measure"] = "speed"
    file.write_text(f"margin: 0.01\nclaims: [{claim!r}]\n".replace("False", "false").replace("()", "[]"))
    with pytest.raises(StudyError, match="measure 'speed'"):
        load_claims(file)
