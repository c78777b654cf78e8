"""One-shot fine-tuning of both networks as one: what learns, what its stage leaves, what it shares."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from dipnet.config import DIPNetConfig, OneShotConfig, PropagationConfig, SegmentationConfig
from dipnet.train_end_to_end import BothNetworks, tune_both
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import new_segmentation
from harness.config import resolve
from harness.datasets.pixels import read_mask
from harness.errors import StudyError
from tests.test_dipnet_stages import TINY, plan, reached, run
from tests.videos import Squares, first_frame
from vos.config import AugmentationConfig
from vos.optimization import TrainingRun

PROPAGATION = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8)
SEGMENTATION = SegmentationConfig(backbone="mini", size=64, channels=8, units=1, finest_stride=2)


def networks() -> BothNetworks:
    return BothNetworks(new_propagation(PROPAGATION, "none", 0), new_segmentation(SEGMENTATION, "none", 0))


def test_both_networks_learn_and_the_trained_ones_stay() -> None:
    both = networks()
    before = copy.deepcopy(both.state_dict())
    frame, objects = first_frame(Squares())
    config = OneShotConfig(
        optimizer="adamw", learning_rate=3e-3, batch=2, batch_norm="train", augmentation=AugmentationConfig(crop=0)
    )
    done = TrainingRun(seed=0)
    tuned = tune_both(both.propagation, both.segmentation, frame, objects[0].astype(np.uint8), config, 60, done)
    losses = [loss for _, loss in done.curve]
    assert np.mean(losses[-2:]) < 0.6 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in both.state_dict().items())
    for network, old in zip(tuned, (both.propagation, both.segmentation), strict=True):
        first = dict(old.named_parameters())
        changed = [name for name, value in network.named_parameters() if not torch.equal(value, first[name])]
        assert any("backbone" in name or "encoder" in name for name in changed)
    assert any(
        not torch.equal(value, dict(both.propagation.named_parameters())[name])
        for name, value in tuned[0].named_parameters()
        if name.startswith("identity")
    )


def test_the_coarse_mask_is_the_propagated_one() -> None:
    both = networks().eval()
    images, mask = torch.randn(2, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float()
    with torch.no_grad():
        identity = both.propagation.encode_identity(images[:1], mask)
        coarse = torch.sigmoid(both.propagation.propagate(both.propagation.encode_frame(images[1:]), identity))
        expected = both.segmentation.refine(images[1:], coarse)
        found = both(images[:1], mask, images[1:], images[1:])
        large = torch.nn.functional.interpolate(found[-1], (64, 64), mode="bilinear")
    assert torch.allclose(large, expected, atol=1e-5)


def test_a_cell_uses_what_was_tuned_as_one(tmp_path: Path) -> None:
    cell, done = plan(training="end-to-end", crop=False), {}
    masks = sorted((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())
    assert np.array_equal(read_mask(masks[0]), Squares().mask(0))
    assert cell.timing is None
    tuned = [stage for stage in reached(cell.segment["a"]).values() if stage.name == "finetune"]
    assert [stage.label for stage in tuned] == ["one-shot of both networks on the frame of a"]
    assert sorted(file.name for file in done[tuned[0].key].iterdir()) == ["network.pt", "propagation.pt"]
    assert set(cell.segment["a"].needs.values()) == {tuned[0]}
    usual = {key for key, stage in reached(plan(crop=False).segment["a"]).items() if stage.name == "train"}
    assert {key for key, stage in reached(cell.segment["a"]).items() if stage.name == "train"} == usual


@pytest.mark.parametrize("change", [{"phases": "segmentation", "crop": False}, {"one_shot.feature_views": 4}])
def test_one_network_cannot_be_tuned_end_to_end(change: dict[str, object]) -> None:
    with pytest.raises(StudyError, match="tunes both networks"):
        resolve(DIPNetConfig, {**TINY, "training": "end-to-end", **change}, "test")
