"""Intervals cover the true value, differences are paired, and intervals, p-values and verdicts agree."""

from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from harness.errors import StudyError
from harness.results import CellResult, normalized
from reports.inputs import (
    Budgets,
    Claims,
    Lineage,
    load_claims,
    load_published,
    load_tables,
    order_cells,
    read_scorebook,
    split,
)
from reports.statistics import ALPHA, MIN_SEQUENCES, Interval, holm, interval
from reports.tables.claims import Verdict, claims_tables, judge, judge_all
from reports.tables.values import p_value
from tests.report_cells import cell, with_scores

SHARES = st.lists(st.floats(0, 1), min_size=MIN_SEQUENCES, max_size=12)
DIFFERENCES = st.lists(
    st.floats(-1, 1) | st.sampled_from([0.0, 0.01, -0.01, 5e-17, 0.1 + 0.2 - 0.3]), min_size=MIN_SEQUENCES, max_size=12
)


def excludes(found: Interval, value: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return not found.low <= value <= found.high


def coverage(draws: NDArray[np.float64], truth: NDArray[np.float64] | float) -> float:
    """Return the share of intervals over `draws` (cases × seeds × sequences) that contain the true value."""
    found = [interval(values, np.ones(draws.shape[2])) for values in draws]
    return fmean(not excludes(one, value) for one, value in zip(found, np.broadcast_to(truth, len(found)), strict=True))


@pytest.mark.parametrize("scatter", [0.0, 0.02, 0.05])
@pytest.mark.parametrize(("seeds", "sequences"), [(2, 6), (2, 20), (3, 10), (3, 20), (5, 20)])
def test_intervals_hold_for_other_seeds_and_sequences(seeds: int, sequences: int, scatter: float) -> None:
    draw = np.random.default_rng(17)
    by_seed = draw.normal(0, scatter, size=(600, seeds, 1))
    assert coverage(by_seed + draw.normal(0.7, 0.05, size=(600, 1, sequences)), 0.7) >= 0.93


@pytest.mark.parametrize("sequences", [6, 10, 20])
def test_intervals_of_one_seed_hold_for_other_sequences(sequences: int) -> None:
    draw = np.random.default_rng(17)
    by_seed = draw.normal(0, 0.05, size=(600, 1, 1))
    assert coverage(by_seed + draw.normal(0.7, 0.05, size=(600, 1, sequences)), by_seed.ravel() + 0.7) >= 0.93


@pytest.mark.parametrize("sequences", [6, 10, 20])
def test_intervals_hold_for_skewed_scores(sequences: int) -> None:
    draw = np.random.default_rng(17)
    assert coverage(draw.beta(4, 1.5, size=(1000, 1, sequences)), 4 / 5.5) >= 0.93


def test_intervals_hold_where_sequences_with_more_objects_score_lower() -> None:
    draw, chances, counts = np.random.default_rng(17), [0.4, 0.3, 0.16, 0.14], np.arange(1.0, 5.0)
    truth = (chances * counts * (0.8 - 0.05 * counts)).sum() / (chances * counts).sum()
    held = 0
    for objects in draw.choice(counts, p=chances, size=(1000, 10)):
        scores = 0.8 - 0.05 * objects + draw.normal(0, 0.05, 10) + draw.normal(0, 0.1, 10) / np.sqrt(objects)
        held += not excludes(interval(scores[None], objects), truth)
    assert held >= 930


def test_a_balanced_case_worked_by_hand() -> None:
    sequences = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.1]) - 0.25  # deviations ±.5, ±.3, ±.1; squares add up to .7
    found = interval(np.array([sequences - 0.01, sequences + 0.01]), np.ones(6))
    assert found.estimate == pytest.approx(0.35)
    assert found.sequence_variance == pytest.approx(0.7 / 25)
    assert found.seed_variance == pytest.approx(2 * 0.01**2 / 2)
    width = sqrt(2.570582**2 * 0.028 + 12.706205**2 * 0.0001)  # Student's t of 5 and of 1 degrees of freedom
    assert (found.low, found.high) == (pytest.approx(0.35 - width), pytest.approx(0.35 + width))


