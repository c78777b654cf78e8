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
from harness.planning.plan import Item, Plan, make_plan
from harness.planning.schema import plan_json
from harness.planning.study import load_study
from harness.planning.text import plan_text
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
    study, protocols = load_study(tmp_path / "study.yaml", load_protocols()), load_protocols()
    sets = [name for variant in study.variants for name in variant.training_sets.values()]
    benchmarks = [protocols[name] for name in ("davis16-val", "davis17-val")]
    inputs = gather(benchmarks, root, tmp_path / "facts.sqlite", training_sets=sets)
    return make_plan(study, inputs, Store(tmp_path / "home"), **options)


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


def test_a_variant_may_train_on_another_training_set(tmp_path: Path, root: Path) -> None:
    text = f"{STUDY}  other: {{crop: false, training_sets: {{pretraining: davis16-train}}}}\n"
    made = plan(tmp_path, root, text)
    labels = {item.stage.label for item in made.items.values() if item.stage.name == "train"}
    assert "train propagation, pre-training on davis16-train" in labels
    cell = next(cell for cell in made.cells if cell.name == "other/davis16-val/0")
    assert not cell.omitted
    assert cell.variant.options["training_sets"] == {"pretraining": "davis16-train"}
    usual = next(cell for cell in made.cells if cell.name == "full/davis16-val/0")
    assert not {stage.key for stage in cell.targets} & {stage.key for stage in usual.targets}


def test_a_training_set_that_is_missing_is_named(tmp_path: Path, root: Path) -> None:
    text = STUDY.replace("full: {crop: false}", "full: {crop: false, training_sets: {offline: davis17-train}}")
    cell = next(cell for cell in plan(tmp_path, root, text).cells if cell.name == "full/davis16-val/0")
    assert "DAVIS17 train" in cell.reason


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


def test_the_kind_of_device_is_in_the_keys_of_networks_not_its_number(tmp_path: Path, root: Path) -> None:
    cpu, half, two = (plan(tmp_path, root, gpus=gpus) for gpus in (0.0, 0.5, 2.0))
    assert set(half.items) == set(two.items)
    common = [item.stage for key, item in half.items.items() if key in cpu.items]
    assert {stage.name for stage in common} == {"segment", "score", "time"}
    assert not any("torch" in stage.environment for stage in common)  # they are those of the first mask


def test_the_seed_is_in_the_keys_of_training(tmp_path: Path, root: Path) -> None:
    here, seeded = plan(tmp_path, root), plan(tmp_path, root, STUDY + "seeds: [1]\n")
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


def published_as(stage: Stage, store: Store, **change: Any) -> None:
    """Publish a stage whose identity differs from that of the given one."""
    key = "0" * 64
    (store.start(key).folder / "x").write_text("")
    store.publish(stage.name, key, stage.label, replace(stage.identity, **change), {})


NETWORK = "dipnet.stage_runs:run_segment"
"""A function that reaches torch."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": "gpu"}, "device changed: gpu → cpu (computed on gpu here before)"),
        ({"torch": "1"}, "torch changed: 1 → {torch}"),
        ({"torch": "1", "cv2": "3"}, "cv2 changed: 3 → {cv2}; torch changed: 1 → {torch}"),
    ],
)
def test_a_changed_device_or_library_is_the_reason(
    tmp_path: Path, store: Store, change: dict[str, str], reason: str
) -> None:
    stage = replace(toy(tmp_path / "log", "a"), run=NETWORK)
    published_as(stage, store, environment={**stage.environment, **change})
    assert why(stage, store) == reason.format(**stage.environment)


def test_a_field_that_holds_another_class_is_the_reason(tmp_path: Path, store: Store) -> None:
    stage = toy(tmp_path / "log", "a")
    published_as(stage, store, classes={"": "tests.engine:Other"})
    assert why(stage, store) == "config changed: class of 'tests.engine:Other' → 'tests.engine:ToyConfig'"


def test_a_home_of_a_release_with_other_keys_says_so(tmp_path: Path, store: Store) -> None:
    stage = toy(tmp_path / "log", "a")
    old = {"classes": {}, "environment": {}, "scheme": 1, "code": {"tests.engine": "made differently"}}
    published_as(stage, store, **old)
    assert why(stage, store) == "keys are made differently now"
    published_as(stage, store, **old, config={**stage.identity.config, "seconds": 1.0})
    assert why(stage, store) == "keys are made differently now; config changed: seconds 1.0 → 0.0"


def test_what_keys_do_not_cover_is_noted_once_in_text_and_json(tmp_path: Path, root: Path) -> None:
    made = plan(tmp_path, root)
    stage = toy(tmp_path / "log", "a")
    made = replace(made, items={stage.key: Item(stage=stage, state="to run")})
    notes = [line for line in plan_text(made, cpus=1) if "note:" in line]
    assert len(notes) == len(set(notes)) == len(plan_json(made, cpus=1)["notes"]) > 0
    assert notes[0].startswith("  note: tests/engine.py:")


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
