"""MSK: deformed masks by hand, what its network learns, and what its copies find."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rivals.msk import DeformationConfig, InferenceConfig, MSKTraining, OneShotConfig
from rivals.msk_network import (
    MSKNetwork,
    MSKSegmenter,
    bent,
    deformed,
    dilated,
    fine_tune_on,
    new_network,
    train_network,
)
from tests.test_rivals_nearest import Flipped, overlap
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.geometry import Box
from vos.optimization import TrainingRun
from vos.segment import segment_video

QUICK = {"optimizer": "adamw", "batch_norm": "train", "batch": 4, "learning_rate": 5e-3, "schedule": "cosine"}
PLAIN = AugmentationConfig(crop=0)
STILL = DeformationConfig(scale=0, shift=0, spline=0, dilation=0)


def rectangle(top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
    mask = np.zeros((60, 60), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


@pytest.fixture(scope="module")
def trained() -> MSKNetwork:
    network = new_network("mini", 64, 16, "none", 0)
    videos = [Squares(objects=2), Squares(objects=2, seed=1)]
    config = MSKTraining(iterations=120, augmentation=PLAIN, backbone_rate=1, foreground=0, **QUICK)
    train_network(network, videos, config, TrainingRun(seed=0))
    return for_inference(network, "cpu")


def segmenter(networks: list[MSKNetwork]) -> MSKSegmenter:
    return MSKSegmenter(networks, InferenceConfig(), "cpu")


def test_a_mask_stays_where_nothing_is_deformed() -> None:
    mask = rectangle(10, 20, 30, 50)
    assert np.array_equal(deformed(mask == 1, STILL, np.random.default_rng(0)), mask)
    assert not deformed(np.zeros((60, 60), np.bool_), DeformationConfig(), np.random.default_rng(0)).any()


def test_size_and_place_change_within_their_ranges() -> None:
    mask = rectangle(20, 15, 40, 45)  # 20 high, 30 wide
    boxes = []
    for seed in range(60):
        config = STILL.model_copy(update={"shift": 0.2})
        boxes.append(Box.around(deformed(mask == 1, config, np.random.default_rng(seed)) == 1) or Box(0, 0, 0, 0))
    assert {(box.height, box.width) for box in boxes} == {(20, 30)}
    assert (min(box.top for box in boxes), max(box.top for box in boxes)) == (16, 24)
    assert (min(box.left for box in boxes), max(box.left for box in boxes)) == (9, 21)
    config = STILL.model_copy(update={"scale": 0.2})
    areas = [int(deformed(mask == 1, config, np.random.default_rng(seed)).sum()) for seed in range(60)]
    assert min(areas) == pytest.approx(600 * 0.8**2, rel=0.1)
    assert max(areas) == pytest.approx(600 * 1.2**2, rel=0.1)


def test_equal_shifts_of_the_contour_move_the_whole_mask() -> None:
    mask = rectangle(20, 15, 40, 45)
    moved = bent(mask, np.array([[3.0, -2.0]] * 5), np.random.default_rng(0))
    assert np.array_equal(moved, rectangle(18, 18, 38, 48))


def test_a_bent_contour_goes_through_the_moved_points() -> None:
    mask = rectangle(20, 15, 40, 45)
    shifts = np.random.default_rng(1).uniform(-3, 3, (5, 2)).round()
    outline = np.concatenate([[[15, y], [44, y]] for y in range(20, 40)] + [[[x, 20], [x, 39]] for x in range(15, 45)])
    moved = bent(mask, shifts, np.random.default_rng(0))
    assert 0.7 < overlap(moved == 1, mask == 1) < 1
    # every chosen point is one of the contour's: some point of it, moved by the shift, lies on the new contour
    inner = dilated(1 - moved, 1.5 / 60)
    rim = {(int(x), int(y)) for y, x in zip(*np.nonzero(moved & inner), strict=True)}
    for shift in shifts:
        assert any(tuple(point + shift.astype(int)) in rim for point in outline)


def test_a_mask_is_dilated_by_a_disk() -> None:
    point = rectangle(30, 30, 31, 31)
    rows, columns = np.indices(point.shape)
    found = dilated(point, 5 / 60)
    assert found.sum() == pytest.approx(np.pi * 5.25**2, rel=0.1)
    assert not found[(rows - 30) ** 2 + (columns - 30) ** 2 > 5.5**2].any()
    assert np.array_equal(dilated(point, 0.0), point)


def test_the_mask_says_which_object_is_meant(trained: MSKNetwork) -> None:
    video = Squares(objects=2, seed=7)
    masks = list(segment_video(video, segmenter([trained])))
    for i in video.object_ids:
        assert np.mean([overlap(mask == i, video.mask(t) == i) for t, mask in enumerate(masks) if t]) > 0.85
    frame, objects = first_frame(video)
    blank = segmenter([trained])
    blank.start(frame, np.zeros_like(objects))
    assert (blank.step(frame) > 0.5).mean() < 0.2 * objects.any(0).mean()


def test_true_previous_masks_help(trained: MSKNetwork) -> None:
    video = Squares(objects=2, seed=9, length=5)
    wrong = np.stack([np.roll(video.mask(0) == i, 20, axis=1) for i in video.object_ids])
    found = []
    for masks in (first_frame(video)[1], wrong):
        one = segmenter([trained])
        one.start(video.frame(0), masks)
        scores = one.step(video.frame(1))
        found.append(np.mean([overlap(scores[i - 1] > 0.5, video.mask(1) == i) for i in video.object_ids]))
    assert found[0] > found[1] + 0.08


def test_a_mirrored_video_gets_mirrored_masks(trained: MSKNetwork) -> None:
    found = []
    for video in (Squares(seed=7), Flipped(seed=7)):
        masks = enumerate(segment_video(video, segmenter([trained])))
        truth = [video.mask(index) == 1 for index in range(len(video))]
        found.append(np.mean([overlap(mask == 1, truth[index]) for index, mask in masks if index]))
    assert min(found) > 0.85
    assert abs(found[0] - found[1]) < 0.03


def test_a_copy_tuned_on_an_object_keeps_to_it(trained: MSKNetwork) -> None:
    video = Squares(objects=2, seed=7, length=4)
    frame, objects = first_frame(video)
    config = OneShotConfig(optimizer="adamw", batch=2, learning_rate=1e-3, augmentation=PLAIN)
    tuned = [fine_tune_on(trained, frame, one[None], config, 20, TrainingRun(seed=0)) for one in objects]
    for mask, index in islice(zip(segment_video(video, segmenter(tuned)), range(4), strict=False), 1, None):
        for i in video.object_ids:
            assert overlap(mask == i, video.mask(index) == i) > 0.8


def test_objects_are_refined_each_by_itself(trained: MSKNetwork) -> None:
    frame, objects = first_frame(Squares(objects=2))
    scores = []
    for networks, masks in (([trained], objects), ([trained, trained], objects), ([trained], objects[:1])):
        one = segmenter(networks)
        one.start(frame, masks)
        scores.append(one.step(frame))
    assert np.allclose(scores[0], scores[1], atol=1e-5)
    assert np.allclose(scores[0][:1], scores[2], atol=1e-5)


def test_a_network_with_image_weights_does_not_see_masks_yet() -> None:
    network, image = new_network("mini", 64, 16, "none", 0), torch.randn(1, 3, 64, 64)
    first = network.backbone.blocks[0][0].weight
    with torch.no_grad():
        first[:, 3:] = 0  # as where three channels come from elsewhere
        found = [network.eval()(image, torch.full((1, 1, 64, 64), value)) for value in (0.0, 1.0)]
    assert torch.equal(*found)