def test_unequal_seed_means_and_weights_worked_by_hand() -> None:
    found = interval(np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 8.0]]), np.ones(3))
    assert (found.estimate, found.sequence_variance, found.seed_variance) == (3.5, pytest.approx(6.5 / 4), 2.25)
    weighted = interval(np.array([[0.2, 0.8]]), np.array([1.0, 3.0]))  # mean .65; without the first .8, the second .2
    assert weighted.sequence_variance == pytest.approx(0.15**2 + 0.45**2)


def test_one_seed_gives_the_t_test_of_the_jackknife() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.7, 0.3, 0.6, 0.35])
    found = interval(values[None], np.ones(7))
    t = values.mean() / (values.std(ddof=1) / sqrt(6))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 6))


@settings(max_examples=200)
@given(DIFFERENCES, st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=3), st.sampled_from([0.0, 0.01, -0.01]))
def test_p_is_below_the_level_exactly_if_the_interval_excludes(
    values: list[float], seeds: list[float], tested: float
) -> None:
    found = interval(np.add.outer(np.array(seeds), np.array(values)), np.ones(len(values)))
    p = found.p_against(tested)
    assert p is not None
    assert 0 < p <= 1
    assert (p < ALPHA) == excludes(found, tested)


@settings(max_examples=25)
@given(SHARES, st.floats(0, 0.3), st.floats(0.1, 0.9))
def test_p_is_the_level_at_which_the_interval_ends(shares: list[float], shift: float, share: float) -> None:
    values = np.array([*shares, 0.0, 1.0])
    found = interval(np.array([values, values + shift]), np.ones(len(values)))
    assert found.high is not None
    half = found.high - found.estimate
    assert found.p_against(found.high) == pytest.approx(ALPHA, rel=1e-4)
    inside, outside = (found.p_against(found.estimate + half * reach) for reach in (share, 1 / share))
    assert inside is not None
    assert outside is not None
    assert outside < ALPHA < inside


def test_one_large_difference_among_small_ones_decides_nothing(tmp_path: Path) -> None:
    found = interval(np.array([[0.01] * 5 + [0.6]]), np.ones(6))
    assert found.p is not None
    assert found.p > 0.3
    assert not excludes(found, 0)
    assert verdict(tmp_path, [0.31] * 5 + [0.9], [0.3] * 6).verdict == "inconclusive"


@pytest.mark.parametrize("rounding", [[5e-17] * 20, [0.0] * 19 + [1.1e-16], [1e-16, 2e-16] * 10])
def test_differences_of_rounding_size_are_no_difference(rounding: list[float]) -> None:
    found = interval(np.array([rounding]), np.ones(20))
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_equal_differences_have_the_p_of_the_sign_test() -> None:
    found = interval(np.array([[0.3 - 0.1] * 3 + [0.2] * 4]), np.ones(7))
    assert (found.low, found.high, found.p) == (0.2, 0.2, 2 / 2**7)
    assert found.detectable is None


@settings(max_examples=25)
@given(SHARES, st.randoms())
def test_an_interval_does_not_depend_on_sequence_order(shares: list[float], random: Any) -> None:
    shuffled = random.sample(shares, len(shares))
    assert interval(np.array([shares]), np.ones(len(shares))) == interval(np.array([shuffled]), np.ones(len(shares)))


@settings(max_examples=25)
@given(SHARES)
def test_an_interval_contains_its_estimate(shares: list[float]) -> None:
    found = interval(np.array([shares]), np.ones(len(shares)))
    assert not excludes(found, found.estimate)


@pytest.mark.parametrize("count", range(1, MIN_SEQUENCES))
def test_too_few_sequences_have_a_mean_and_no_interval(count: int) -> None:
    found = interval(np.linspace([0.4], [0.4 + count / 10], count, axis=1), np.ones(count))
    assert found.estimate > 0.3
    assert (found.low, found.high, found.p, found.detectable) == (None, None, None, None)


