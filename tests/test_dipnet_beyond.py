"""What goes beyond the paper: each option does what it says, and off it leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dipnet.config import DIPNetConfig, OneShotConfig
from dipnet.identity import update_identity
from dipnet.region import RegionPass, confidence, foreground_box, within
from dipnet.segmenter import Networks
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import fine_tune_on, new_segmentation
from harness.datasets import load_protocols
from harness.planning.study import load_study, shipped_studies
from tests.test_dipnet_segmenter import P, S, config, networks, segmented
from tests.test_dipnet_stages import keys, plan
from tests.videos import Squares, first_frame
from vos.geometry import Box
from vos.optimization import TrainingRun

WHOLE = Box(0, 0, 60, 80)
ONE_SHOT = OneShotConfig(frame_iterations=40, crop_iterations=40, batch=2, optimizer="adamw", learning_rate=3e-3)


def start(objects: int = 1, **change: Any) -> tuple[RegionPass, Squares, np.ndarray]:
    video = Squares(objects=objects)
    way = RegionPass(networks().propagation, config(crop=False, **change), "cpu")
    frame, masks = first_frame(video)
    with torch.inference_mode():
        way.start(frame, masks, WHOLE)
    return way, video, masks


def test_confidence_is_the_mean_distance_from_doubt_inside_the_mask() -> None:
    scores = np.array([[[1.0, 0.75, 0.0]], [[0.9, 0.9, 0.9]]], np.float32)
    masks = np.array([[[True, True, False]], [[False, False, False]]])
    assert confidence(scores, masks).tolist() == pytest.approx([0.75, 0.0])  # (1 + 0.5) / 2, and an empty mask


def test_each_object_can_have_its_own_omega() -> None:
    dynamic, estimated = torch.zeros(2, 1), torch.ones(2, 1)
    updated = update_identity(dynamic, estimated, torch.tensor([True, True]), torch.tensor([0.25, 0.75]))
    assert updated.flatten().tolist() == [0.25, 0.75]


@pytest.mark.parametrize("objects", [1, 2])
def test_a_doubtful_mask_changes_an_identity_less(objects: int) -> None:
    moved = []
    for probability in (0.55, 0.75, 1.0):
        way, video, masks = start(objects, confident_omega=True)
        assert way.first is not None
        with torch.inference_mode():
            way.update(video.frame(1), masks, probability * masks.astype(np.float32), WHOLE)
        moved.append((way.dynamic - way.first).norm(dim=1))
    torch.testing.assert_close(moved[0], 0.1 * moved[2], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(moved[1], 0.5 * moved[2], rtol=1e-3, atol=1e-6)


def test_confident_masks_give_the_plain_omega() -> None:
    found = []
    for option in (False, True):
        way, video, masks = start(confident_omega=option)
        with torch.inference_mode():
            way.update(video.frame(1), masks, masks.astype(np.float32), WHOLE)
        found.append(way.dynamic)
    torch.testing.assert_close(*found)


def test_the_anchor_is_the_first_frame_s_share_of_the_coarse_mask() -> None:
    coarse = {}
    for anchor in (0.0, 0.5, 1.0):
        way, video, _ = start(anchor=anchor)
        way.dynamic = torch.full_like(way.dynamic, 0.1)
        with torch.inference_mode():
            coarse[anchor] = way.propagate(video.frame(1), WHOLE)
    assert not torch.allclose(coarse[0.0], coarse[1.0])
    torch.testing.assert_close(coarse[0.5], (coarse[0.0] + coarse[1.0]) / 2)


def test_the_previous_mask_has_its_share_of_the_coarse_mask() -> None:
    coarse = {}
    for previous in (0.0, 0.25, 1.0):
        way, video, _ = start(previous=previous)
        with torch.inference_mode():
            coarse[previous] = way.propagate(video.frame(1), WHOLE)
    assert coarse[1.0].mean().item() == pytest.approx((Squares().mask(0) == 1).mean(), rel=0.05)
    torch.testing.assert_close(coarse[0.25], 0.75 * coarse[0.0] + 0.25 * coarse[1.0])


def test_reach_is_measured_in_longer_sides_of_the_mask() -> None:
    masks = np.zeros((2, 30, 40), np.bool_)
    masks[0, 10:14, 10:20] = True  # 4 × 10 pixels; the second one is empty
    near = within(masks, 0.5)
    assert near[1].all()
    assert np.flatnonzero(near[0, 12]).tolist() == list(range(5, 25))
    assert np.flatnonzero(near[0, :, 15]).tolist() == list(range(5, 19))
    assert near[0, 7, 6]  # 3 up and 4 left of a corner
    assert not near[0, 6, 6]
    assert (within(masks, 0.0)[0] == masks[0]).all()


@pytest.mark.parametrize("objects", [1, 2])
def test_what_is_out_of_reach_of_the_previous_mask_is_ignored(objects: int) -> None:
    coarse = {}
    for options in ({}, {"reach": 0.0}, {"reach": 0.5}, {"reach": 100.0}, {"previous": 1.0}):
        way, video, _ = start(objects, **options)
        with torch.inference_mode():
            coarse[str(options)] = way.propagate(video.frame(1), WHOLE)
    everywhere, nowhere_else, near, far, before = coarse.values()
    torch.testing.assert_close(nowhere_else, everywhere * before)
    torch.testing.assert_close(far, everywhere)
    assert (near <= everywhere).all()
    assert nowhere_else.sum() < near.sum() < everywhere.sum()


def test_an_object_that_was_not_found_may_be_anywhere() -> None:
    coarse = []
    for reach in (None, 0.1):
        way, video, masks = start(reach=reach)
        way.update(video.frame(1), np.zeros_like(masks), np.zeros(masks.shape, np.float32), WHOLE)
        with torch.inference_mode():
            coarse.append(way.propagate(video.frame(2), WHOLE))
    torch.testing.assert_close(*coarse)


@pytest.mark.parametrize("objects", [1, 2])
def test_the_first_pass_has_its_share_of_the_mask_of_a_single_object(objects: int) -> None:
    frame, crop = networks(), networks()
    for network, logit in ((frame.frame_segmentation, 9.0), (crop.frame_segmentation, -0.5)):
        network.refine = lambda image, hints, logit=logit: hints.new_full((len(hints), 1, S.size, S.size), logit)  # type: ignore
    both = Networks(frame.propagation, frame.frame_segmentation, [crop.frame_segmentation])
    found = {}
    for share in (0.0, 0.25, 1.0):
        *_, last = segmented(Squares(objects=objects, length=2), both, config(frame_share=share))
        found[share] = bool(last.all())
    # .75 · σ(−.5) + .25 · σ(9) is above a half, σ(−.5) is not.
    assert found == {0.0: False, 0.25: objects == 1, 1.0: objects == 1}


@pytest.mark.parametrize("objects", [1, 2])
def test_with_the_flip_a_mirrored_frame_gives_mirrored_probabilities(objects: int) -> None:
    way, video, _ = start(objects, test_flip=True)
    networks_of_it = [networks().frame_segmentation]
    with torch.inference_mode():
        plain = way.step(video.frame(1), WHOLE, networks_of_it)
        mirrored = way.step(np.ascontiguousarray(video.frame(1)[:, ::-1]), WHOLE, networks_of_it)
    np.testing.assert_allclose(mirrored, plain[:, :, ::-1], atol=1e-4)


@pytest.mark.parametrize("found", [True, False])
def test_the_search_starts_around_the_previous_mask(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, looked, step = networks(), [], RegionPass.step
    answer = torch.full((1, 1, S.size, S.size), 9.0 if found else -9.0)
    tuned.frame_segmentation.refine = lambda image, hints: answer  # type: ignore

    def spied(self: RegionPass, frame: np.ndarray, box: Box, *rest: Any) -> np.ndarray:
        looked.append(box)
        return step(self, frame, box, *rest)

    monkeypatch.setattr(RegionPass, "step", spied)
    video, options = Squares(length=3), config(search_margin=0.2, crop_margin=0.1)
    first, second, _ = segmented(video, tuned, options)
    around, crop = (foreground_box(first == 1, margin) for margin in (0.2, 0.1))
    if found:  # every second look is at the crop
        assert looked[::2] == [around, foreground_box(second == 1, 0.2)]
        assert WHOLE not in looked
    else:
        assert looked == [around, WHOLE, crop, WHOLE, crop]


@pytest.mark.parametrize("phases", ["propagation", "segmentation", "both"])
def test_every_phase_can_be_flipped(phases: str) -> None:
    options = config(crop=False, phases=phases, test_flip=True)
    assert len(segmented(Squares(objects=2, length=3), networks(), options)) == 3


def test_frozen_features_tune_the_decoder_and_leave_the_backbone() -> None:
    network, video = new_segmentation(S, "none", 0).eval(), Squares()
    run = TrainingRun(seed=0)
    (tuned,) = fine_tune_on(
        "frame", network, *first_frame(video), ONE_SHOT.model_copy(update={"feature_views": 4}), None, 16, run
    )
    before, after = network.state_dict(), tuned.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("backbone."))
    assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith("heads."))
    assert run.curve[-1][1] < run.curve[0][1]


def test_features_are_computed_once_for_each_view(monkeypatch: pytest.MonkeyPatch) -> None:
    network, counted = new_segmentation(S, "none", 0).eval(), []
    encode = type(network).encode_frame
    monkeypatch.setattr(type(network), "encode_frame", lambda self, x: counted.append(len(x)) or encode(self, x))
    options = ONE_SHOT.model_copy(update={"feature_views": 5, "sizes": (64, 96), "frame_iterations": 7})
    fine_tune_on("frame", network, *first_frame(Squares()), options, None, 16, TrainingRun(seed=0))
    assert counted == [1] * 5


def test_fine_tuning_stops_when_the_loss_settles() -> None:
    network = new_segmentation(S, "none", 0).eval()
    run = TrainingRun(seed=0)
    # At a learning rate of next to nothing the windows' losses only wander.
    still = OneShotConfig(frame_iterations=2000, batch=1, learning_rate=1e-12, patience=2)
    (tuned,) = fine_tune_on("frame", network, *first_frame(Squares()), still, None, 16, run)
    losses = [loss for _, loss in run.curve]
    assert 30 <= run.curve[-1][0] < 2000
    assert min(losses[-2:]) >= min(losses[:-2])
    assert not tuned.training


def test_a_loss_that_falls_is_tuned_to_the_end() -> None:
    ends = []
    for patience in (None, 4):
        run, options = TrainingRun(seed=0), ONE_SHOT.model_copy(update={"patience": patience})
        (tuned,) = fine_tune_on(
            "frame", new_segmentation(S, "none", 0), *first_frame(Squares()), options, None, 16, run
        )
        ends.append(tuned.state_dict())
        assert run.curve[-1][0] == 40
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


def test_feature_views_and_patience_apply_to_each_object() -> None:
    options = ONE_SHOT.model_copy(update={"feature_views": 2, "patience": 1, "instance_iterations": 2})
    first = first_frame(Squares(objects=2))
    crops = fine_tune_on("objects", new_segmentation(S, "none", 0), *first, options, 0.25, 16, TrainingRun(seed=0))
    assert len(crops) == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_each_object_is_tuned_as_it_would_be_by_itself(order: tuple[int, int]) -> None:
    # At a learning rate of next to nothing the windows' losses only wander, each object's at a level of its own.
    still = OneShotConfig(batch=1, learning_rate=1e-12, patience=2)
    network, run = new_segmentation(S, "none", 0).eval(), TrainingRun(seed=0)
    frame, objects = first_frame(Squares(objects=2))
    objects = objects[list(order)]
    pair = fine_tune_on("objects", network, frame, objects, still, None, 16, run, steps=300)
    expected = []
    for number, tuned in enumerate(pair):
        single = TrainingRun(seed=0)
        (by_itself,) = fine_tune_on(
            "objects", network, frame, objects[number : number + 1], still, None, 16, single, steps=300
        )
        expected += single.curve
        assert all(torch.equal(x, y) for x, y in zip(tuned.parameters(), by_itself.parameters(), strict=True))
    assert run.curve == expected


@pytest.mark.parametrize(
    ("option", "same_tuning"),
    [
        ({"confident_omega": True}, True),
        ({"anchor": 0.5}, True),
        ({"previous": 0.5}, True),
        ({"test_flip": True}, True),
        ({"search_margin": 1.0}, True),
        ({"reach": 0.3}, True),
        ({"frame_share": 0.5}, True),
        ({"crop_share": 0.0}, True),
        ({"one_shot.feature_views": 4}, False),
        ({"one_shot.patience": 2}, False),
    ],
)
def test_an_option_shares_all_that_it_does_not_change(option: dict, same_tuning: bool) -> None:
    full, other = plan(), plan(**option)
    assert keys(other, "train") == keys(full, "train")
    assert (keys(other, "finetune") == keys(full, "finetune")) is same_tuning
    assert not keys(other, "segment") & keys(full, "segment")


def test_options_of_an_unused_phase_change_nothing() -> None:
    unpropagated = {"crop": False, "phases": "segmentation"}
    plain = DIPNetConfig(**unpropagated).inference(multi_object=False)
    for option in ({"confident_omega": True}, {"anchor": 0.5}, {"previous": 0.5}, {"reach": 0.3}):
        assert DIPNetConfig(**unpropagated, **option).inference(multi_object=False) == plain
    # Nor do those of the crop without one.
    assert DIPNetConfig(**unpropagated, search_margin=1.0, frame_share=0.5).inference(multi_object=False) == plain
    still = DIPNetConfig(omega=0.0).inference(multi_object=False)
    assert DIPNetConfig(omega=0.0, anchor=0.5, confident_omega=True).inference(multi_object=False) == still


def test_all_options_together_segment_a_video() -> None:
    options = config(confident_omega=True, anchor=0.3, previous=0.2, test_flip=True, search_margin=1.0, reach=0.3)
    segmentation = new_segmentation(S, "none", 0).eval()
    both = Networks(new_propagation(P, "none", 0).eval(), segmentation, [segmentation])
    masks = segmented(Squares(objects=3, length=3), both, options)
    assert [mask.shape for mask in masks] == [(60, 80)] * 3


def test_the_studies_beyond_and_davis16_share_their_training() -> None:
    folder: Path = shipped_studies()
    beyond, davis16 = (load_study(folder / f"{name}.yaml", load_protocols()) for name in ("beyond", "davis16"))
    full = next(variant.config for variant in davis16.variants if variant.name == "full")
    trained = ("propagation", "segmentation", "propagation_training", "segmentation_training", "weights", "amp")
    for variant in beyond.variants[1:]:
        assert all(getattr(variant.config, part) == getattr(full, part) for part in trained)
