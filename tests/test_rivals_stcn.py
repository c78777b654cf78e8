"""STCN: its loss and its memory by hand, a network that has learned one video, and what stages share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import vos.optimization
from harness.config import resolve
from harness.errors import StudyError
from rivals.propagation import first_masks
from rivals.stcn import InferenceConfig, STCNConfig, STCNTraining
from rivals.stcn_network import (
    Memory,
    STCNNetwork,
    STCNSegmenter,
    affinity,
    aggregated,
    clip_objective,
    counted_share,
    new_network,
    propagated,
    train_network,
)
from tests.test_rivals import keys, plan
from tests.test_rivals_nearest import Flipped, overlap
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.losses import worst_share_cross_entropy
from vos.optimization import TrainingRun
from vos.samples import object_pixels, shown_clip
from vos.segment import exclusive, segment_video
from vos.training import Course

WIDTHS = {"key_channels": 16, "value_channels": 32, "channels": 16}
PLAIN = AugmentationConfig(crop=0)
LEARNED = Squares(objects=2, seed=3)
"""The video that the trained network knows."""


def network(seed: int = 0) -> STCNNetwork:
    return new_network("mini", 64, "mini", "none", seed, **WIDTHS)


@pytest.fixture(scope="module")
def trained() -> STCNNetwork:
    config = STCNTraining(
        iterations=80, batch=4, learning_rate=3e-3, batch_norm="train", worst_share=1, augmentation=PLAIN
    )
    learned = network()
    train_network(learned, [LEARNED], config, TrainingRun(seed=0))
    return for_inference(learned, "cpu")


def quality(learned: STCNNetwork, video: Squares, **inference: object) -> float:
    """Return the mean J over objects and frames after the first."""
    masks = list(segment_video(video, STCNSegmenter([learned], InferenceConfig(**inference), "cpu")))
    truth = [video.mask(index) for index in range(len(video))]
    pairs = list(zip(masks, truth, strict=True))[1:]
    return float(np.mean([overlap(mask == i, true == i) for mask, true in pairs for i in video.object_ids]))


def test_the_worst_pixels_of_each_sample_count() -> None:
    x = torch.tensor([[2.0, -1.0, 0.5, 3.0, 9.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    logits = torch.stack([torch.zeros_like(x), x], 1)[:, :, None]
    truth = torch.tensor([[[1, 0, 0, 0, 0]], [[1, 1, 0, 0, 0]]])
    known = torch.ones(2, 1, 1, 5)
    known[0, 0, 0, 4] = 0  # void, and the worst of all
    worst = math.log(1 + math.exp(3.0)), math.log(1 + math.exp(0.5))
    whole = (worst[0] + worst[1] + math.log(1 + math.exp(-2.0)) + math.log(1 + math.exp(-1.0))) / 4
    half = worst_share_cross_entropy(logits, truth, known, 0.5)
    assert half.item() == pytest.approx((sum(worst) / 2 + math.log(2)) / 2, rel=1e-5)
    every, one = (worst_share_cross_entropy(logits, truth, known, share).item() for share in (1.0, 0.01))
    assert every == pytest.approx((whole + math.log(2)) / 2)
    assert one == pytest.approx((worst[0] + math.log(2)) / 2)
    unknown = worst_share_cross_entropy(logits[:1], truth[:1], 0 * known[:1], 0.5)
    assert unknown.item() == 0


def test_losses_of_parts_add_up() -> None:
    config = STCNTraining(batch=3, augmentation=AugmentationConfig(paste=0.5))
    objective = clip_objective(network().eval(), [Squares(void=True), Squares(objects=2)], config, lambda: 0.5)
    batch = objective.draw(np.random.default_rng(1))
    assert len({int(count) for count in batch["masks"].flatten(2).any(2).sum(1)}) > 1
    assert 0 < batch["known"].mean() < 1
    with torch.no_grad():
        whole = objective.loss(batch, batch["known"])
        cuts = slice(0, 1), slice(1, 3)
        parts = [objective.loss({name: x[cut] for name, x in batch.items()}, batch["known"]) for cut in cuts]
    assert torch.allclose(whole, parts[0] + parts[1], rtol=1e-4)


def test_the_share_of_pixels_falls_between_two_points() -> None:
    config = STCNTraining(worst_share=0.2, worst_share_course=(0.25, 0.75))
    shares = [counted_share(config, done) for done in (None, 0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == pytest.approx([1, 1, 1, 0.6, 0.2, 0.2])


def test_the_course_counts_steps_and_not_validation() -> None:
    course = Course()
    assert [course.share_done(4, 2) for _ in range(5)] == [0, 0, 0.25, 0.25, 0.5]
    assert course.eval().share_done(4, 2) is None
    assert course.train().share_done(4, 2) == 0.5
    course.begin()
    assert course.share_done(4, 2) == 0


def test_an_affinity_is_the_softmax_of_squared_distances() -> None:
    memory, query = torch.randn(2, 4, 6), torch.randn(2, 4, 5)
    distances = torch.cdist(memory.transpose(1, 2), query.transpose(1, 2)).square()
    expected = (-distances / 2).softmax(1)
    assert torch.allclose(affinity(memory, query), expected, atol=1e-5)
    best = affinity(memory, query, top=2)
    assert ((best > 0).sum(1) == 2).all()
    assert torch.allclose(best.sum(1), torch.ones(2, 5))
    kept = torch.where(best > 0, expected, 0.0)
    assert torch.allclose(best, kept / kept.sum(1, keepdim=True), atol=1e-5)


def test_a_frame_s_affinity_with_itself_is_highest_on_the_diagonal() -> None:
    key = network().eval().encode_frame(torch.randn(1, 3, 64, 64)).key.flatten(2)
    assert torch.equal(affinity(key, key)[0].argmax(0), torch.arange(16))


def test_the_order_of_the_memory_does_not_matter() -> None:
    frames = [Memory.of(torch.randn(1, 4, 3, 3), torch.randn(2, 5, 3, 3)) for _ in range(3)]
    key, samples = torch.randn(1, 4, 3, 3), torch.zeros(2, dtype=torch.long)
    for top in (None, 7):
        one = frames[0].plus(frames[1]).plus(frames[2]).read(key, samples, top)
        other = frames[2].plus(frames[0]).plus(frames[1]).read(key, samples, top)
        assert one.shape == (2, 5, 3, 3)
        assert torch.allclose(one, other, atol=1e-5)


def test_background_is_where_no_object_is() -> None:
    logits = torch.tensor([[[[0.0, 2.0]], [[-1.0, 1.0]]]])
    p = torch.sigmoid(logits)
    background = (1 - p).prod(1, keepdim=True)
    expected = torch.logit(torch.cat([background, p], 1))
    assert torch.allclose(aggregated(logits), expected, atol=1e-5)
    single = aggregated(logits[:, :1])
    assert torch.allclose(single, torch.cat([-logits[:, :1], logits[:, :1]], 1), atol=1e-5)


def test_certain_pixels_still_have_a_gradient() -> None:
    for certain in (30.0, 200.0, -200.0):
        logits = torch.tensor([[[[certain]], [[-certain]]]], requires_grad=True)
        aggregated(logits).log_softmax(1)[:, 0].sum().backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
        assert logits.grad[0, 0 if certain > 0 else 1].item() < -0.5


def test_features_have_their_strides_and_masks_the_image_s_size() -> None:
    net = network().eval()
    with torch.no_grad():
        frames = net.encode_frame(torch.randn(2, 3, 64, 64))
        assert [x.shape[-1] for x in frames] == [4, 4, 4, 8, 16]
        samples = torch.tensor([0, 1, 1])
        value = net.encode_value(torch.randn(2, 3, 64, 64), frames, *torch.rand(2, 3, 64, 64), samples)
        assert value.shape == (3, 32, 4, 4)
        assert net.decode(value, frames, samples).shape == (3, 64, 64)


def test_the_value_encoder_sees_masks_from_the_beginning() -> None:
    net = network().eval()
    with torch.no_grad():
        image, samples = torch.randn(1, 3, 64, 64), torch.tensor([0])
        frames, blank = net.encode_frame(image), torch.zeros(1, 64, 64)
        values = [net.encode_value(image, frames, mask, other, samples) for mask, other in _masks(blank)]
    assert not torch.allclose(values[0], values[1], atol=1e-3)
    assert not torch.allclose(values[0], values[2], atol=1e-3)


def _masks(blank: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(blank, blank), (blank + 1, blank), (blank, blank + 1)]


def test_a_sample_is_the_same_beside_one_with_more_objects() -> None:
    net, clips = network().eval(), torch.randn(2, 3, 3, 64, 64)
    masks = torch.zeros(2, 2, 64, 64)
    masks[0, 0, 10:40, 10:30] = masks[1, 0, 5:20, 5:20] = masks[1, 1, 30:60, 30:60] = 1
    with torch.no_grad():
        together, alone = propagated(net, clips, masks), propagated(net, clips[:1], masks[:1, :1])
    assert [tuple(x.shape) for x in together] == [(2, 3, 64, 64)] * 2
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one[:1, :2].softmax(1), other.softmax(1), atol=1e-4)
        assert (one[:1].softmax(1)[:, 2] == 0).all()


@dataclass(frozen=True)
class Tiny(Squares):
    """Two objects, of which the first is so small that few views show it, and the second leaves the first frame."""

    def mask(self, index: int) -> NDArray[np.uint8]:
        ids = np.where(self.drawn(index) == 2, np.uint8(2 if index else 0), np.uint8(0))
        ids[1, 1] = 1
        ids[30 + index, 40] = 3
        return ids


def test_objects_that_the_first_view_does_not_show_are_background() -> None:
    config = STCNTraining(augmentation=PLAIN, clip_window=3)
    for seed in range(12):
        views = shown_clip([Tiny(objects=2)], config, 32, np.random.default_rng(seed), frames=3, objects=2)
        first = set(np.unique(views[0].mask[object_pixels(views[0].mask)]).tolist())
        assert first == set(range(1, len(first) + 1)) != set()
        assert all(set(np.unique(view.mask).tolist()) <= {0, *first} for view in views)


def test_an_overfitted_video_is_segmented(trained: STCNNetwork) -> None:
    assert quality(trained, LEARNED) > 0.9
    assert quality(trained, Flipped(objects=2, seed=3)) == pytest.approx(quality(trained, LEARNED), abs=0.02)


def test_more_memory_is_not_worse_than_the_first_frame(trained: STCNNetwork) -> None:
    first = quality(trained, LEARNED, memory_every=0)
    assert quality(trained, LEARNED, memory_every=0, previous=True) > first - 0.005
    assert quality(trained, LEARNED, memory_every=1) > first - 0.005


def test_memory_grows_by_every_few_frames_and_the_last(trained: STCNNetwork) -> None:
    video = Squares()
    for options, cells in (({}, [16, 16, 16]), ({"memory_every": 2}, [16, 32, 32]), ({"previous": True}, [16] * 3)):
        segmenter, found = STCNSegmenter([trained], InferenceConfig(**options), "cpu"), []
        segmenter.start(*first_frame(video))
        for index in range(1, 4):
            segmenter.step(video.frame(index))
            found.append(segmenter.memory.keys.shape[2])
        assert found == cells
        assert (segmenter.last is not None) == ("previous" in options)


def test_the_network_tells_two_objects_apart(trained: STCNNetwork) -> None:
    frame, objects = first_frame(LEARNED)
    for numbers in ([0, 1], [1, 0]):
        segmenter = STCNSegmenter([trained], InferenceConfig(), "cpu")
        segmenter.start(frame, objects[numbers])
        scores = segmenter.step(LEARNED.frame(1))
        assert scores.shape == (2, 60, 80)
        for found, number in zip(exclusive(scores), numbers, strict=True):
            assert overlap(found, LEARNED.drawn(1) == number + 1) > 0.85


def test_no_given_object_is_too_small_for_the_network() -> None:
    objects = np.zeros((2, 60, 80), np.bool_)
    objects[0, 11, 7] = objects[1, 20:40, 20:50] = True
    masks = first_masks(objects, 32)
    assert masks.shape == (2, 1, 32, 32)
    assert masks[0].sum() == pytest.approx(32 * 32 / (60 * 80), rel=0.02)
    assert masks[1].max() == 1


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vos.optimization, "CHECKPOINT_SECONDS", -1.0)
    config = STCNTraining(iterations=20, batch=1, learning_rate=1e-3, worst_share=0.2)

    def learn(**where: Any) -> dict[str, Tensor]:
        net = network()
        train_network(net, [Squares()], config, TrainingRun(seed=0, **where))
        return net.state_dict()

    def stop(share: float, text: str) -> None:
        if share == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(scratch=tmp_path, progress=stop)
    assert (tmp_path / vos.optimization.CHECKPOINT).exists()
    resumed, whole = learn(scratch=tmp_path), learn()
    for name, value in whole.items():
        assert torch.allclose(resumed[name], value, atol=1e-6), name
    assert int(whole["course.parts"]) == 20


def test_keys_change_with_what_a_stage_reads_only() -> None:
    full, memory = plan("stcn"), plan("stcn", **{"inference.previous": True})
    assert keys(memory, "train") == keys(full, "train")
    assert not keys(memory, "segment") & keys(full, "segment")
    assert keys(plan("stcn", **{"trainings.offline.worst_share": 0.5}), "train") != keys(full, "train")
    merging = {"trainings.offline.foreground": 1.0}
    assert keys(plan("stcn", **merging), "train") == keys(full, "train")  # objects are never merged to one
    single = {"trainings.offline.objects": 1}
    assert keys(plan("stcn", **single, **merging), "train") != keys(plan("stcn", **single), "train")


def test_a_value_encoder_without_weights_is_refused() -> None:
    with pytest.raises(StudyError, match=r"imagenet-v2.*resnet18"):
        resolve(STCNConfig, {"weights": "imagenet-v2"}, "test")
    resolve(STCNConfig, {"weights": "imagenet-v2", "network.value_backbone": "mobilenet_v2"}, "test")
    resolve(STCNConfig, {"weights": "some/file.pth"}, "test")