def test_seeds_that_differ_widen_the_interval() -> None:
    values = np.linspace(0.4, 0.6, 10)
    equal, different = (
        interval(np.array([values, values]), np.ones(10)),
        interval(np.array([values - 0.2, values + 0.2]), np.ones(10)),
    )
    assert different.high - different.low > equal.high - equal.low + 0.1  # type: ignore[operator]


def test_more_seeds_narrow_the_interval() -> None:
    draw = np.random.default_rng(17)
    by_seed, by_sequence = draw.normal(0, 0.02, size=(300, 5, 1)), draw.normal(0, 0.05, size=(300, 1, 10))
    found = [[interval(one[:count], np.ones(10)) for one in by_seed + by_sequence] for count in (2, 3, 5)]
    widths = [fmean(one.high - one.low for one in given) for given in found]  # type: ignore[operator]
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2]


def test_sequences_weigh_by_their_objects() -> None:
    assert interval(np.array([[0.2, 0.8]]), np.array([1.0, 3.0])).estimate == pytest.approx(0.65)


def test_corrected_p_values_are_those_of_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_what_has_no_p_value_is_not_counted_by_holm() -> None:
    assert holm([None, 0.02, None, 0.03]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]


@pytest.mark.parametrize(("p", "shown"), [(1e-12, "<.001"), (0.0497, ".0497"), (0.05, ".050"), (0.0123, ".012")])
def test_a_p_value_is_never_printed_as_zero_or_across_the_level(p: float, shown: str) -> None:
    assert p_value(p).shown == shown


def verdict(folder: Path, ours: list[float], theirs: list[float], **change: Any) -> Verdict:
    """Return the verdict on the claim that `full` beats `no-crop`, from their J by sequence.

    `change` goes into the cell of `no-crop`, and its `claim` into the claim."""
    changed = change.pop("claim", {})
    measure = changed.get("measure", "J_mean")
    others = cell("no-crop", 0.5, **{"options": {"crop": False}, **change})
    cells = [with_scores(folder, cell("full", 0.5), ours, measure), with_scores(folder, others, theirs, measure)]
    ordered = order_cells(cells, load_tables().variants)
    claim = load_claims().claims[0].model_copy(update=changed)
    return judge(claim, 0.01, split(ordered)[0], read_scorebook(ordered), Budgets(Lineage()))


EVEN = list(np.linspace(0.4, 0.7, 12))


def test_a_difference_in_all_sequences_is_reproduced(tmp_path: Path) -> None:
    found = verdict(tmp_path, [value + 0.02 + place / 1000 for place, value in enumerate(EVEN)], EVEN)
    assert found.verdict == "reproduced"
    assert found.interval is not None
    assert found.interval.estimate == pytest.approx(0.0255)


def test_the_opposite_difference_is_contradicted(tmp_path: Path) -> None:
    assert verdict(tmp_path, [value - 0.02 for value in EVEN], EVEN).verdict == "contradicted"


def test_a_contradiction_on_the_miniature_says_what_is_different_about_it(tmp_path: Path) -> None:
    worse = verdict(tmp_path, [value - 0.02 for value in EVEN], EVEN)
    for kind, said in (("embedded", True), ("real", False)):
        (part,) = split([cell("full", 0.5, data_kind=kind)])
        decided, _, _ = claims_tables([worse], 0.01, part)
        assert decided is not None
        assert ("look like the videos" in decided.caption) == said


def test_an_interval_over_zero_is_inconclusive(tmp_path: Path) -> None:
    mixed = [value + 0.1 * (-1) ** place for place, value in enumerate(EVEN)]
    assert verdict(tmp_path, mixed, EVEN).verdict == "inconclusive"


def test_too_few_sequences_are_always_inconclusive(tmp_path: Path) -> None:
    few = EVEN[: MIN_SEQUENCES - 1]
    found = verdict(tmp_path, [value + 0.2 for value in few], few)
    assert (found.verdict, found.why) == ("inconclusive", f"{MIN_SEQUENCES - 1} sequences are too few")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DIFFERENCES, st.booleans())
