"""DIPNet's cells as stages: what variants share, what is skipped, and one cell run from end to end."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dipnet.config import DIPNetConfig
from dipnet.mlflow_model import describe
from dipnet.stages import METHOD
from harness.config import resolve
from harness.datasets.pixels import read_mask
from harness.errors import DataUnavailableError
from harness.method import CellPlan, CellRequest, find_method
from harness.stage import Data, Stage, Task
from tests.engine import ROOT
from tests.videos import Squares
from vos.backbone import torchvision_models
from vos.weights import WeightsError

TINY = {
    "weights": "none",
    "propagation": {"backbone": "mini", "size": 64, "output_stride": 16, "head_channels": 8},
    "segmentation": {"backbone": "mini", "size": 64, "channels": 8, "units": 1, "finest_stride": 2},
    "propagation_training.pretraining.iterations": 2,
    "propagation_training.offline.iterations": 2,
    "segmentation_training.pretraining.iterations": 2,
    "segmentation_training.offline.iterations": 2,
    "one_shot": {"frame_iterations": 1, "crop_iterations": 1, "instance_iterations": 1, "batch": 1},
}
STILLS = Data(name="voc", digest="v", value=(Squares(length=1), Squares(length=1, seed=5)))
VIDEOS = Data(name="train", digest="t", value=(Squares(seed=1),))


def plan(
    objects: int = 1,
    pretraining: Data | None = STILLS,
    offline: Data | None = VIDEOS,
    seed: int = 0,
    shared: dict[Any, Any] | None = None,
    **change: object,
) -> CellPlan:
    request = CellRequest(
        config=resolve(DIPNetConfig, {**TINY, **change}, "test"),
        sequences={name: Data(name=name, digest=name, value=Squares(objects=objects, length=4)) for name in "ab"},
        multi_object=objects > 1,
        training={"pretraining": pretraining, "offline": offline},
        missing={"pretraining": "no VOC", "offline": "no DAVIS"},
        seed=seed,
        machine="here",
        shared={} if shared is None else shared,
    )
    return METHOD.plan(request)


def reached(stage: Stage) -> dict[str, Stage]:
    found = {stage.key: stage}
    for need in stage.needs.values():
        found |= reached(need)
    return found


def keys(cell: CellPlan, name: str) -> set[str]:
    return {key for stage in cell.segment.values() for key, s in reached(stage).items() if s.name == name}


def test_the_method_is_found_by_its_name() -> None:
    assert find_method("dipnet", "test") is METHOD


def test_an_omega_sweep_repeats_nothing_but_segmenting() -> None:
    cells = [plan(crop=False, omega=omega) for omega in (0.0, 0.5, 1.0)]
    for name in ("train", "finetune"):
        assert len(set.union(*(keys(cell, name) for cell in cells))) == len(keys(cells[0], name))
    assert len(set.union(*(keys(cell, "segment") for cell in cells))) == 3 * 2
    assert len({cell.timing.key for cell in cells if cell.timing}) == 1


def test_variants_that_differ_in_inference_share_all_that_is_trained() -> None:
    full, plain = plan(), plan(crop=False)
    assert keys(plain, "train") == keys(full, "train")
    assert keys(plain, "finetune") < keys(full, "finetune")


@pytest.mark.parametrize(
    ("network", "others"),
    [
        ("propagation", {"dipnet.segmentation", "dipnet.train_segmentation"}),
        ("segmentation", {"dipnet.propagation", "dipnet.identity", "dipnet.train_propagation"}),
    ],
)
def test_training_one_network_does_not_reach_the_code_of_the_other(network: str, others: set[str]) -> None:
    stages = [stage for target in plan().segment.values() for stage in reached(target).values()]
    (code, *more) = [stage.code for stage in stages if stage.run == f"dipnet.stage_runs:run_train_{network}"]
    assert f"dipnet.{network}" in code
    assert f"dipnet.train_{network}" in code
    assert not others & set(code)
    assert all(code == one for one in more)


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("train", {"optimization", "samples", "backbone", "stage_runs", "training"}),
        ("finetune", {"one_shot", "optimization", "hints"}),
        ("segment", {"segment", "geometry", "backbone"}),
        ("time", {"timing", "segment", "one_shot"}),
    ],
)
def test_the_code_of_vos_is_part_of_every_stage(name: str, modules: set[str]) -> None:
    cell = plan()
    stages = [stage for target in [*cell.segment.values(), cell.timing] for stage in reached(target).values()]
    codes = [stage.code for stage in stages if stage.name == name]
    assert codes
    assert all({f"vos.{module}" for module in modules} <= set(code) for code in codes)


def test_the_concat_encoder_shares_the_segmentation_network() -> None:
    attention, concat = (keys(plan(**{"propagation.identity_input": way}), "train") for way in ("attention", "concat"))
    assert len(attention & concat) == 2
    assert len(attention | concat) == 6


def test_another_seed_shares_no_training() -> None:
    assert not keys(plan(seed=0), "train") & keys(plan(seed=1), "train")


@pytest.mark.parametrize(
    ("change", "trained"),
    [({"crop": False, "phases": "propagation"}, 2), ({"crop": False, "phases": "segmentation"}, 2), ({}, 4)],
)
def test_a_phase_that_is_not_used_is_not_trained(change: dict, trained: int) -> None:
    assert len(keys(plan(**change), "train")) == trained


def test_the_training_variant_decides_which_stages_there_are() -> None:
    assert len(keys(plan(training="pretraining"), "train")) == 2
    assert not keys(plan(training="offline"), "finetune")
    assert keys(plan(training="one-shot"), "finetune")


def test_jointly_and_separately_are_the_same_for_a_single_object() -> None:
    ways = ("jointly", "separately")
    assert len(set.union(*(keys(plan(instances=way), "segment") for way in ways))) == 2
    assert len(set.union(*(keys(plan(objects=2, instances=way), "segment") for way in ways))) == 4


def test_several_objects_are_tuned_on_each_with_and_without_the_crop() -> None:
    full, plain = (plan(objects=2, **change).segment["a"].needs for change in ({}, {"crop": False}))
    assert full["segmentation"].key == plain["segmentation"].key
    margins = [needs["objects"].config.model_dump()["crop_margin"] for needs in (full, plain)]
    assert margins == [0.25, None]
    assert all(needs["objects"].needs["network"].key == needs["segmentation"].key for needs in (full, plain))
    assert "objects" in plan().segment["a"].needs
    assert "objects" not in plan(crop=False).segment["a"].needs


def test_a_stage_without_data_is_skipped_with_a_note() -> None:
    cell = plan(pretraining=None)
    assert cell.omitted == ("pre-training skipped: no VOC",)
    assert len(keys(cell, "train")) == 2


def test_a_cell_without_any_training_data_is_not_available() -> None:
    with pytest.raises(DataUnavailableError, match="no VOC"):
        plan(pretraining=None, training="pretraining")
    with pytest.raises(DataUnavailableError, match="no DAVIS"):
        plan(pretraining=None, offline=None)


def test_a_weights_file_that_is_missing_is_named(tmp_path: Path) -> None:
    change = {"weights": str(tmp_path / "w.pt"), "propagation": {"backbone": "resnet18", "size": 64}}
    with pytest.raises(WeightsError, match=r"w\.pt"):
        plan(**change)
    torch.save(torchvision_models().resnet18(weights=None).state_dict(), tmp_path / "w.pt")
    assert keys(plan(**change), "train")


def test_the_version_of_the_imagenet_weights_is_part_of_the_key() -> None:
    change = {"propagation": {"backbone": "resnet50", "size": 64}, "segmentation": {"backbone": "resnet50", "size": 64}}
    first, second, default = (
        keys(plan(**change, weights=weights), "train")
        for weights in ("imagenet-v1", "imagenet-v2", DIPNetConfig().weights)
    )
    assert not first & second
    assert default == first


def test_a_plan_needs_no_torch() -> None:
    program = "import dipnet.stages, harness.run, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_cells_planned_together_have_the_stages_of_cells_planned_singly() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"omega": 0.5},
        {"omega": 0.0, "anchor": 0.3},
        {"omega": 0.5, "anchor": 0.3},
        {"confident_omega": True},
        {"crop": False},
        {"one_shot.learning_rate": 0.1},
        {"analyses": ["identities"]},
    ]
    shared: dict[Any, Any] = {}
    for change in changes:
        single, together = plan(**change), plan(shared=shared, **change)
        for one, other in ((single.segment, together.segment), (single.analyses, together.analyses)):
            assert {name: stage.key for name, stage in one.items()} == {name: s.key for name, s in other.items()}
        assert single.timing is not None
        assert together.timing is not None
        assert single.timing.key == together.timing.key
    assert len(shared) < 2 * len(changes)


def run(stage: Stage, home: Path, done: dict[str, Path]) -> Path:
    """The stage and what it needs, in order, as the engine would."""
    if stage.key not in done:
        needs = {role: run(need, home, done) for role, need in stage.needs.items()}
        folder, scratch = home / stage.key, home / f"{stage.key}.scratch"
        folder.mkdir()
        scratch.mkdir()
        task = Task(
            folder=folder,
            scratch=scratch,
            config=stage.config,
            needs=needs,
            data={role: data.value for role, data in stage.data.items()},
        )
        module, _, function = stage.run.partition(":")
        getattr(import_module(module), function)(task)
        done[stage.key] = folder
    return done[stage.key]


@pytest.mark.parametrize("objects", [1, 2])
def test_a_cell_goes_from_training_to_masks_and_seconds(objects: int, tmp_path: Path) -> None:
    cell, done = plan(objects=objects), {}
    for name, stage in cell.segment.items():
        folder = run(stage, tmp_path, done)
        masks = sorted((folder / "masks").iterdir())
        assert [mask.stem for mask in masks] == ["00000", "00001", "00002", "00003"], name
        assert np.array_equal(read_mask(masks[0]), Squares(objects=objects, length=4).mask(0))
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    per_video = timing["one_shot_seconds_per_video"]
    assert timing["seconds_per_frame"] == pytest.approx(timing["inference_seconds_per_frame"] + per_video / 4)
    curves = [folder / "curves.csv" for folder in done.values() if (folder / "curves.csv").exists()]
    assert len(curves) == 4
    assert all("samples_per_second" in (curve.parent / "throughput.json").read_text() for curve in curves)
    assert all(list(csv.DictReader(curve.open()))[-1]["step"] == "2" for curve in curves)


def test_no_analysis_is_made_unless_it_is_asked_for() -> None:
    assert not plan().analyses
    assert not plan(crop=False, phases="segmentation", analyses=["identities"]).analyses


def test_variants_of_one_propagation_network_share_their_identities() -> None:
    option = {"analyses": ["identities"]}
    full, other, concat = (
        {stage.key for stage in plan(**change, **option).analyses.values()}
        for change in ({}, {"crop": False, "omega": 0.5}, {"propagation.identity_input": "concat"})
    )
    assert full == other
    assert not full & concat
    assert keys(plan(**option), "train") == keys(plan(), "train")


def test_identities_are_one_vector_for_each_object_that_a_frame_shows(tmp_path: Path) -> None:
    request = CellRequest(
        config=resolve(DIPNetConfig, {**TINY, "analyses": ["identities"]}, "test"),
        sequences={"a": Data(name="a", digest="a", value=Squares(objects=2, length=4, gone=2))},
        multi_object=True,
        training={"pretraining": None, "offline": VIDEOS},
        missing={"pretraining": "no VOC"},
    )
    analyses, done = METHOD.plan(request).analyses, {}
    found = {}
    for when in ("before", "after"):
        stage = analyses[f"identities/{when}/a"]
        assert stage.config.network == when
        with np.load(run(stage, tmp_path, done) / "identities.npz", allow_pickle=False) as arrays:
            found[when] = arrays["vectors"]
            assert arrays["objects"].tolist() == [1, 2, 1, 2, 2, 2]
            assert arrays["frames"].tolist() == [0, 0, 1, 1, 2, 3]
    assert found["after"].dtype == np.float32
    assert found["after"].shape == (6, 128)
    assert (found["after"] > 0).all()
    assert (found["after"] < 1).all()
    assert not np.array_equal(found["before"], found["after"])


def test_every_training_stage_writes_a_network_for_mlflow() -> None:
    cell = plan()
    stages = {key: s for stage in cell.segment.values() for key, s in reached(stage).items()}
    described = [describe(stage.run, stage.identity.config) for stage in stages.values() if stage.name == "train"]
    assert sorted(entry["kind"] for entry in described if entry) == ["propagation"] * 2 + ["segmentation"] * 2
    assert all(describe(s.run, s.identity.config) is None for s in stages.values() if s.name != "train")


def test_stages_on_a_gpu_reserve_the_cores_that_feed_it() -> None:
    request = CellRequest(
        config=resolve(DIPNetConfig, TINY, "test"),
        sequences={"a": Data(name="a", digest="a", value=Squares(length=4))},
        multi_object=False,
        training={"pretraining": None, "offline": VIDEOS},
        missing={"pretraining": "no VOC"},
    )
    shares = [replace(request, gpus=gpus, shared={}) for gpus in (0.0, 0.5, 2.0)]
    found = [{(s.name, s.resources.cpus) for s in reached(METHOD.plan(one).segment["a"]).values()} for one in shares]
    assert {cpus for _, cpus in found[0]} == {1}
    assert {cpus for _, cpus in found[1]} == {2}
    assert found[2] == {("train", 8), ("finetune", 4), ("segment", 4)}
