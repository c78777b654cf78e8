"""OSMN: its modulators by hand, what its network learns from a guide and a place, and its tuned copies."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import vos.optimization
from rivals.osmn import InferenceConfig, OneShotConfig, OSMNTraining, PlaceConfig
from rivals.osmn_network import (
    EXACT,
    OSMNNetwork,
    OSMNSegmenter,
    fine_tune_on,
    gaussian,
    guides_of,
    new_network,
    pair_objective,
    train_network,
)
from tests.test_dipnet_stages import run
from tests.test_rivals import keys, plan
from tests.test_rivals_nearest import Flipped, overlap
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.optimization import TrainingRun
from vos.samples import images_of
from vos.segment import segment_video

QUICK: dict[str, Any] = {"batch": 4, "learning_rate": 5e-3, "backbone_rate": 1.0, "batch_norm": "train"}
QUICK |= {"foreground": 0.0}
PAIR = Squares(objects=2, seed=7)


def network(seed: int = 0) -> OSMNNetwork:
    return new_network("mini", 64, 32, 16, "none", seed)


def modulating(seed: int = 0) -> OSMNNetwork:
    """Return a network whose modulators have an effect, as after training."""
    net = network(seed).eval()
    with torch.no_grad():
        for layer in (*net.scales, *net.places, *net.sides, *net.outputs):
            layer.weight.normal_(std=0.1)
    return net


def segmenter(*networks: OSMNNetwork) -> OSMNSegmenter:
    return OSMNSegmenter([for_inference(net, "cpu") for net in networks], InferenceConfig(), "cpu")


@pytest.fixture(scope="module")
def learned() -> OSMNNetwork:
    net = network()
    train_network(net, [PAIR], OSMNTraining(iterations=120, **QUICK), TrainingRun(seed=0))
    return for_inference(net, "cpu")


def test_untrained_modulators_leave_the_plain_segmenter() -> None:
    net = network().eval()
    with torch.no_grad():
        for layer in (*net.sides, *net.outputs):
            layer.weight.normal_(std=0.1)
            layer.bias.normal_()
        frame, guide, place = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 32, 32), torch.rand(2, 1, 64, 64)
        found = net.segment(net.encode_frame(frame), net.encode_guide(guide), net.encode_place(place))
        features = net.backbone(frame)[1:]
        sides = [layer(x) for layer, x in zip(net.sides, features, strict=True)]
        large = torch.cat([functional.interpolate(x, (64, 64), mode="bilinear") for x in sides], 1)
        weight = torch.cat([layer.weight for layer in net.outputs], 1)
        bias = torch.stack([layer.bias for layer in net.outputs]).sum(0)
        assert torch.allclose(found, functional.conv2d(large, weight, bias), atol=1e-4)


def test_features_are_scaled_and_added_to_after_each_block() -> None:
    net = modulating()
    frame = torch.randn(1, 3, 64, 64)
    scales = [torch.rand(1, width, 1, 1) for width in (24, 48, 96, 128)]
    places = [torch.randn(1, width, 16 // 2**i, 16 // 2**i) for i, width in enumerate((24, 48, 96, 128))]
    with torch.no_grad():
        x, expected = net.encode_frame(frame), torch.zeros(1, 1, 64, 64)
        for i in range(4):
            x = (net.backbone.blocks[i + 1](x) if i else x) * scales[i] + places[i]
            side = net.outputs[i](net.sides[i](x))
            expected += functional.interpolate(side, (64, 64), mode="bilinear")
        assert torch.allclose(net.segment(net.encode_frame(frame), scales, places), expected, atol=1e-5)


def test_a_place_is_pooled_to_each_stride_and_a_blank_one_adds_nothing() -> None:
    net = modulating()
    place = torch.zeros(1, 1, 64, 64)
    place[..., :32, :32] = 1
    maps = net.encode_place(place)
    assert [tuple(x.shape[1:]) for x in maps] == [(24, 16, 16), (48, 8, 8), (96, 4, 4), (128, 2, 2)]
    for x, layer in zip(maps, net.places, strict=True):
        assert torch.allclose(x[0, :, 0, 0], layer.weight[:, 0, 0, 0])
        assert not x[0, :, -1, -1].any()
    assert not any(x.any() for x in net.encode_place(0 * place))


def test_a_gaussian_has_the_robust_moments_of_its_mask() -> None:
    mask = np.zeros((96, 96), bool)
    mask[20:41, 30:71] = True
    mask[90:, :2] = True  # outliers hardly count
    found = gaussian(mask, EXACT, np.random.default_rng(0))
    assert found[30, 50] == pytest.approx(1, abs=0.01)
    for down, right in ((1.4826 * 5, 0), (0, 1.4826 * 10)):  # median distances from the center: 5 rows, 10 columns
        beyond = found[30 + round(down), 50 + round(right)]
        assert beyond == pytest.approx(np.exp(-0.5), rel=0.1)
    assert not gaussian(np.zeros((96, 96), bool), EXACT, np.random.default_rng(0)).any()
    point = np.zeros((96, 96), bool)
    point[30, 50] = True
    assert gaussian(point, EXACT, np.random.default_rng(0))[31, 50] == pytest.approx(np.exp(-0.5), rel=0.01)


def test_gaussians_vary_within_their_ranges() -> None:
    mask = np.zeros((96, 96), bool)
    mask[20:61, 30:71] = True
    deviation = 1.4826 * 10
    drawn = [gaussian(mask, PlaceConfig(), np.random.default_rng(seed)).astype(float) for seed in range(200)]
    centers = np.array([np.unravel_index(one.argmax(), one.shape) for one in drawn])
    assert abs(centers - (40, 50)).max() == pytest.approx(0.2 * deviation, abs=1)
    row = [one[:, column] for one, (_, column) in zip(drawn, centers, strict=True)]
    spread = [1 / np.sqrt(-np.diff(np.log(np.maximum(one, 1e-30)), 2)[40]) for one in row]
    assert min(spread) == pytest.approx(deviation / 1.4, rel=0.05)
    assert max(spread) == pytest.approx(deviation * 1.4, rel=0.05)
    rare = PlaceConfig(blank=0.25)
    blank = [not gaussian(mask, rare, np.random.default_rng(seed)).any() for seed in range(200)]
    assert 0.15 < np.mean(blank) < 0.35


def test_a_guide_shows_its_object_and_nothing_else() -> None:
    frame, objects = first_frame(PAIR)
    net = network()
    guides = guides_of(frame, objects, InferenceConfig(margin=0.25), net)
    assert guides.shape == (2, 3, 32, 32)
    for i, guide in zip(PAIR.object_ids, guides, strict=True):
        shown = (guide != 0).any(0).numpy()
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        assert shown.mean() == pytest.approx(1 / 1.5**2, rel=0.1)  # a rectangle with a quarter of it on each side
        assert abs(rows.mean() - 15.5) < 1
        assert abs(columns.mean() - 15.5) < 1
        assert np.allclose(images_of(guide[None])[0, 12:20, 12:20], np.roll([230, 60, 120], i), atol=2)
    assert torch.equal(guides, guides_of(frame, objects, InferenceConfig(margin=0.25), net))


def test_losses_of_parts_add_up() -> None:
    net = modulating()
    objective = pair_objective(net, [PAIR, Squares(void=True)], OSMNTraining(batch=3))
    batch = objective.draw(np.random.default_rng(2))
    assert {name: tuple(tensor.shape[1:]) for name, tensor in batch.items()} == {
        "guides": (3, 32, 32),
        "frames": (3, 64, 64),
        **dict.fromkeys(("places", "truth", "known"), (1, 64, 64)),
    }
    with torch.no_grad():
        whole = objective.loss(batch, batch["known"])
        parts = [
            objective.loss({name: tensor[cut] for name, tensor in batch.items()}, batch["known"])
            for cut in (slice(0, 1), slice(1, 3))
        ]
    assert whole > 0
    assert torch.allclose(whole, torch.stack(parts).sum(), atol=1e-6)


def test_guides_keep_their_size_where_images_vary() -> None:
    objective = pair_objective(network(), [PAIR], OSMNTraining(batch=2, sizes=(64, 96)))
    batches = [objective.draw(np.random.default_rng(seed)) for seed in range(9)]
    assert {batch["frames"].shape[-1] for batch in batches} == {64, 96}
    assert {batch["guides"].shape[-1] for batch in batches} == {32}
    again = objective.draw(np.random.default_rng(3))
    assert all(torch.equal(again[name], tensor) for name, tensor in batches[3].items())


def found(one: OSMNSegmenter, video: Squares, *, wrong: bool = False) -> list[float]:
    """Return the mean J of each object, each with its guide or with that of the other."""
    frame, objects = first_frame(video)
    one.start(frame, objects)
    if wrong:
        one.scales = [[scale.flip(0) for scale in scales] for scales in one.scales]
    scores = [one.step(video.frame(index)) for index in range(1, len(video))]
    masks = [(score == score.max(0)) & (score > 0.5) for score in scores]
    return [
        float(np.mean([overlap(mask[i - 1], video.drawn(k + 1) == i) for k, mask in enumerate(masks)]))
        for i in video.object_ids
    ]


def test_the_guide_says_which_object_is_meant(learned: OSMNNetwork) -> None:
    right, wrong = found(segmenter(learned), PAIR), found(segmenter(learned), PAIR, wrong=True)
    assert min(right) > 0.7
    assert max(wrong) < min(right) - 0.3


def test_an_overfitted_video_is_segmented() -> None:
    net, video = network(), Squares(seed=7)
    config = OSMNTraining(iterations=120, **{**QUICK, "learning_rate": 1e-2})
    train_network(net, [video], config, TrainingRun(seed=0))
    (plain,) = found(segmenter(net), video)
    masks = list(segment_video(Flipped(seed=7), segmenter(net)))
    mirrored = [overlap(mask == 1, video.drawn(k)[:, ::-1] == 1) for k, mask in enumerate(masks) if k]
    assert plain > 0.9
    assert np.mean(mirrored) == pytest.approx(plain, abs=0.03)


def test_an_object_is_looked_at_once_and_frames_are_shared() -> None:
    net, calls = modulating(), {"modulator": 0, "backbone": 0}
    net.modulator.register_forward_hook(lambda *_: calls.update(modulator=calls["modulator"] + 1))
    net.backbone.blocks[0].register_forward_hook(
        lambda module, inputs, output: calls.update(backbone=calls["backbone"] + len(inputs[0]))
    )
    masks = list(segment_video(PAIR, segmenter(net)))
    assert len(masks) == len(PAIR)
    assert calls == {"modulator": 1, "backbone": len(PAIR) - 1}


def test_objects_are_scored_one_by_one() -> None:
    frame, objects = first_frame(PAIR)
    net, other = modulating(), modulating(1)

    def scored(one: OSMNSegmenter, masks: np.ndarray) -> np.ndarray:
        one.start(frame, masks)
        return one.step(PAIR.frame(1))

    both = scored(segmenter(net), objects)
    assert both.shape == (2, 60, 80)
    assert np.allclose(both, scored(segmenter(net, net), objects), atol=1e-5)
    for number in range(2):
        assert np.allclose(both[number], scored(segmenter(net), objects[number : number + 1])[0], atol=1e-5)
    assert np.allclose(scored(segmenter(net, other), objects)[1], scored(segmenter(other), objects)[1], atol=1e-5)


def test_an_object_without_a_mask_is_sought_without_a_place() -> None:
    net, places = modulating(), []
    original = net.encode_place

    def noted(place: torch.Tensor) -> list[torch.Tensor]:
        places.append(place)
        return original(place)

    net.encode_place = noted  # type: ignore[method-assign]
    one = segmenter(net)
    one.start(*first_frame(PAIR))
    one.previous[1] = False
    one.step(PAIR.frame(1))
    assert places[0][0].max() > 0.9
    assert not places[0][1].any()


def test_a_tuned_copy_fits_the_first_frame_better(learned: OSMNNetwork) -> None:
    video, before = Squares(objects=2, seed=11), copy.deepcopy(learned.state_dict())
    frame, objects = first_frame(video)
    config = OneShotConfig(batch=2, learning_rate=1e-3, augmentation=AugmentationConfig(crop=0))
    copies = [fine_tune_on(learned, frame, mask[None], config, 25, TrainingRun(seed=0)) for mask in objects]
    assert all(torch.equal(value, before[name]) for name, value in learned.state_dict().items())
    scores = {}
    for name, networks in (("trained", [learned]), ("tuned", copies)):
        one = segmenter(*networks)
        one.start(frame, objects)
        scores[name] = np.mean([overlap(s > 0.5, m) for s, m in zip(one.step(frame), objects, strict=True)])
    assert scores["tuned"] > scores["trained"]
    assert scores["tuned"] > 0.85


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vos.optimization, "CHECKPOINT_SECONDS", -1.0)
    config = OSMNTraining(iterations=12, **{**QUICK, "batch_norm": "frozen", "batch": 2})

    def trained(training: TrainingRun) -> dict[str, torch.Tensor]:
        net = network()
        train_network(net, [PAIR], config, training)
        return net.state_dict()

    def stop(share: float, text: str) -> None:
        if share == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(TrainingRun(seed=0, scratch=tmp_path, progress=stop))
    resumed, whole = trained(TrainingRun(seed=0, scratch=tmp_path)), trained(TrainingRun(seed=0))
    for name, value in whole.items():
        assert torch.allclose(resumed[name], value, atol=1e-6), name


def test_copies_are_tuned_if_asked_for(tmp_path: Path) -> None:
    cell, done = plan("osmn", training="one-shot", one_shot={"iterations": 1, "batch": 1}), {}
    assert len(list((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())) == 4
    (tuned,) = (folder for key, folder in done.items() if key in keys(cell, "finetune"))
    assert sorted(file.name for file in tuned.iterdir()) == ["network0.pt", "network1.pt"]
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    assert timing["one_shot_seconds_per_video"] > 0
    assert keys(cell, "train") == keys(plan("osmn"), "train")


@pytest.mark.parametrize("change", ["place.shift", "guide.rotation", "clip_window"])
def test_what_a_training_reads_is_in_its_key(change: str) -> None:
    assert keys(plan("osmn", **{f"trainings.offline.{change}": 3}), "train") != keys(plan("osmn"), "train")
    assert keys(plan("osmn", **{"inference.margin": 0.3}), "train") == keys(plan("osmn"), "train")