def test_a_single_claim_is_decided_exactly_if_its_interval_excludes(
    tmp_path: Path, differences: list[float], similar: bool
) -> None:
    theirs = [0.5] * len(differences)
    found = verdict(tmp_path, [value + 0.5 for value in differences], theirs, claim={"similar": similar})
    assert found.interval is not None
    decided = all(excludes(found.interval, value) for value in ((-0.01, 0.01) if similar else (0,)))
    assert (found.verdict in {"reproduced", "contradicted"}) == decided == (found.p is not None and found.p < ALPHA)


def pair(folder: Path, seeds: dict[str, tuple[int, ...]], gain: float, scatter: float) -> list[CellResult]:
    """Return cells of both variants with those seeds; `full` is better by `gain`, and its seeds differ by `scatter`."""
    found = []
    for name, numbers in seeds.items():
        for number in numbers:
            made = cell(name, 0.5, seed=number, options={"crop": name == "full"})
            shift = gain + scatter * number if name == "full" else 0
            values = [value + shift + (place % 3 / 200 if shift else 0) for place, value in enumerate(EVEN)]
            found.append(with_scores(folder, made, values))
    return order_cells(found, load_tables().variants)


def judged(cells: list[CellResult], count: int = 1) -> list[Verdict]:
    """Return the verdicts on `count` copies of the claim that `full` beats `no-crop`."""
    claims = Claims(margin=0.01, claims=(load_claims().claims[0],) * count)
    return judge_all(claims, split(cells), read_scorebook(cells), Budgets(Lineage()))[0]


def test_a_claim_decided_alone_may_not_be_among_many(tmp_path: Path) -> None:
    values = [value + 0.05 * (place % 3) - 0.02 for place, value in enumerate(EVEN)]
    cells = [with_scores(tmp_path, cell("full", 0.5), values), with_scores(tmp_path, cell("no-crop", 0.5), EVEN)]
    ordered = order_cells(cells, load_tables().variants)
    (alone,), many = judged(ordered), judged(ordered, 9)
    assert alone.p is not None
    assert (alone.verdict, alone.corrected) == ("reproduced", alone.p)
    assert {(one.verdict, one.p, one.corrected) for one in many} == {("inconclusive", alone.p, 9 * alone.p)}
    assert {one.why for one in many} == {"decided alone, but not after correction for the number of claims"}


def test_claims_on_too_few_sequences_do_not_count_in_the_correction(tmp_path: Path) -> None:
    few = with_scores(tmp_path, cell("omega-0.95", 0.5, benchmark="davis17-val"), EVEN[:3])
    other = with_scores(tmp_path, cell("omega-0.00", 0.5, benchmark="davis17-val"), EVEN[:3])
    cells = order_cells([*pair(tmp_path, {"full": (0,), "no-crop": (0,)}, 0.02, 0), few, other], load_tables().variants)
    found = [
        one
        for one in judge_all(load_claims(), split(cells), read_scorebook(cells), Budgets(Lineage()))[0]
        if not one.unmeasured
    ]
    assert (found[0].claim.name, found[0].corrected) == ("crop-davis16", found[0].p)
    assert {one.corrected for one in found[1:]} == {None}


def test_wide_intervals_of_two_seeds_say_that_seeds_are_missing(tmp_path: Path) -> None:
    (found,) = judged(pair(tmp_path, {"full": (0, 1), "no-crop": (0, 1)}, 0.02, 0.02))
    assert found.verdict == "inconclusive"
    assert found.why == "the interval allows both answers, mostly because there are only 2 seeds; add seeds"


def test_seeds_of_one_side_only_do_not_count_and_are_named(tmp_path: Path) -> None:
    (found,) = judged(pair(tmp_path, {"full": (0, 1, 2), "no-crop": (0, 1)}, 0.02, 0.001))
    assert found.interval is not None
    assert (found.interval.seeds, found.omitted) == (2, "without seed 2, which only one side has")


def test_variants_without_a_common_seed_are_not_compared(tmp_path: Path) -> None:
    (found,) = judged(pair(tmp_path, {"full": (0,), "no-crop": (1,)}, 0.02, 0))
    assert (found.verdict, found.why) == (
        "not measured",
        "no seed in common (without seed 0, 1, which only one side has)",
    )


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
