"""OnAVOS: what a frame teaches, by hand; copies that learn while they segment; what stays as it was tuned."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from rivals.onavos import AdaptationConfig, OnAVOSTraining, OneShotConfig
from rivals.onavos_network import (
    OnAVOSNetwork,
    OnAVOSSegmenter,
    examples,
    fine_tune_on,
    frame_objective,
    new_network,
    train_network,
)
from tests.test_rivals_nearest import Flipped, overlap
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.geometry import Box
from vos.optimization import TrainingRun
from vos.samples import frames_tensor
from vos.segment import segment_video

QUICK: dict[str, Any] = {"batch_norm": "train", "batch": 4, "learning_rate": 5e-3, "augmentation": {"crop": 0}}
ADAPTED: dict[str, Any] = {"learning_rate": 3e-4, "steps": 4, "interval": 2, "passes": 2, "augmentation": {"crop": 0}}


@pytest.fixture(scope="module")
def parent() -> OnAVOSNetwork:
    network = new_network("mini", 64, 16, 0.25, "none", 0)
    videos = [Squares(void=True), Squares(seed=1)]
    train_network(network, videos, OnAVOSTraining(iterations=100, **QUICK), TrainingRun(seed=0))
    return for_inference(network, "cpu")


@pytest.fixture(scope="module")
def tuned(parent: OnAVOSNetwork) -> list[OnAVOSNetwork]:
    """Return a copy for each of the two objects of a video."""
    frame, objects = first_frame(Squares(objects=2, seed=7))
    config = OneShotConfig(batch=2, learning_rate=2e-3, augmentation=AugmentationConfig(crop=0))
    copies = [fine_tune_on(parent, frame, mask[None], config, 40, TrainingRun(seed=0)) for mask in objects]
    return [for_inference(network, "cpu") for network in copies]


def segmenter(networks: list[OnAVOSNetwork], **change: object) -> OnAVOSSegmenter:
    return OnAVOSSegmenter(networks, AdaptationConfig(**{**ADAPTED, **change}), "cpu")


def test_what_a_frame_teaches() -> None:
    last = np.zeros((100, 100), np.bool_)
    last[40:60, 40:60] = True
    probability = np.full((100, 100), 0.5, np.float32)
    probability[48:52, 48:56] = 0.98  # sure, and near
    probability[2, 2] = 1.0  # sure, but too far away
    config = AdaptationConfig(erosion=0.05, distance=0.2)  # pixels are hundredths of the side
    taught = examples(probability, last, config)
    assert taught is not None
    assert np.array_equal(taught == 1, (probability == np.float32(0.98)))
    assert taught[2, 2] == 0
    # The core is rows and columns 45 to 54: in its rows, what is more than 20 pixels to the left of it is background.
    assert set(np.flatnonzero(taught[50, :45] == 0)) == set(range(25))
    assert taught[50, 25] == 255
    assert examples(probability, last, config.model_copy(update={"erosion": 0.1})) is None  # nothing is left of it


def test_an_object_at_the_rim_is_not_eroded_from_outside() -> None:
    last = np.zeros((100, 100), np.bool_)
    last[:, :12] = True
    taught = examples(np.zeros((100, 100), np.float32), last, AdaptationConfig(erosion=0.1, distance=0.5))
    assert taught is not None
    assert set(np.unique(np.argmax(taught == 0, axis=1))) == {52}  # the core is columns 0 and 1


def test_without_steps_the_tuned_network_stays(tuned: list[OnAVOSNetwork]) -> None:
    video = Squares(objects=2, seed=7)
    frame, objects = first_frame(video)
    one = segmenter(tuned, steps=0, passes=1)
    one.start(frame, objects)
    for index in (1, 2):
        scores = one.step(video.frame(index))
        whole = Box.whole(video.frame(index))
        image = frames_tensor([whole.cut(video.frame(index), 64)])
        with torch.inference_mode():
            found = torch.cat([torch.sigmoid(network(image))[0] for network in tuned]).numpy()
        assert np.array_equal(scores, whole.placed(found, frame))


def test_copies_learn_and_the_tuned_networks_do_not(tuned: list[OnAVOSNetwork]) -> None:
    video, before = Squares(objects=2, seed=7), [copy.deepcopy(network.state_dict()) for network in tuned]
    one = segmenter(tuned)
    first = list(segment_video(video, one))
    learned = [network.state_dict() for network in one.networks]
    for old, network, new in zip(before, tuned, learned, strict=True):
        assert all(torch.equal(value, network.state_dict()[name]) for name, value in old.items())
        assert any(not torch.equal(value, new[name]) for name, value in old.items())
    again = list(segment_video(video, one))  # an earlier video is forgotten
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for i in video.object_ids:
        found = [overlap(mask == i, video.mask(t) == i) for t, mask in enumerate(first) if t]
        assert np.mean(found) > 0.8


def test_the_first_frame_keeps_teaching_when_the_object_is_lost(tuned: list[OnAVOSNetwork]) -> None:
    frame, objects = first_frame(Squares(objects=2, seed=7))
    one = segmenter(tuned[:1], steps=2, interval=1)  # all steps are on the current frame
    one.start(frame, objects[:1])
    one.last = [np.zeros((64, 64), np.bool_)]
    before = copy.deepcopy(one.networks[0].state_dict())
    one.step(frame)
    assert all(torch.equal(value, one.networks[0].state_dict()[name]) for name, value in before.items())
    other = segmenter(tuned[:1], steps=2, interval=2)
    other.start(frame, objects[:1])
    other.last = [np.zeros((64, 64), np.bool_)]
    other.step(frame)
    assert any(not torch.equal(value, other.networks[0].state_dict()[name]) for name, value in before.items())


def test_the_trained_network_serves_every_object(parent: OnAVOSNetwork) -> None:
    video = Squares(seed=7)
    masks = list(segment_video(video, segmenter([parent])))
    assert np.mean([overlap(mask == 1, video.mask(t) == 1) for t, mask in enumerate(masks) if t]) > 0.9
    mirrored = list(segment_video(Flipped(seed=7), segmenter([parent])))
    assert np.mean([overlap(a == 1, b[:, ::-1] == 1) for a, b in zip(masks, mirrored, strict=True)]) > 0.9
    frame, objects = first_frame(video)
    scores = []
    for count in (1, 2):
        one = segmenter([parent], steps=0)
        one.start(frame, np.repeat(objects, count, axis=0))
        scores.append(one.step(frame))
    assert [len(found) for found in scores] == [1, 2]
    assert np.array_equal(scores[0][0], scores[1][1])


def test_sure_pixels_are_the_object_s(tuned: list[OnAVOSNetwork]) -> None:
    video = Squares(objects=2, seed=7)
    frame, objects = first_frame(video)
    one = segmenter(tuned[:1])
    one.start(frame, objects[:1])
    probability = one._probability(one.networks[0], Box.whole(frame).cut(video.frame(1), 64), 1)
    taught = examples(probability, one.last[0], one.config)
    assert taught is not None
    truth = Box.whole(frame).cut(video.mask(1), 64, labels=True)
    assert (taught == 1).sum() > 20
    assert (truth[taught == 1] == 1).mean() > 0.95


def test_only_the_worst_pixels_are_learned() -> None:
    net = new_network("mini", 64, 8, 0.25, "none", 0).eval()
    objective = frame_objective(net)
    part = {"frames": torch.randn(1, 3, 64, 64), "known": torch.ones(1, 1, 64, 64)}
    part["truth"] = (torch.rand(1, 1, 64, 64) > 0.7).float()
    with torch.no_grad():
        logits = net(part["frames"])
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, part["truth"], reduction="none").flatten()
        expected = each.sort(descending=True).values[: 64 * 64 // 4].mean()
        assert torch.allclose(objective.loss(objective.encode(part), part, part["known"]), expected)
