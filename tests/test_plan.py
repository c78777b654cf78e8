"""A plan explains itself: what is shared, what is cached, what must run and why, what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import load_protocols
from harness.errors import DataError
from harness.execution.worker import make_job, work
from harness.planning.inputs import Inputs, gather
from harness.planning.invalidation import History
from harness.planning.plan import Plan, make_plan
from harness.planning.study import load_study
from harness.stage import Data, Stage
from harness.store.local import Failure, Store
from tests.engine import make_davis16, toy

STUDY = """
name: try
method: dipnet
benchmarks: [davis16-val, davis17-val]
variants:
  first: {method: first-mask}
  full: {crop: false}
  omega-0.50: {crop: false, omega: 0.5}
  omega-0.95: {crop: false, omega: 0.95}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_davis16(tmp_path_factory.mktemp("data"))


def inputs_of(root: Path, cache: Path, *names: str) -> Inputs:
    protocols = load_protocols()
    return gather([protocols[name] for name in names or ("davis16-val", "davis17-val")], root, cache)


def plan(tmp_path: Path, root: Path, text: str = STUDY, **options: Any) -> Plan:
    (tmp_path / "study.yaml").write_text(text)
    study = load_study(tmp_path / "study.yaml", load_protocols())
    return make_plan(study, inputs_of(root, tmp_path / "facts.sqlite"), Store(tmp_path / "home"), **options)


def test_variants_that_differ_in_omega_share_training_and_one_shot(tmp_path: Path, root: Path) -> None:
    made = plan(tmp_path, root)
    kinds = [item.stage.name for item in made.items.values()]
    assert kinds.count("train") == 2
    assert kinds.count("finetune") == 2  # two sequences, one each
    assert kinds.count("segment") == 2 * 3  # first mask, ω 0.95 twice the same, ω 0.5
    assert kinds.count("time") == 2  # first mask; ω takes no time
    assert made.unshared - len(made.items) > 10


def test_needs_come_before_what_needs_them(tmp_path: Path, root: Path) -> None:
    seen: set[str] = set()
    for key, item in plan(tmp_path, root).items.items():
        assert {need.key for need in item.stage.needs.values()} <= seen
        assert (item.state == "waiting") == bool(item.stage.needs)
        seen.add(key)


def test_an_unavailable_benchmark_is_skipped_if_another_is_available(tmp_path: Path, root: Path) -> None:
    made = plan(tmp_path, root)
    left = {cell.name for cell in made.cells if cell.reason}
    assert left == {f"{variant.name}/davis17-val/0" for variant in made.study.variants}
    assert any("davis17-val skipped" in text for text in made.omissions)


def test_training_without_data_is_reported_as_omitted(tmp_path: Path, root: Path) -> None:
    made = plan(tmp_path, root)
    cell = next(cell for cell in made.cells if cell.name == "full/davis16-val/0")
    assert "pre-training skipped" in cell.omitted[0]
    assert "PASCAL VOC" in cell.omitted[0]


def test_a_cell_without_any_training_data_is_skipped(tmp_path: Path, root: Path) -> None:
    text = STUDY.replace("full: {crop: false}", "full: {crop: false, training: pretraining}")
    cell = next(cell for cell in plan(tmp_path, root, text).cells if cell.name == "full/davis16-val/0")
    assert not cell.targets
    assert "pre-training" in cell.reason


def test_a_root_without_any_of_the_benchmarks_is_an_error(tmp_path: Path, root: Path) -> None:
    with pytest.raises(DataError, match="DAVIS 2017"):
        inputs_of(root, tmp_path / "facts.sqlite", "davis17-val")
    with pytest.raises(DataError, match="absent"):
        inputs_of(tmp_path / "absent", tmp_path / "facts.sqlite")


def test_damaged_data_is_an_error_before_anything_is_planned(tmp_path: Path) -> None:
    root = make_davis16(tmp_path / "data")
    frame = root / "DAVIS2016" / "JPEGImages" / "480p" / "b" / "00003.jpg"
    frame.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"00003\.jpg"):
        plan(tmp_path, root)


def test_where_the_data_lies_is_not_in_a_key_and_what_it_holds_is(tmp_path: Path, root: Path) -> None:
    here = plan(tmp_path, root)
    moved = make_davis16(tmp_path / "moved")
    assert set(plan(tmp_path, moved).items) == set(here.items)
    other = make_davis16(tmp_path / "other", frames=6)
    assert not set(plan(tmp_path, other).items) & set(here.items)


