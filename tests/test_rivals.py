"""What every trained rival promises: its cell can be computed, shares what it can, and trains as DIPNet does."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dipnet.config import DIPNetConfig
from harness.config import resolve
from harness.datasets import load_protocols
from harness.datasets.pixels import read_mask
from harness.method import CellPlan, CellRequest, find_method
from harness.planning.study import load_study, shipped_studies
from harness.stage import Data, Stage
from harness.yaml_file import read_yaml
from tests.engine import ROOT
from tests.test_dipnet_stages import STILLS, VIDEOS, reached, run
from tests.test_vos_folding import varied
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.folding import fold_batch_norm
from vos.one_network import OneNetworkConfig, OneNetworkMethod

SHORT = {"iterations": 2, "batch": 2}
TRAINED: dict[str, Any] = {
    "network": {"backbone": "mini", "size": 64},
    "trainings": {"pretraining": SHORT, "offline": SHORT},
}
TUNED: dict[str, Any] = {**TRAINED, "one_shot": {"iterations": 1, "batch": 1}}
TINY: dict[str, dict[str, Any]] = {
    "osvos": TUNED,
    "msk": TUNED,
    "onavos": {**TUNED, "inference": {"steps": 2, "passes": 2, "learning_rate": 1e-4}},
    "pml": TRAINED,
    "rgmp": {**TUNED, "training": "one-shot"},
    "stcn": {**TRAINED, "network": {"backbone": "mini", "size": 64, "value_backbone": "mini", "channels": 16}},
    "osmn": {**TRAINED, "network": {"backbone": "mini", "size": 64, "guide_size": 32}},
}
"""Options of each method with which a cell takes seconds."""

COPIES: dict[str, int] = {"osvos": 2, "msk": 2, "onavos": 2, "rgmp": 1}
"""Networks that are tuned for two objects, of those that are tuned here."""


def request(name: str, objects: int = 2, **change: object) -> CellRequest:
    return CellRequest(
        config=resolve(find_method(name, "test").config, {**TINY[name], **change}, "test"),
        sequences={key: Data(name=key, digest=key, value=Squares(objects=objects, length=4)) for key in "ab"},
        multi_object=objects > 1,
        training={"pretraining": STILLS, "offline": VIDEOS},
        missing={},
        seed=0,
        machine="here",
    )


def plan(name: str, objects: int = 2, **change: object) -> CellPlan:
    return find_method(name, "test").plan(request(name, objects, **change))


def stages(cell: CellPlan) -> dict[str, Stage]:
    return {key: stage for one in cell.segment.values() for key, stage in reached(one).items()}


def keys(cell: CellPlan, name: str) -> set[str]:
    return {key for key, stage in stages(cell).items() if stage.name == name}


def test_every_method_of_one_network_is_tested_here() -> None:
    scale = read_yaml(shipped_studies() / "scales" / "mini.yaml")
    assert {name for name in scale["methods"] if isinstance(find_method(name, "x"), OneNetworkMethod)} == TINY.keys()


@pytest.mark.parametrize("name", TINY)
def test_a_cell_goes_from_training_to_masks_and_seconds(name: str, tmp_path: Path) -> None:
    cell, done = plan(name), {}
    masks = sorted((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())
    assert [mask.stem for mask in masks] == ["00000", "00001", "00002", "00003"]
    assert np.array_equal(read_mask(masks[0]), Squares(objects=2).mask(0))
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    per_video = timing["one_shot_seconds_per_video"]
    assert (per_video > 0) == (name in COPIES)
    assert timing["seconds_per_frame"] == pytest.approx(timing["inference_seconds_per_frame"] + per_video / 4)
    tuned = [folder for key, folder in done.items() if key in keys(cell, "finetune")]
    files = [sorted(file.name for file in folder.iterdir()) for folder in tuned]
    assert files == ([[f"network{i}.pt" for i in range(COPIES[name])]] if name in COPIES else [])


@pytest.mark.parametrize("name", sorted(TINY.keys() - {"onavos"}))  # which learns from every frame
def test_batch_norm_folded_into_convolutions_gives_the_same_scores(name: str) -> None:
    method, config = find_method(name, "test"), request(name).config
    assert isinstance(method, OneNetworkMethod)
    assert isinstance(config, OneNetworkConfig)
    new, make = method.classes()
    network = for_inference(varied(new(**dict(config.network))), "cpu")
    scores = []
    for one in (network, fold_batch_norm(copy.deepcopy(network))):
        segmenter = make([one], config.inference, "cpu", False)
        segmenter.start(*first_frame(Squares(objects=2)))
        scores.append(segmenter.step(Squares(objects=2).frame(1)))
    np.testing.assert_allclose(*scores, atol=1e-3)


@pytest.mark.parametrize("name", TINY)
def test_videos_and_variants_share_what_they_have_in_common(name: str) -> None:
    full, offline, pretraining = plan(name), plan(name, training="offline"), plan(name, training="pretraining")
    assert [len(keys(full, stage)) for stage in ("train", "segment")] == [2, 2]
    assert len(keys(full, "finetune")) == (2 if name in COPIES else 0)
    assert keys(offline, "train") == keys(full, "train")
    assert not keys(offline, "finetune")
    assert keys(pretraining, "train") < keys(full, "train")
    other = {"trainings.offline.coarse.kernel": 3, "trainings.offline.validation_steps": 7}
    assert keys(plan(name, **other), "train") == keys(full, "train")  # nothing reads these
    assert keys(plan(name, **{"trainings.offline.learning_rate": 0.5}), "train") != keys(full, "train")


@pytest.mark.parametrize("name", TINY)
def test_keys_cover_the_code_of_the_method_and_no_other_rival(name: str) -> None:
    code = {stage.name: set(stage.code) for stage in stages(plan(name)).values()}
    own = {f"rivals.{name}", f"rivals.{name}_network"}
    assert code["train"] >= {*own, "vos.optimization", "vos.samples", "vos.training", "vos.backbone"}
    assert code["segment"] >= {f"rivals.{name}_network", "vos.segment"}
    others = {other for names in code.values() for other in names if other.startswith(("dipnet", "rivals."))}
    assert others <= {*own, "rivals.propagation"}


@pytest.mark.parametrize("scale", ["mini", "light"])
@pytest.mark.parametrize("name", TINY)
def test_a_rival_trains_as_long_and_on_the_same_samples_as_dipnet(name: str, scale: str) -> None:
    options = read_yaml(shipped_studies() / "scales" / f"{scale}.yaml")["methods"]
    theirs = resolve(DIPNetConfig, options["dipnet"], scale)
    ours = resolve(find_method(name, "test").config, options[name], scale)
    assert isinstance(ours, OneNetworkConfig)
    assert ours.network.backbone == theirs.segmentation.backbone
    assert ours.network.size == max(theirs.segmentation.size, theirs.propagation.size)
    assert ours.weights == theirs.weights
    same = {"iterations", "batch", "optimizer", "learning_rate", "backbone_rate", "frozen_blocks", "schedule"}
    same |= {"batch_norm", "augmentation", "weight_decay", "momentum"}
    for role in ("pretraining", "offline"):
        one, other = getattr(ours.trainings, role), getattr(theirs.segmentation_training, role)
        assert one.model_dump(include=same) == other.model_dump(include=same)
    if ours.one_shot is not None:
        tuning = same - {"iterations"}
        assert ours.one_shot.model_dump(include=tuning) == theirs.one_shot.model_dump(include=tuning)
        assert ours.one_shot.iterations == theirs.one_shot.frame_iterations + theirs.one_shot.crop_iterations


def test_the_study_of_rivals_has_every_method() -> None:
    study = load_study(shipped_studies() / "rivals.yaml", load_protocols())
    scale = read_yaml(shipped_studies() / "scales" / "mini.yaml")
    assert {variant.method for variant in study.variants} == {*scale["methods"], "first-mask"}


def test_a_plan_needs_no_torch() -> None:
    modules = ", ".join(f"rivals.{name}" for name in TINY)
    program = f"import {modules}, harness.run, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
