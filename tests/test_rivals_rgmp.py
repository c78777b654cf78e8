"""RGMP: its loss by hand, what the reference is worth, several objects, its tuned copy, and what stages share."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rivals.propagation import first_masks
from rivals.rgmp import InferenceConfig, OneShotConfig, RGMPTraining
from rivals.rgmp_network import (
    FirstFrame,
    RGMPNetwork,
    RGMPSegmenter,
    clip_loss,
    clip_objective,
    fine_tune_on,
    new_network,
    propagated,
    train_network,
)
from tests.test_rivals import keys, plan
from tests.test_rivals_nearest import overlap
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.optimization import TrainingRun, masked_cross_entropy
from vos.samples import area_truth
from vos.segment import merged

PLAIN = AugmentationConfig(crop=0)
COLORS = np.array([[0, 0, 0], [230, 60, 40], [60, 230, 40]])


@dataclass(frozen=True)
class Among(Squares):
    """One square of `color`, then a small one of each color anywhere: only the first frame says which is the object."""

    length: int = 2
    color: int = 1
    mirrored: bool = False

    def places(self, index: int) -> NDArray[np.uint8]:
        ids = np.zeros((60, 80), np.uint8)
        rng = np.random.default_rng([self.seed, index])
        if not index:
            ids[8:52, 12:68] = self.color
        else:
            for place, color in enumerate(rng.permutation([1, 2])):
                top, left = rng.integers(2, 36), 40 * place + rng.integers(0, 16)
                ids[top : top + 22, left : left + 24] = color
        return np.ascontiguousarray(ids[:, ::-1]) if self.mirrored else ids

    def drawn(self, index: int) -> NDArray[np.uint8]:
        return (self.places(index) == self.color).astype(np.uint8)

    def frame(self, index: int) -> NDArray[np.uint8]:
        ids = self.places(index)
        noise = np.random.default_rng([self.seed, index]).integers(0, 80, (60, 80, 3))
        return np.where(ids[..., None] > 0, COLORS[ids], noise).astype(np.uint8)


LEARNED = [Among(seed=seed, color=color) for seed in range(3) for color in (1, 2)]
"""The videos that the trained network knows."""


def network(seed: int = 0) -> RGMPNetwork:
    return new_network("mini", 64, 16, "none", seed)


def segmenter(net: RGMPNetwork, *scales: float) -> RGMPSegmenter:
    return RGMPSegmenter([net], InferenceConfig(scales=scales or (1.0,)), "cpu")


@pytest.fixture(scope="module")
def trained() -> RGMPNetwork:
    options = {"batch_norm": "train", "schedule": "cosine", "level_weight": 0, "augmentation": PLAIN}
    config = RGMPTraining(iterations=130, batch=4, frames=2, learning_rate=4e-3, **options)
    learned = network()
    train_network(learned, LEARNED, config, TrainingRun(seed=0))
    return for_inference(learned, "cpu")


def quality(net: RGMPNetwork, videos: list[Among], references: list[Among] | None = None) -> float:
    """Return the mean J of second frames, with the first frames of other videos as references if there are any."""
    found = []
    for video, reference in zip(videos, references or videos, strict=True):
        one = segmenter(net)
        one.start(*first_frame(reference))
        found.append(overlap(one.step(video.frame(1))[0] > 0.5, video.drawn(1) == 1))
    return float(np.mean(found))


def test_the_loss_is_the_mean_over_frames_of_every_level() -> None:
    truth, known = torch.zeros(1, 2, 1, 32, 32), torch.ones(1, 2, 1, 32, 32)
    truth[0, :, :, :, :16] = 1
    known[0, 1] = 0
    truth[0, 1] = 0
    levels = [torch.full((1, 1, side, side), value) for side, value in ((1, 2.0), (8, -1.0))]
    other = [torch.full_like(level, 50.0) for level in levels]  # a frame of which nothing is known
    zero, one = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    fine, coarse = (zero + one) / 2, (math.log(1 + math.exp(2)) + math.log(1 + math.exp(-2))) / 2
    for weight, expected in ((0.0, fine), (0.5, fine + 0.5 * coarse)):
        loss = clip_loss([levels, other], truth, known, known, weight)
        assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_coarser_levels_learn_shares_of_cells() -> None:
    truth, known = (torch.rand(2, 1, 1, 32, 32) > 0.5).float(), torch.ones(2, 1, 1, 32, 32)
    levels = [torch.randn(2, 1, side, side) for side in (1, 2, 4, 8)]
    shares = [area_truth(truth[:, 0], known[:, 0], (side, side))[0] for side in (1, 2, 4)]
    coarse = [masked_cross_entropy(x, y, torch.ones_like(x)) for x, y in zip(levels, shares, strict=False)]
    loss = clip_loss([levels], truth, known, known, 1.0) - clip_loss([levels], truth, known, known, 0.0)
    assert torch.allclose(loss, torch.stack(coarse).sum(), atol=1e-5)


def test_losses_of_parts_add_up() -> None:
    config = RGMPTraining(batch=3, frames=3, augmentation=AugmentationConfig(paste=0.5))
    objective = clip_objective(network().eval(), [Squares(void=True), Squares(objects=2)], config)
    batch = objective.draw(np.random.default_rng(0))
    assert batch["masks"].flatten(1).any(1).all()
    assert 0 < batch["known"].mean() < 1
    with torch.no_grad():
        whole = objective.loss(batch, batch["known"])
        cuts = slice(0, 1), slice(1, 3)
        parts = [objective.loss({name: x[cut] for name, x in batch.items()}, batch["known"]) for cut in cuts]
    assert torch.allclose(whole, parts[0] + parts[1], rtol=1e-4)


def test_every_level_has_logits_and_the_mask_is_seen() -> None:
    net, frame = network().eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        blank, full = (net.encode(frame, torch.full((2, 1, 64, 64), value)) for value in (0.0, 1.0))
        logits = net.decode(blank, full[3])
    assert [x.shape[-1] for x in blank] == [16, 8, 4, 2]
    assert [tuple(x.shape) for x in logits] == [(2, 1, side, side) for side in (2, 4, 8, 16)]
    assert not torch.allclose(blank[0], full[0], atol=1e-3)


def test_gradients_pass_through_time() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    found = propagated(network().eval(), torch.randn(1, 4, 3, 64, 64), mask)
    assert len(found) == 3
    (slope,) = torch.autograd.grad(found[2][-1].sum(), found[0][-1])
    assert slope.abs().sum() > 0


def test_learned_videos_are_segmented_mirrored_ones_too(trained: RGMPNetwork) -> None:
    own = quality(trained, LEARNED)
    assert own > 0.9
    mirrored = [Among(seed=one.seed, color=one.color, mirrored=True) for one in LEARNED]
    assert quality(trained, mirrored) == pytest.approx(own, abs=0.02)


def test_a_wrong_reference_costs_the_object(trained: RGMPNetwork) -> None:
    others = [Among(seed=one.seed + 1, color=3 - one.color) for one in LEARNED]
    assert quality(trained, LEARNED, others) < quality(trained, LEARNED) - 0.5
    alike = [Among(seed=one.seed + 9, color=one.color) for one in LEARNED]
    assert quality(trained, LEARNED, alike) == pytest.approx(quality(trained, LEARNED), abs=0.05)


def test_several_objects_share_the_pixels_by_a_softmax(trained: RGMPNetwork) -> None:
    frame, objects = first_frame(Squares(objects=2))
    following = Squares(objects=2).frame(1)
    passes = []
    for mask in (*objects, merged(objects)[0]):
        one = segmenter(trained)
        one.start(frame, mask[None])
        one.step(following)
        passes.append(one.previous[0, 0])
    p = torch.stack([1 - passes[2], passes[0], passes[1]]).clamp(1e-7, 1 - 1e-7)
    odds = p / (1 - p)
    joint = odds / odds.sum(0)
    both = segmenter(trained)
    both.start(frame, objects)
    scores = both.step(following)
    assert scores.shape == (2, 60, 80)
    assert torch.allclose(both.previous[:2, 0], joint[1:], atol=1e-3)
    assert torch.allclose(both.previous[2, 0], joint[1:].sum(0), atol=1e-3)


def test_a_single_object_is_scored_by_its_probability(trained: RGMPNetwork) -> None:
    video, one = Squares(), segmenter(trained)
    one.start(*first_frame(video))
    assert torch.equal(one.previous, first_masks(first_frame(video)[1], 64))
    scores = one.step(video.frame(1))
    assert scores.shape == (1, 60, 80)
    assert scores.mean() == pytest.approx(float(one.previous.mean()), abs=0.01)


def test_scales_are_averaged(trained: RGMPNetwork) -> None:
    found = []
    for scales in ((1.0,), (0.5,), (0.5, 1.0)):
        one = segmenter(trained, *scales)
        one.start(*first_frame(Squares()))
        one.step(Squares().frame(1))
        found.append(one.previous)
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    assert torch.allclose(found[2], (found[0] + found[1]) / 2, atol=1e-5)


def test_tuning_learns_pairs_of_the_first_frame(trained: RGMPNetwork) -> None:
    before = copy.deepcopy(trained.state_dict())
    frame, objects = first_frame(Squares(objects=2, seed=7))
    config = OneShotConfig(batch=2, learning_rate=1e-3, augmentation=PLAIN)
    tuned = fine_tune_on(trained, frame, objects, config, 25, TrainingRun(seed=0))
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    pairs = RGMPTraining(batch=8, frames=2, augmentation=PLAIN)
    losses = []
    for net in (trained, tuned):
        objective = clip_objective(net, [FirstFrame(frame, objects)], pairs)
        batch = objective.draw(np.random.default_rng(5))
        with torch.no_grad():
            losses.append(float(objective.loss(batch, batch["known"])))
    assert losses[1] < 0.7 * losses[0]


def test_the_first_frame_is_a_video_of_all_its_objects() -> None:
    frame, objects = first_frame(Squares(objects=2))
    one = FirstFrame(frame, objects)
    assert (len(one), one.object_ids) == (1, (1, 2))
    assert np.array_equal(one.mask(0), Squares(objects=2).mask(0))
    assert np.array_equal(one.frame(0), frame)


def test_a_repeated_training_ends_with_the_same_weights() -> None:
    config, found = RGMPTraining(iterations=3, batch=2, frames=3, learning_rate=1e-3), []
    for _ in range(2):
        net = network()
        train_network(net, [Squares(objects=2)], config, TrainingRun(seed=0))
        found.append(net.state_dict())
    assert all(torch.allclose(value, found[1][name], atol=1e-6) for name, value in found[0].items())
    assert not torch.allclose(found[0]["heads.3.weight"], network().state_dict()["heads.3.weight"])


def test_keys_change_with_what_a_stage_reads_only() -> None:
    names, full = ("train", "finetune", "segment"), plan("rgmp")
    changes: dict[str, tuple[dict[str, object], tuple[bool, bool, bool]]] = {
        "scales": ({"inference.scales": [1.0]}, (True, True, False)),
        "one-shot": ({"one_shot.clip_shift": 0.2}, (True, False, False)),
        "clips": ({"trainings.offline.clip_window": 5}, (False, False, False)),
        "unread": ({"one_shot.coarse.kernel": 3, "one_shot.feature_views": 4}, (True, True, True)),
    }
    for name, (change, same) in changes.items():
        other = plan("rgmp", **change)
        assert tuple(keys(other, stage) == keys(full, stage) for stage in names) == same, name