def test_gpus_are_in_no_key_and_the_seed_is_in_those_of_training(tmp_path: Path, root: Path) -> None:
    here = plan(tmp_path, root)
    assert set(plan(tmp_path, root, gpus=1.0).items) == set(here.items)
    seeded = plan(tmp_path, root, STUDY + "seeds: [1]\n")
    assert {item.stage.name for key, item in seeded.items.items() if key in here.items} == {"segment", "score", "time"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def done(stage: Stage, store: Store) -> Stage:
    assert work(make_job(stage, store, 1, ""))
    return stage


def why(stage: Stage, store: Store) -> str:
    return str(History(store, {stage.key}).why(stage))


def test_a_stage_without_a_forerunner_is_new(tmp_path: Path, store: Store) -> None:
    assert why(toy(tmp_path / "log", "a"), store) == "new"


def test_a_changed_option_is_named_with_both_values(tmp_path: Path, store: Store) -> None:
    done(toy(tmp_path / "log", "a"), store)
    assert why(toy(tmp_path / "log", "a", seconds=0.5), store) == "config changed: seconds 0.0 → 0.5"


def test_an_earlier_stage_with_many_other_options_is_unrelated(tmp_path: Path, root: Path) -> None:
    one = "name: try\nmethod: dipnet\nbenchmarks: [davis16-val]\nvariants: {v: {phases: propagation, crop: false}}\n"
    store = Store(tmp_path / "home")
    for key, item in plan(tmp_path, root, one).items.items():
        (store.start(key).folder / "x").write_text("")
        store.publish(item.stage.name, key, item.stage.label, item.stage.identity, {})
    both = plan(tmp_path, root, one.replace("propagation", "both"))
    reasons = {item.stage.name: item.why for item in both.items.values() if item.state != "cached"}
    assert reasons["segment"] == "new"  # two options, and seven of a network that the earlier one did without
    faster = plan(tmp_path, root, one.replace("crop:", "omega: 0.5, crop:"))
    reasons = {item.stage.name: item.why for item in faster.items.values() if item.state != "cached"}
    assert reasons["segment"] == "config changed: omega 0.95 → 0.5"


def test_the_reason_prefers_an_earlier_stage_of_the_same_label(tmp_path: Path, store: Store) -> None:
    done(toy(tmp_path / "log", "a", seconds=0.1, prints="x"), store)
    done(replace(toy(tmp_path / "log", "a", seconds=0.1), label="toy b"), store)
    assert (
        why(toy(tmp_path / "log", "a"), store) == "config changed: prints 'x' → ''; config changed: seconds 0.1 → 0.0"
    )


def test_changed_data_is_named(tmp_path: Path, store: Store) -> None:
    old = replace(toy(tmp_path / "log", "a"), data={"video": Data(name="v", digest="1", value=None)})
    new = replace(old, data={"video": Data(name="v", digest="2", value=None)})
    done(old, store)
    assert why(new, store) == "data changed: video"


def test_changed_code_is_named_by_module(tmp_path: Path, store: Store) -> None:
    stage = toy(tmp_path / "log", "a")
    old = replace(stage.identity, code={**stage.code, "tests.engine": "before"})
    place = store.start("0" * 64)
    (place.folder / "x").write_text("")
    store.publish("toy", "0" * 64, stage.label, old, {})
    assert why(stage, store) == "code changed: tests.engine"


def test_a_stage_whose_need_changed_says_so(tmp_path: Path, store: Store) -> None:
    before = done(toy(tmp_path / "log", "before"), store)
    done(toy(tmp_path / "log", "a", {"network": before}), store)
    after = toy(tmp_path / "log", "a", {"network": toy(tmp_path / "log", "before", seconds=1.0)})
    assert why(after, store) == "what it needs changed: network"


def test_a_stage_that_failed_says_how(tmp_path: Path, store: Store) -> None:
    stage = toy(tmp_path / "log", "a")
    store.fail(Failure(key=stage.key, label="a", error="out of luck", traceback="", log="", when=0.0))
    assert why(stage, store) == "failed before: out of luck"


def test_seconds_are_expected_from_earlier_stages_of_the_kind(tmp_path: Path, store: Store) -> None:
    stage = toy(tmp_path / "log", "a")
    for number, seconds in enumerate((2.0, 4.0)):
        place = store.start(str(number) * 64)
        (place.folder / "x").write_text("")
        store.publish("toy", str(number) * 64, "other", stage.identity, {"seconds": seconds})
    assert History(store, {stage.key}).seconds(stage) == 3.0
