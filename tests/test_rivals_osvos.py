"""OSVOS: its loss by hand, its parent, its tuned copies, and what stages share."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import vos.optimization
from harness.config import resolve
from harness.datasets.pixels import read_mask
from harness.method import CellPlan, CellRequest
from harness.stage import Data, Stage
from rivals.osvos import METHOD, InferenceConfig, OneShotConfig, OSVOSConfig, ParentTraining
from rivals.osvos_network import OSVOSNetwork, OSVOSSegmenter, fine_tune_on, frame_objective, new_network, train_parent
from tests.test_dipnet_stages import STILLS, VIDEOS, reached, run
from tests.test_rivals_nearest import Flipped, overlap
from tests.videos import Squares, first_frame
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.geometry import Box
from vos.losses import balanced_cross_entropy
from vos.optimization import TrainingRun
from vos.samples import foreground_view, frames_tensor, known_tensor, masks_tensor
from vos.segment import segment_video

NETWORK = {"backbone": "mini", "size": 64, "side_channels": 8}
SHORT = {"iterations": 2, "batch": 2}
TINY: dict[str, Any] = {
    "network": NETWORK,
    "trainings": {"pretraining": SHORT, "offline": SHORT},
    "one_shot": {"iterations": 1, "batch": 1},
}
QUICK = {"optimizer": "adamw", "batch_norm": "train", "batch": 4, "learning_rate": 5e-3, "schedule": "cosine"}


def network(seed: int = 0) -> OSVOSNetwork:
    return new_network("mini", 64, 8, "none", seed)


def trained(config: ParentTraining, run: TrainingRun) -> OSVOSNetwork:
    first = network()
    train_parent(first, [Squares(void=True), Squares(seed=1)], config, run)
    return first


def segmenter(networks: list[OSVOSNetwork], threshold: float = 0.5) -> OSVOSSegmenter:
    return OSVOSSegmenter(networks, InferenceConfig(threshold=threshold), "cpu")


@pytest.fixture(scope="module")
def parent() -> OSVOSNetwork:
    config = ParentTraining(iterations=100, augmentation=AugmentationConfig(crop=0), **QUICK)
    return for_inference(trained(config, TrainingRun(seed=0)), "cpu")


def request(objects: int = 1, *, several: bool | None = None, seed: int = 0, **change: object) -> CellRequest:
    return CellRequest(
        config=resolve(OSVOSConfig, {**TINY, **change}, "test"),
        sequences={name: Data(name=name, digest=name, value=Squares(objects=objects, length=4)) for name in "ab"},
        multi_object=objects > 1 if several is None else several,
        training={"pretraining": STILLS, "offline": VIDEOS},
        missing={},
        seed=seed,
        machine="here",
    )


def plan(*args: Any, **options: Any) -> CellPlan:
    return METHOD.plan(request(*args, **options))


def stages(cell: CellPlan) -> dict[str, Stage]:
    return {key: stage for one in cell.segment.values() for key, stage in reached(one).items()}


def keys(cell: CellPlan, name: str) -> set[str]:
    return {key for key, stage in stages(cell).items() if stage.name == name}


def test_object_and_background_weigh_the_same() -> None:
    logits = torch.tensor([[[[2.0, -1.0, 0.5, 3.0, 9.0]]]])
    truth = torch.tensor([[[[1.0, 0.0, 0.0, 0.0, 0.0]]]])
    known = torch.tensor([[[[1.0, 1.0, 1.0, 1.0, 0.0]]]])  # the last pixel is void
    positive = math.log(1 + math.exp(-2.0))
    negative = sum(math.log(1 + math.exp(x)) for x in (-1.0, 0.5, 3.0))
    expected = (3 / 4 * positive + 1 / 4 * negative) / 4
    assert balanced_cross_entropy(logits, truth, known).item() == pytest.approx(expected, rel=1e-5)
    both = [torch.cat([x, y]) for x, y in ((logits, logits), (truth, 0 * truth), (known, known))]
    assert balanced_cross_entropy(*both).item() == pytest.approx(expected / 2, rel=1e-5)  # each sample by itself


def test_losses_of_parts_add_up() -> None:
    views = [foreground_view([Squares(void=True)], ParentTraining(), 64, np.random.default_rng(i)) for i in range(3)]
    masks = [view.mask for view in views]
    logits, truth, known = torch.randn(3, 1, 64, 64), masks_tensor(masks), known_tensor(masks)
    assert 0 < known.mean() < 1
    whole = balanced_cross_entropy(logits, truth, known)
    cuts = slice(0, 1), slice(1, 3)
    parts = sum(balanced_cross_entropy(logits[c], truth[c], known[c], known) for c in cuts)
    assert torch.allclose(whole, torch.as_tensor(parts))
    changed = torch.where(known == 0, logits + 5, logits)
    assert torch.equal(balanced_cross_entropy(changed, truth, known), whole)


def test_four_blocks_are_fused_at_the_image_s_size() -> None:
    net = network().eval()
    with torch.no_grad():
        net.fusion.bias.fill_(0.25)
        features = net.encode_frame(torch.randn(2, 3, 64, 64))
        prepared = net.prepare(features)
        fused, sides = net.fuse(prepared), net.side_outputs(prepared)
        large = [functional.interpolate(x, (64, 64), mode="bilinear") for x in prepared]
        assert [x.shape[-1] for x in features] == [16, 8, 4, 2]
        assert torch.allclose(fused, net.fusion(torch.cat(large, 1)), atol=1e-6)
        assert [tuple(side.shape) for side in sides] == [(2, 1, 64, 64)] * 4


def test_side_losses_have_their_weight() -> None:
    net = network().eval()
    masks = [Squares().mask(0)[:, :64].repeat(2, 0)[:64]]
    part = {"frames": torch.randn(1, 3, 64, 64), "truth": masks_tensor(masks), "known": known_tensor(masks)}

    def loss(weight: float | None) -> Tensor:
        objective = frame_objective(net, lambda: weight)
        return objective.loss(objective.encode(part), part, part["known"])

    prepared = net.prepare(net.encode_frame(part["frames"]))
    outputs = net.fuse(prepared), *net.side_outputs(prepared)
    own = [balanced_cross_entropy(x, part["truth"], part["known"]) for x in outputs]
    assert torch.allclose(loss(None), own[0])
    assert torch.allclose(loss(0.0), own[0])
    assert torch.allclose(loss(0.5), own[0] + 0.5 * torch.stack(own[1:]).sum())


def test_side_losses_fade_over_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[float | None] = []

    def noted(net: OSVOSNetwork, side_weight: Any = lambda: None) -> Any:
        def weight() -> float | None:
            weights.append(side_weight())
            return weights[-1]

        return frame_objective(net, weight)

    monkeypatch.setattr("rivals.osvos_network.frame_objective", noted)
    config = ParentTraining(iterations=4, batch=2, accumulate=2, side_weight=2)
    first = trained(config, TrainingRun(seed=0))
    assert weights == [2.0, 2.0, 1.5, 1.5, 1.0, 1.0, 0.5, 0.5]
    weights.clear()
    again = config.model_copy(update={"accumulate": 1, "side_weight": 1.0})
    train_parent(first, [Squares()], again, TrainingRun(seed=0))
    assert weights == [1.0, 0.75, 0.5, 0.25]  # a second training begins anew
    weights.clear()
    held = ParentTraining(iterations=2, batch=2, held_out=0.5, validation_steps=1)
    trained(held, TrainingRun(seed=0))
    assert [weight for weight in weights if weight is not None] == [1.0, 0.5]  # validation does not count
    assert weights.count(None) == 2 * vos.optimization.VALIDATION_BATCHES


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vos.optimization, "CHECKPOINT_SECONDS", -1.0)
    config = ParentTraining(iterations=20, batch=2, learning_rate=0.1)

    def stop(share: float, text: str) -> None:
        if share == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(config, TrainingRun(seed=0, scratch=tmp_path, progress=stop))
    assert (tmp_path / vos.optimization.CHECKPOINT).exists()
    resumed = trained(config, TrainingRun(seed=0, scratch=tmp_path)).state_dict()
    whole = trained(config, TrainingRun(seed=0)).state_dict()
    for name, value in whole.items():
        assert torch.allclose(resumed[name], value, atol=1e-6), name
    assert int(whole["course.parts"]) == 20


def test_pasted_objects_are_foreground() -> None:
    sure = AugmentationConfig(paste=1, crop=0, flip=0)
    two = Squares(objects=2, void=True)
    plain = foreground_view(
        [two], ParentTraining(augmentation=AugmentationConfig(crop=0)), 64, np.random.default_rng(0)
    )
    assert set(np.unique(plain.mask)) == {0, 1, 255}
    assert (plain.mask == 1).mean() > 0.1
    config = ParentTraining(augmentation=sure)
    areas = [(foreground_view([Squares()], config, 64, np.random.default_rng(i)).mask == 1).mean() for i in range(9)]
    assert max(areas) > 1.5 * (18 * 20) / (60 * 80)


def test_the_tuned_parent_segments_an_unseen_video(parent: OSVOSNetwork) -> None:
    video, before = Squares(seed=7), copy.deepcopy(parent.state_dict())
    frame, objects = first_frame(video)
    config = OneShotConfig(optimizer="adamw", batch=2, learning_rate=1e-3, augmentation=AugmentationConfig(crop=0))
    tuned = for_inference(fine_tune_on(parent, frame, objects, config, 40, TrainingRun(seed=0)), "cpu")
    masks = list(segment_video(video, segmenter([tuned])))
    found = [overlap(mask == 1, video.drawn(i) == 1) for i, mask in enumerate(masks) if i]
    assert np.mean(found) > 0.9
    assert all(torch.equal(value, before[name]) for name, value in parent.state_dict().items())
    mirrored = list(segment_video(Flipped(seed=7), segmenter([tuned])))
    assert all(overlap(one == 1, two[:, ::-1] == 1) > 0.9 for one, two in zip(masks, mirrored, strict=True))


def test_copies_find_the_object_that_they_are_tuned_on(parent: OSVOSNetwork) -> None:
    video = Squares(objects=2, seed=7)
    frame, objects = first_frame(video)
    config = OneShotConfig(optimizer="adamw", batch=2, learning_rate=4e-3, augmentation=AugmentationConfig(crop=0))
    tuned = [
        for_inference(fine_tune_on(parent, frame, mask[None], config, 60, TrainingRun(seed=0)), "cpu")
        for mask in objects
    ]
    for mask, index in zip(segment_video(video, segmenter(tuned)), range(3), strict=False):
        for i in video.object_ids:
            assert overlap(mask == i, video.drawn(index) == i) > 0.75


def test_several_networks_score_as_each_by_itself(parent: OSVOSNetwork) -> None:
    frame, objects = first_frame(Squares())
    other = for_inference(network(1), "cpu")
    one, two = segmenter([parent]), segmenter([parent, other])
    one.start(frame, objects)
    two.start(frame, np.repeat(objects, 2, axis=0))
    assert np.allclose(one.step(frame)[0], two.step(frame)[0])
    one.start(frame, np.repeat(objects, 2, axis=0))
    scores = one.step(frame)
    assert scores.shape == (2, 60, 80)
    assert np.array_equal(scores[0], scores[1])


def test_the_threshold_becomes_one_half(parent: OSVOSNetwork) -> None:
    frame, objects = first_frame(Squares())
    found = {}
    for threshold in (0.5, 0.8):
        scorer = segmenter([parent], threshold)
        scorer.start(frame, objects)
        found[threshold] = scorer.step(frame)
    assert np.allclose(found[0.5], _scores(parent, frame), atol=1e-5)
    clear = abs(found[0.5] - 0.8) > 1e-4
    assert np.array_equal((found[0.5] > 0.8)[clear], (found[0.8] > 0.5)[clear])
    assert (found[0.8] > 0.5).sum() < (found[0.5] > 0.5).sum()


def _scores(net: OSVOSNetwork, frame: np.ndarray) -> np.ndarray:
    whole = Box.whole(frame)
    with torch.no_grad():
        logits = net.fuse(net.prepare(net.encode_frame(frames_tensor([whole.cut(frame, 64)]))))
    return whole.placed(torch.sigmoid(logits)[0].numpy(), frame)


@pytest.mark.parametrize("objects", [1, 2])
def test_a_cell_goes_from_training_to_masks_and_seconds(objects: int, tmp_path: Path) -> None:
    cell, done = plan(objects), {}
    masks = sorted((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())
    assert [mask.stem for mask in masks] == ["00000", "00001", "00002", "00003"]
    assert np.array_equal(read_mask(masks[0]), Squares(objects=objects).mask(0))
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    per_video = timing["one_shot_seconds_per_video"]
    assert per_video > 0
    assert timing["seconds_per_frame"] == pytest.approx(timing["inference_seconds_per_frame"] + per_video / 4)
    tuned = next(folder for key, folder in done.items() if key in keys(cell, "finetune"))
    assert sorted(file.name for file in tuned.iterdir()) == [f"network{number}.pt" for number in range(objects)]
    offline = plan(objects, training="offline").timing
    assert offline is not None
    timing = json.loads((run(offline, tmp_path, done) / "timing.json").read_text())
    assert timing["one_shot_seconds_per_video"] == 0


def test_keys_change_with_what_a_stage_reads_only() -> None:
    names = ("train", "finetune", "segment")
    full = plan()
    changes: dict[str, tuple[dict[str, object], tuple[bool, bool, bool]]] = {
        "threshold": ({"inference.threshold": 0.8}, (True, True, False)),
        "one-shot": ({"one_shot": {"iterations": 3, "batch": 1}}, (True, False, False)),
        "side weight": ({"trainings.offline.side_weight": 0.5}, (False, False, False)),
        "coarse masks": ({"one_shot.coarse.kernel": 3, "trainings.offline.coarse.kernel": 3}, (True, True, True)),
        "foreground": ({"trainings.offline.foreground": 1.0}, (True, True, True)),
    }
    for name, (change, same) in changes.items():
        other = plan(**change)
        assert tuple(keys(other, stage) == keys(full, stage) for stage in names) == same, name
    assert not stages(plan(seed=1)).keys() & stages(full).keys()
    pasting = {"trainings.offline.augmentation.paste": 0.5}
    assert keys(plan(**pasting), "train") != keys(plan(**pasting, **changes["foreground"][0]), "train")


def test_one_object_among_several_is_the_single_object_task() -> None:
    assert stages(plan(1, several=True)).keys() == stages(plan(1, several=False)).keys()
