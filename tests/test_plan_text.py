"""A plan as text groups stages, and as JSON has all of them; both say what it takes and what sharing saves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.datasets import load_protocols
from harness.execution.timing import Pace
from harness.planning.estimate import estimate, sharing
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.schema import SCHEMA, plan_json
from harness.planning.study import load_study
from harness.planning.text import plan_text
from harness.store.local import Failure, Store
from tests.engine import ROOT, make_davis16

STUDY = """
name: try
method: dipnet
benchmarks: [davis16-val]
variants:
  first: {method: first-mask}
  omega-0.50: {crop: false, omega: 0.5}
  omega-0.95: {crop: false, omega: 0.95}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_davis16(tmp_path_factory.mktemp("data"))


def make(tmp_path: Path, root: Path, text: str = STUDY) -> tuple[Plan, Store]:
    protocols = load_protocols()
    (tmp_path / "study.yaml").write_text(text)
    study = load_study(tmp_path / "study.yaml", protocols)
    store = Store(tmp_path / "home")
    return make_plan(study, gather([protocols["davis16-val"]], root, tmp_path / "facts"), store), store


def publish(plan: Plan, store: Store, seconds: float) -> None:
    """Publish every stage as if it had run that long, on one CPU each."""
    for key, item in plan.items.items():
        (store.start(key).folder / "x").write_text("")
        store.publish(item.stage.name, key, item.stage.label, item.stage.identity, {"seconds": seconds})


def text_of(plan: Plan, *, every: bool = False) -> str:
    return "\n".join(plan_text(plan, cpus=2, every=every))


def test_many_stages_are_grouped_by_reason(tmp_path: Path, root: Path) -> None:
    plan, _ = make(tmp_path, root)
    output = text_of(plan)
    assert "6 × segment (new): copy first mask, davis16-val/a; copy first mask, davis16-val/b …" in output
    assert len(output.splitlines()) < 22 < len(text_of(plan, every=True).splitlines())


def test_changed_options_are_groups_of_their_own(tmp_path: Path, root: Path) -> None:
    plan, store = make(tmp_path, root)
    publish(plan, store, 1.0)
    changed, _ = make(tmp_path, root, STUDY.replace("omega: 0.5}", "omega: 0.4, training: offline}"))
    reasons = {item.why for item in changed.items.values() if item.stage.name == "segment" and item.why}
    assert reasons == {"config changed: omega 0.5 → 0.4"}
    assert "config changed: omega 0.5 → 0.4" in text_of(changed)


def test_every_stage_is_named_where_asked(tmp_path: Path, root: Path) -> None:
    plan, _ = make(tmp_path, root)
    output = text_of(plan, every=True)
    assert all(item.stage.label in output for item in plan.items.values())


def test_expected_and_saved_time_is_printed_in_seconds(tmp_path: Path, root: Path) -> None:
    plan, store = make(tmp_path, root)
    assert "expected: unknown" in text_of(plan)
    publish(plan, store, 60.0)
    more, _ = make(tmp_path, root, STUDY + "  omega-0.10: {crop: false, omega: 0.1}\n")
    output = text_of(more)
    assert "expected: about 2 min on 2 CPUs; 0.05 CPU-hours (3 of 3 stages estimated from earlier ones)" in output
    assert re.search(r"sharing saves \d+ of \d+ stages, and \d+ min of stages take the place of the \d+ min", output)


def test_where_some_stages_are_unknown_the_time_is_a_least_one(tmp_path: Path, root: Path) -> None:
    plan, store = make(tmp_path, root)
    (score, *_) = [key for key, item in plan.items.items() if item.stage.name == "score"]
    (store.start(score).folder / "x").write_text("")
    store.publish("score", score, "score", plan.items[score].stage.identity, {"seconds": 60.0})
    again, _ = make(tmp_path, root)
    assert "expected: at least" in text_of(again)


def test_the_wall_time_is_bound_by_cores_and_by_the_longest_chain(tmp_path: Path, root: Path) -> None:
    plan, store = make(tmp_path, root)
    publish(plan, store, 10.0)
    more, _ = make(tmp_path, root, STUDY + "  omega-0.10: {crop: false, omega: 0.1}\n")
    assert estimate(more, 1).wall_seconds == 30.0  # two videos and the score
    assert estimate(more, 2).wall_seconds == 20.0  # a video, then the score
    assert estimate(more, 100).wall_seconds == 20.0
    assert estimate(more, 1).seconds == 30.0


def test_what_sharing_saves_counts_each_stage_once_a_cell(tmp_path: Path, root: Path) -> None:
    plan, store = make(tmp_path, root)
    publish(plan, store, 2.0)
    again, _ = make(tmp_path, root)
    found = sharing(again)
    assert found.stages == len(again.items)
    assert found.saved_stages == 2 + 2 + 1  # trained (off-line only), tuned, timed: once for two ω
    assert found.saved_seconds == 2.0 * found.saved_stages


def test_a_plan_says_which_data_is_partial(tmp_path: Path, root: Path) -> None:
    plan, _ = make(tmp_path, root)
    assert "DAVIS16 val: 2 of 20 sequences, not the published whole" in text_of(plan)
    expected = {"DAVIS16 val": "2 of 20 sequences", "DAVIS16 train": "2 of 30 sequences"}
    assert plan_json(plan, cpus=2)["partial"] == expected


def test_scripts_get_what_the_page_describes(tmp_path: Path, root: Path) -> None:
    page = (ROOT / "docs" / "plans.md").read_text()
    plan, _ = make(tmp_path, root)
    content = json.loads(json.dumps(plan_json(plan, cpus=2)))
    assert content["schema"] == SCHEMA
    described = page[page.index("The schema number is 1") : page.index("## Where a number comes from")]
    for part in (content, content["totals"], content["expected"], content["sharing"], content["cells"][0]):
        assert [name for name in part if f"`{name}`" not in described] == []
    assert [name for name in content["stages"][0] if f"`{name}`" not in described] == []
    keys = {stage["key"] for stage in content["stages"]}
    assert all(need in keys for stage in content["stages"] for need in stage["needs"])
    assert {key for cell in content["cells"] for key in cell["stages"]} <= keys
    assert content["totals"]["stages"] == len(keys)


def test_scripts_get_changes_and_failures_in_parts(tmp_path: Path, root: Path) -> None:
    plan, store = make(tmp_path, root)
    publish(plan, store, 1.0)
    changed, _ = make(tmp_path, root, STUDY.replace("omega: 0.5}", "omega: 0.4}"))
    key = changed.missing[-1].key
    store.fail(Failure(key=key, label="x", error="no luck", traceback="", log="", when=0.0))
    changed, _ = make(tmp_path, root, STUDY.replace("omega: 0.5}", "omega: 0.4}"))
    stages = {stage["key"]: stage for stage in plan_json(changed, cpus=2)["stages"]}
    segment = next(stage for stage in stages.values() if stage["state"] == "to_run")
    assert segment["changes"] == [{"what": "config", "name": "omega", "old": 0.5, "new": 0.4}]
    assert stages[key]["failure"] == "no luck"
    assert stages[key]["reason"] == "failed before: no luck"


def test_a_resumed_stage_ends_as_fast_as_it_goes_on_now() -> None:
    pace = Pace(since=100.0, share=0.4)
    assert pace.seconds_left(101.0, 0.41) is None
    assert pace.seconds_left(160.0, 0.5) == pytest.approx(300)
    assert pace.seconds_left(160.0, 1.0) == 0
