"""The sentences at the top of a report say what intervals and verdicts allow, and how many videos are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.results import CellResult
from reports.inputs import (
    Budgets,
    Claims,
    Lineage,
    Part,
    Scorebook,
    lead_benchmark,
    lead_part,
    load_claims,
    load_tables,
    main_variant,
    order_cells,
    read_scorebook,
    split,
)
from reports.statistics import ALPHA, MIN_SEQUENCES, MORE, Interval, Needed, interval
from reports.tables.changes import single_changes
from reports.tables.claims import Verdict, judge_all
from reports.tables.summary import summarize, undecided_sentence
from tests.report_cells import cell, submitted, with_scores

TABLES = load_tables()
EVEN = [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75]
MIXED = [value + 0.1 * (-1) ** place for place, value in enumerate(EVEN)]
"""Scores with the mean of EVEN, far from it in every video."""

WILD = [value + 0.3 * (-1) ** place for place, value in enumerate(EVEN)]

OPTIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "no-crop": {"crop": False},
    "ipn-only": {"crop": False, "phases": "propagation"},
    **{f"omega-{value:.2f}": {"crop": False, "omega": value} for value in (0.0, 0.5, 0.95)},
}


def of(values: list[float], seeds: int = 1) -> Interval:
    return interval(np.array([values] * seeds), np.ones(len(values)))


def cells(folder: Path, values: Mapping[str, list[float]], **change: Any) -> tuple[CellResult, ...]:
    """Return cells with those scores by sequence, ordered as a report does."""
    made = []
    for name, given_values in values.items():
        one = cell(name, sum(given_values) / len(given_values), options=OPTIONS.get(name, {}), **change)
        made.append(with_scores(folder, replace(one, sequences=len(given_values)), given_values))
    return order_cells(made, TABLES.variants)


def sentences(made: tuple[CellResult, ...], claims: Claims | None = None) -> dict[str, str]:
    """Return the summary of these cells; by default, no claim is measured."""
    scores, parts = read_scorebook(made), split(made)
    verdicts = judge_all(claims or Claims(margin=0.01, claims=()), parts, scores, Budgets(Lineage()))
    found = summarize(parts, verdicts, TABLES, scores)
    assert found is not None
    return found.sentences | {"limits": found.limits, "coverage": found.coverage}


def shifted(by: float) -> list[float]:
    """Return EVEN higher by about that much."""
    return [value + by + place / 1000 for place, value in enumerate(EVEN)]


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        # Deviations ±.5, ±.3, ±.1: variance of the mean of m is .14/(m−1); 2.4469·√(.14/6) > .35 > 2.3646·√(.14/7).
        ([0.85, 0.65, 0.45, 0.25, 0.05, -0.15], 8),
        # Two videos, variance .08: 2.2622·√(.08/9) > .2 > 2.2281·√(.08/10).
        ([0.0, 0.4], 11),
        ([0.1, 0.3], MIN_SEQUENCES),  # 2.5706·√(.02/5) < .2
        ([0.1, 0.1, 0.1], MIN_SEQUENCES),  # no scatter: the sign test, 2⁻⁵ < .05
    ],
)
def test_needed_videos_in_cases_worked_by_hand(values: list[float], needed: int) -> None:
    assert of(values).needed() == Needed(sequences=needed)


def test_a_stricter_level_needs_more_videos() -> None:
    assert of([0.1, 0.1, 0.1]).needed(level=0.01) == Needed(sequences=8)  # 2⁻⁷ < .01 < 2⁻⁶
    assert of([0.3, 0.1, 0.2, 0.2]).needed(value=0.2) == Needed(instead=MORE)


def test_needed_videos_may_be_too_many_or_unknown() -> None:
    assert of([-0.1, 0.1]).needed() == Needed(instead="more than 1,000")
    assert of([0.001, 0.2, -0.199]).needed() == Needed(instead="more than 1,000")
    assert of([0.3]).needed() == Needed(instead="unknown")


def test_seeds_that_differ_more_than_the_mean_need_more_seeds() -> None:
    scattered = interval(np.array([[0.0] * 8, [0.2] * 8]), np.ones(8))  # 12.7 times .1 is above .1
    assert scattered.needed() == Needed(instead="more seeds")
    assert of([0.1] * 5, seeds=2).needed() == Needed(sequences=MIN_SEQUENCES)


@settings(max_examples=60)
@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=12), st.sampled_from([0.05, 0.01, 0.0025]))
def test_one_video_less_than_needed_does_not_decide(values: list[float], level: float) -> None:
    found = of(values)
    count = found.needed(level=level).sequences

    def p(sequences: int) -> float:
        variance = found.sequence_variance * (found.sequences - 1) / (sequences - 1)
        result = replace(found, sequences=sequences, sequence_variance=variance).p
        assert result is not None
        return result

    if count is None:
        assert p(1000) >= level
    else:
        assert p(count) < level
        assert count == MIN_SEQUENCES or p(count - 1) >= level


@settings(max_examples=60)
@given(st.lists(st.floats(-0.5, 0.5), min_size=MIN_SEQUENCES, max_size=12))
def test_what_is_not_decided_needs_more_videos_than_there_are(values: list[float]) -> None:
    found = of(values)
    assert found.p is not None
    if found.p >= ALPHA:
        assert (found.needed().sequences or 1001) > len(values)


def verdicts(folder: Path, values: Mapping[str, list[float]], **change: Any) -> list[Verdict]:
    made = cells(folder, values, **change)
    return judge_all(load_claims(), split(made), read_scorebook(made), Budgets(Lineage()))[0]


def test_needed_videos_of_a_claim_withstand_the_correction(tmp_path: Path) -> None:
    found = verdicts(tmp_path, {"full": MIXED, "no-crop": EVEN, "ipn-only": [0.1] * 8, "ssn-only": shifted(-0.01)})
    measured = [one for one in found if not one.unmeasured]
    undecided = [one for one in measured if one.undecided]
    assert 0 < len(undecided) < len(measured)
    for one in undecided:
        assert one.interval is not None
        assert one.needed == one.interval.needed(level=ALPHA / len(undecided))
    assert {one.needed for one in found if not one.undecided} == {Needed()}


def test_the_best_variant_is_named_with_what_it_differs_from(tmp_path: Path) -> None:
    made = cells(tmp_path, {"first-mask": [0.1] * 8, "full": shifted(0.1), "no-crop": EVEN, "mine": WILD})
    assert sentences(made)["Best"] == (
        "Of 4 variants on DAVIS16 val, DIPNet (full) scores highest: J mean .678, 95 % interval [.567, .790]; next "
        "DIPNet*, no crop (no-crop), .575. full differs from 2 of the 3 others (p < .05, Holm-corrected), but does not "
        "differ significantly from mine."
    )


def test_too_few_videos_tell_no_variants_apart(tmp_path: Path) -> None:
    made = cells(tmp_path, {"full": [0.8, 0.9], "no-crop": [0.1, 0.2]})
    assert sentences(made)["Best"] == (
        "Of 2 variants on DAVIS16 val, DIPNet (full) scores highest: J mean .850; next DIPNet*, no crop (no-crop), "
        ".150. 2 videos are too few to show a difference."
    )


def test_equal_best_variants_are_all_named(tmp_path: Path) -> None:
    text = sentences(cells(tmp_path, {"a": EVEN, "b": EVEN, "c": [0.1] * 8}))["Best"]
    assert text.startswith("Of 3 variants on DAVIS16 val, a, b score highest: J mean .575, 95 % interval [")
    assert text.endswith(
        "a differs from 1 of the 2 others (p < .05, Holm-corrected), but does not differ significantly from b."
    )


def test_variants_without_a_complete_result_are_counted_apart(tmp_path: Path) -> None:
    short = cells(tmp_path, {"full": EVEN, "no-crop": EVEN[:6]})
    failed = cell("ipn-only", reason="killed")
    made = order_cells([*short, failed], TABLES.variants)
    assert sentences(made)["Best"] == (
        "DIPNet (full) is the only variant with a complete result on DAVIS16 val: J mean .575. 2 without a complete "
        "result are not compared."
    )


def test_submitted_masks_are_not_the_best_variant_of_a_study(tmp_path: Path) -> None:
    own = cells(tmp_path, {"full": EVEN, "no-crop": [0.1] * 8})
    theirs = with_scores(tmp_path, replace(submitted("OSVOS", 0.9), sequences=8), [0.9] * 8)
    made = order_cells([*own, theirs], TABLES.variants)
    assert sentences(made)["Best"].startswith("Of 2 variants on DAVIS16 val, DIPNet (full) scores highest")


def test_single_changes_are_listed_decided_first(tmp_path: Path) -> None:
    values = {"full": MIXED, "no-crop": EVEN, "ipn-only": shifted(-0.2), "first-mask": [0.1] * 8}
    assert sentences(cells(tmp_path, values))["Changes"] == (
        "Changing one option moves J mean: no-crop → ipn-only (phases = propagation) by −.197 [−.199, −.194]. Not "
        "decided: full → no-crop (crop = false) by .000 [−.096, .096]."
    )


def test_an_option_without_any_effect_is_named_as_that(tmp_path: Path) -> None:
    assert sentences(cells(tmp_path, {"full": MIXED, "no-crop": MIXED}))["Changes"] == (
        "No difference in any video: full → no-crop."
    )


def test_differences_of_few_videos_are_called_undecided(tmp_path: Path) -> None:
    values = {"full": EVEN[:4], "no-crop": [0.1] * 4}
    assert sentences(cells(tmp_path, values))["Changes"] == (
        "Changing one option moves J mean on 4 videos, too few to decide: full → no-crop (crop = false) by −.375."
    )


def test_values_of_a_range_are_no_parts(tmp_path: Path) -> None:
    sweep = {name: [0.2 + 0.1 * place] * 8 for place, name in enumerate(name for name in OPTIONS if "omega" in name)}
    text = sentences(cells(tmp_path, {"no-crop": EVEN, **sweep}))["Changes"]
    assert text == "Over 3 values of omega, J mean lies between .200 (omega-0.00) and .400 (omega-0.95)."


def test_variants_of_several_differences_attribute_nothing(tmp_path: Path) -> None:
    made = cells(tmp_path, {"full": EVEN, "ipn-only": MIXED})
    assert sentences(made)["Changes"].startswith("No two variants differ in a single option")


def test_one_value_in_two_trainings_is_one_change(tmp_path: Path) -> None:
    changed = {"training": {"pretraining": {"loss": "sigmoid"}, "offline": {"loss": "sigmoid"}}}
    made = [*cells(tmp_path, {"full": EVEN}), with_scores(tmp_path, cell("soft", 0.5, options=changed), MIXED)]
    (part,) = split(order_cells(made))
    (found,) = single_changes(part, "davis16-val", TABLES, read_scorebook(made)).single
    assert (found.base, found.variant, found.option, found.value) == ("full", "soft", "loss", "sigmoid")


def test_skipped_training_on_one_side_is_no_single_change(tmp_path: Path) -> None:
    full, other = cells(tmp_path, {"full": EVEN, "no-crop": MIXED})
    made = (full, replace(other, omitted=("pre-training skipped: no VOC",)))
    (part,) = split(made)
    assert single_changes(part, "davis16-val", TABLES, read_scorebook(made)).single == ()


def test_undecided_claims_say_how_many_videos_they_need(tmp_path: Path) -> None:
    claims = load_claims().model_copy(update={"claims": load_claims().claims[:3:2]})
    found = sentences(cells(tmp_path, {"full": [0.9, 0.5], "no-crop": [0.5, 0.5], "ipn-only": [0.1, 0.1]}), claims)
    # At .05/2: 2⁻⁶ < .025 < 2⁻⁵, and 2.5600·√(.08/12) > .2 > 2.5326·√(.08/13).
    assert found["Undecided"] == (
        "None of 2 claims measured here is decided. If mean and scatter stayed as observed, “IPN and SSN "
        "together beat IPN alone on DAVIS16” would need about 7 videos (2 here) and another one 14. Estimates from "
        "fewer than 6 videos are rough."
    )


def test_decided_claims_leave_nothing_undecided(tmp_path: Path) -> None:
    claims = load_claims().model_copy(update={"claims": load_claims().claims[:1]})
    found = sentences(cells(tmp_path, {"full": shifted(0.1), "no-crop": EVEN}), claims)
    assert found["Undecided"] == "The only claim measured here is decided."


def test_partial_data_needs_the_whole_benchmark(tmp_path: Path) -> None:
    claims = load_claims().model_copy(update={"claims": load_claims().claims[:1]})
    made = cells(tmp_path, {"full": shifted(0.1), "no-crop": EVEN}, extent="8 of 20 sequences")
    found = sentences(made, claims)
    assert found["Undecided"] == (
        "The only claim measured here is not decided. 1 would need the whole benchmark (8 of 20 sequences here)."
    )
    assert "DAVIS16 val (8 of 20 sequences)" in found["Best"]
    assert "Not the published whole: DAVIS16 val (8 of 20 sequences); not a benchmark result" in found["limits"]


def test_without_claims_the_single_changes_are_counted(tmp_path: Path) -> None:
    found = sentences(cells(tmp_path, {"full": MIXED, "no-crop": EVEN, "ipn-only": shifted(-0.2)}))
    assert found["Undecided"] == (
        "1 of 2 changes of one option is not decided. If mean and scatter stayed as observed, full → no-crop would "
        "need more than 1,000 videos."
    )
    assert undecided_sentence([], []).startswith("The study measures none of the paper's claims")


def test_embedded_data_and_a_small_scale_are_named(tmp_path: Path) -> None:
    found = sentences(cells(tmp_path, {"full": EVEN}))
    assert found["limits"] == (
        "Scale: mini (smaller networks and shorter training than in the paper). Data: embedded miniature (rendered), "
        "not a benchmark result."
    )
    assert found["coverage"] == "Cells filled: 1/1."
    derived = sentences(cells(tmp_path, {"full": EVEN}, data_kind="derived"))
    assert "derived from real sequences, not a benchmark result" in derived["limits"]


def test_real_data_comes_before_the_miniature(tmp_path: Path) -> None:
    embedded = cells(tmp_path / "a", {"full": EVEN, "no-crop": EVEN})
    real = cells(tmp_path / "b", {"full": EVEN}, data_kind="real")
    parts = split(order_cells([*embedded, *real], TABLES.variants))
    found = lead_part(parts)
    assert found is not None
    assert found.data_kind == "real"
    assert "2 sets of results that cannot be compared" in sentences(order_cells([*embedded, *real]))["limits"]
    assert lead_part([]) is None
    assert lead_part(split([cell("full")])) is None


def test_the_benchmark_of_most_variants_leads() -> None:
    made = [cell("full", 0.5), cell("full", 0.5, benchmark="segtrack-v2"), cell("a", 0.5, benchmark="segtrack-v2")]
    (part,) = split(made)
    assert lead_benchmark(part) == "segtrack-v2"


@pytest.mark.parametrize(
    ("names", "main"),
    [
        (["first-mask", "ipn-only", "no-crop"], "no-crop"),
        (["first-mask", "full", "no-crop"], "full"),
        (["first-mask"], ""),
    ],
)
def test_the_main_variant_sets_the_fewest_options(names: list[str], main: str) -> None:
    (part,) = split(order_cells([cell(name, 0.5, options=OPTIONS.get(name, {})) for name in names], TABLES.variants))
    assert main_variant(part, "davis16-val", TABLES.baseline) == main


def test_a_study_without_results_has_no_summary() -> None:
    empty = Scorebook(by_folder={}, averaging={})
    assert summarize((), (), TABLES, empty) is None
    failed = Part(scale="mini", data_kind="embedded", protocols={}, cells=(cell("full"),))
    assert summarize((failed,), ([],), TABLES, empty) is None
