"""PML: its loss by hand, its cells and anchors, what training brings, on-line adaptation, and what keys depend on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import vos.optimization
from rivals.pml import InferenceConfig, MetricTraining
from rivals.pml_network import (
    NONE,
    PMLNetwork,
    PMLSegmenter,
    cell_labels,
    draw_anchors,
    metric_objective,
    new_network,
    train_network,
    triplet_losses,
)
from tests.test_rivals import keys, plan
from tests.test_rivals_nearest import Flipped, overlap
from tests.videos import Squares, first_frame
from vos.backbone import Backbone, keep_stride
from vos.checkpoint import for_inference
from vos.geometry import View
from vos.matching import first_labels, rows_of, vote_scores, votes
from vos.optimization import TrainingRun
from vos.segment import label, segment_video

NETWORK: dict[str, Any] = {
    "backbone": "mini",
    "size": 64,
    "block": "f16",
    "dilated": True,
    "channels": 32,
    "coordinates": True,
}
QUICK: dict[str, Any] = {"optimizer": "adamw", "batch_norm": "train", "batch": 2, "learning_rate": 3e-3}
QUICK |= {"backbone_rate": 1.0, "weight_decay": 1e-4, "anchors": 64}
PAIR = Squares(objects=2, seed=3)
SIDE = 128
CELLS = SIDE // 8, SIDE // 8


def network(seed: int = 0, **change: Any) -> PMLNetwork:
    return new_network(**{**NETWORK, **change}, weights="none", seed=seed)


def segmenter(net: PMLNetwork, confident: int = 0) -> PMLSegmenter:
    return PMLSegmenter([for_inference(net, "cpu")], InferenceConfig(confident=confident), "cpu")


@pytest.fixture(scope="module")
def learned() -> tuple[PMLNetwork, TrainingRun]:
    net, training = network(size=SIDE), TrainingRun(seed=0)
    train_network(net, [PAIR], MetricTraining(iterations=30, **QUICK), training)
    return for_inference(net, "cpu"), training


@pytest.mark.parametrize("name", ["mini", "resnet18", "mobilenet_v2"])
def test_a_block_that_keeps_its_stride_computes_the_same_cells(name: str) -> None:
    torch.manual_seed(0)
    plain, fine = Backbone(name).eval(), Backbone(name).eval()
    fine.load_state_dict(plain.state_dict())
    for dilation, block in zip((1, 2), fine.blocks[3:], strict=True):
        keep_stride(block, dilation)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        *_, coarse16, coarse32 = plain(image)
        *_, fine16, fine32 = fine(image)
    assert [x.shape[-1] for x in (fine16, fine32)] == [8, 8]
    torch.testing.assert_close(fine16[..., ::2, ::2], coarse16, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(fine32[..., ::4, ::4], coarse32, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("change", [{}, {"dilated": False}, {"block": "f32"}, {"coordinates": False}], ids=str)
def test_every_cell_of_eight_pixels_has_an_embedding_of_length_one(change: dict[str, Any]) -> None:
    embeddings = network(**change).eval()(torch.randn(2, 3, 64, 96))
    assert embeddings.shape == (2, 32, 8, 12)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(2, 8, 12), atol=1e-5)


def test_coordinates_tell_equal_cells_apart() -> None:
    image = torch.full((1, 3, 128, 128), 0.5)
    with torch.no_grad():
        blind, placed = (network(coordinates=known).eval()(image)[0, :, 4:12, 4:12] for known in (False, True))
    assert torch.allclose(blind, blind[:, :1, :1].expand_as(blind), atol=0.01)
    assert (placed - placed[:, :1, :1]).norm(dim=0).max() > 0.1


def test_anchors_are_to_be_nearer_to_their_object_than_to_the_rest() -> None:
    east, north, west = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)
    slanted = (0.6, 0.8)
    embeddings = torch.tensor([[[east, north], [slanted, west], [north, west]]])
    labels = torch.tensor([[[0, 1], [0, 1], [1, 0]]])
    # East to its own kind: slanted 0.8, west 4; to the other: west 4, north 2. North: itself 0; slanted 0.4, west 2.
    losses = triplet_losses(embeddings, labels, torch.tensor([[0, 1]]), 0.7)
    assert losses.tolist() == pytest.approx([(0.0 + 0.3) / 2], abs=1e-6)
    assert triplet_losses(embeddings, labels, torch.tensor([[0, 0, 1, 1]]), 1.5).tolist() == pytest.approx(
        [(2 * 0.3 + 2 * 1.1) / 4], abs=1e-6
    )


def test_void_and_anchors_without_a_partner_do_not_count() -> None:
    embeddings = torch.tensor([[[(1.0, 0.0), (0.0, 1.0)], [(1.0, 0.0), (0.0, 1.0)], [(0.0, 1.0), (0.0, 1.0)]]])
    labels = torch.tensor([[[0, 1], [NONE, 1], [1, 1]]])
    assert triplet_losses(embeddings, labels, torch.tensor([[0, 1]]), 0.7).tolist() == [0.0]  # nothing has label 0
    labels[0, 1, 0] = 0
    both = triplet_losses(embeddings, labels, torch.tensor([[0, 1]]), 2.7)
    one = triplet_losses(embeddings, labels, torch.tensor([[0, NONE]]), 2.7)
    assert both.tolist() == pytest.approx([0.7])
    assert one.tolist() == pytest.approx([0.7])
    labels[0, 1:] = torch.tensor([[0, NONE], [NONE, NONE]])
    assert triplet_losses(embeddings, labels, torch.tensor([[0, 0]]), 2.7).tolist() == [0.0]


def test_a_cell_has_the_label_of_what_covers_most_of_it() -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[:8, :5] = 1  # five columns of the first cell
    mask[:8, 8:11] = 2  # three of the second
    mask[8:, :5] = 255  # most of the third is void
    mask[8:, 8:12] = 255  # half of the fourth is, and object 2 covers the rest
    mask[8:, 12:] = 2
    view = View(np.zeros((16, 16, 3), np.uint8), mask)
    labels, background = cell_labels([[view] * 3, [view] * 3], 2)
    assert background == 2
    assert labels.shape == (2, 3, 4)
    assert labels[1, 2].tolist() == [0, 2, NONE, 1]


def test_as_many_anchors_are_on_objects_as_on_the_background() -> None:
    labels = torch.tensor([0, 1, 2, 2, 2, NONE, 2])
    drawn = draw_anchors(labels, 2, 50, np.random.default_rng(0))
    assert set(drawn[:50].tolist()) == {0, 1}
    assert set(drawn[50:].tolist()) == {2, 3, 4, 6}
    empty = draw_anchors(torch.tensor([2, 2, NONE]), 2, 3, np.random.default_rng(0)).tolist()
    assert empty[:3] == [NONE] * 3
    assert set(empty[3:]) <= {0, 1}


def test_losses_of_parts_add_up() -> None:
    net = network().eval()
    objective = metric_objective(net, [PAIR, Squares(void=True)], MetricTraining(batch=3, anchors=16))
    batch = objective.draw(np.random.default_rng(1))
    assert [tuple(batch[name].shape) for name in ("frames", "labels", "anchors")] == [
        (3, 3, 3, 64, 64),
        (3, 3, 64),
        (3, 32),
    ]
    with torch.no_grad():
        whole = objective.loss(batch, batch["known"])
        parts = [
            objective.loss({name: tensor[cut] for name, tensor in batch.items()}, batch["known"])
            for cut in (slice(0, 1), slice(1, 3))
        ]
    assert whole > 0
    assert torch.allclose(whole, torch.stack(parts).sum(), atol=1e-6)


def test_batches_depend_on_the_generator_only() -> None:
    objective = metric_objective(network(), [PAIR], MetricTraining(batch=2, anchors=8, sizes=(32, 64)))
    one, again, other = (objective.draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["anchors"], other["anchors"])
    assert {objective.draw(np.random.default_rng(seed))["frames"].shape[-1] for seed in range(9)} == {32, 64}


def test_the_loss_falls_far_below_its_margin(learned: tuple[PMLNetwork, TrainingRun]) -> None:
    _, training = learned
    assert training.curve[-1][1] < 0.2 * 0.7


def scores(net: PMLNetwork, video: Squares) -> dict[int, float]:
    masks = list(segment_video(video, segmenter(net)))
    return {
        i: float(np.mean([overlap(mask == i, video.drawn(k) == i) for k, mask in enumerate(masks) if k]))
        for i in video.object_ids
    }


def ceiling(video: Squares) -> dict[int, float]:
    """Return J where each cell has its true label: the most that cells of that size allow."""
    found: dict[int, list[float]] = {i: [] for i in video.object_ids}
    for index in range(1, len(video)):
        truth = video.drawn(index)
        cells = first_labels(np.stack([truth == i for i in video.object_ids]), CELLS)
        solid = functional.one_hot(cells.argmax(1), cells.shape[1]).float()
        best = label(vote_scores(solid, CELLS, video.frame(index)), video.object_ids)
        for i, values in found.items():
            values.append(overlap(best == i, truth == i))
    return {i: float(np.mean(values)) for i, values in found.items()}


def test_training_lifts_masks_to_what_cells_allow(learned: tuple[PMLNetwork, TrainingRun]) -> None:
    net = copy.deepcopy(learned[0])
    untrained, trained, best = scores(network(size=SIDE), PAIR), scores(net, PAIR), ceiling(PAIR)
    net.size = 3 * SIDE
    fine = scores(net, PAIR)
    for i in PAIR.object_ids:
        assert untrained[i] + 0.1 < trained[i]
        assert trained[i] > 0.97 * best[i]
        assert fine[i] > 0.9


def test_the_first_frame_finds_itself(learned: tuple[PMLNetwork, TrainingRun]) -> None:
    frame, objects = first_frame(PAIR)
    truth = first_labels(objects, CELLS).argmax(1)
    one = segmenter(learned[0])
    one.start(frame, objects)
    cells = votes(one.reference, one.reference, one.labels, 5).argmax(1)
    for number in range(2):
        assert overlap((cells == number).numpy(), (truth == number).numpy()) >= 0.95


def test_a_flipped_video_gives_flipped_masks(learned: tuple[PMLNetwork, TrainingRun]) -> None:
    plain = list(segment_video(PAIR, segmenter(learned[0])))
    mirrored = list(segment_video(Flipped(objects=2, seed=3), segmenter(learned[0])))
    for one, other in zip(plain[1:], mirrored[1:], strict=True):
        assert np.mean(one == other[:, ::-1]) > 0.95
        assert np.mean(one == other) < 0.9


def test_an_absent_second_object_changes_nothing(learned: tuple[PMLNetwork, TrainingRun]) -> None:
    video, one, two = Squares(seed=3), segmenter(learned[0], 16), segmenter(learned[0], 16)
    mask = video.mask(0)[None] == 1
    one.start(video.frame(0), mask)
    two.start(video.frame(0), np.concatenate([mask, np.zeros_like(mask)]))
    for index in (1, 2):
        alone, both = one.step(video.frame(index)), two.step(video.frame(index))
        assert np.allclose(alone[0], both[0])
        assert not both[1].any()


def test_cells_whose_votes_agree_join_the_reference() -> None:
    class Made(PMLSegmenter):
        """Four cells: two like the first cell of the first frame, one like its second, and one between them."""

        def _embed(self, frame: np.ndarray) -> torch.Tensor:
            if frame.shape[1] == 2:
                return torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
            return torch.tensor([[[1.0, 0.1, 0.9, 0.7]], [[0.0, 1.0, 0.1, 0.7]]])

    first, later = np.zeros((1, 2, 3), np.uint8), np.zeros((1, 4, 3), np.uint8)
    objects = np.array([[[True, False]]])
    for neighbors, confident, joined in ((1, 0, 0), (1, 9, 4), (1, 2, 2), (2, 9, 0)):
        made = Made([network()], InferenceConfig(neighbors=neighbors, confident=confident), "cpu")
        made.start(first, objects)
        made.step(later)
        assert len(made.reference) == len(made.labels) == 2 + joined
    made = Made([network()], InferenceConfig(neighbors=1, confident=3), "cpu")
    made.start(first, objects)
    made.step(later)
    assert torch.equal(made.reference[2:], rows_of(made._embed(later))[[0, 2, 3]])
    assert made.labels[2:4].tolist() == [[1.0, 0.0], [1.0, 0.0]]
    made.start(first, objects)
    assert len(made.reference) == 2  # the next video begins anew


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vos.optimization, "CHECKPOINT_SECONDS", -1.0)
    config = MetricTraining(iterations=12, **{**QUICK, "batch_norm": "frozen", "anchors": 8})

    def trained(training: TrainingRun) -> dict[str, torch.Tensor]:
        net = network()
        train_network(net, [PAIR], config, training)
        return net.state_dict()

    def stop(share: float, text: str) -> None:
        if share == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(TrainingRun(seed=0, scratch=tmp_path, progress=stop))
    assert (tmp_path / vos.optimization.CHECKPOINT).exists()
    resumed, whole = trained(TrainingRun(seed=0, scratch=tmp_path)), trained(TrainingRun(seed=0))
    for name, value in whole.items():
        assert torch.allclose(resumed[name], value, atol=1e-6), name


@pytest.mark.parametrize("change", ["margin", "anchors", "clip_window"])
def test_what_a_training_reads_is_in_its_key(change: str) -> None:
    assert keys(plan("pml", **{f"trainings.offline.{change}": 3}), "train") != keys(plan("pml"), "train")


def test_adaptation_is_of_segmenting_only() -> None:
    full, fixed = plan("pml"), plan("pml", **{"inference.confident": 0})
    assert keys(fixed, "train") == keys(full, "train")
    assert not keys(fixed, "segment") & keys(full, "segment")


def test_all_objects_have_labels_whatever_the_foreground() -> None:
    merging = plan("pml", **{"trainings.offline.foreground": 1.0})
    assert keys(merging, "train") == keys(plan("pml"), "train")
