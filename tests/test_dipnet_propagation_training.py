"""Training of the propagation with all objects of a frame: what is asked for, and its loss, by hand (section 3.3.2)."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dipnet.config import PropagationConfig, PropagationTraining
from dipnet.train_propagation import asked_objects, draw_pair, new_propagation, propagation_loss, propagation_objective
from tests.videos import Squares
from vos.config import AugmentationConfig, CoarseConfig
from vos.geometry import View
from vos.optimization import TrainingError

P = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8)
PLAIN = AugmentationConfig(flip=0, crop=0)
SOFTMAX, SIGMOID = PropagationTraining(), PropagationTraining(loss="sigmoid")


def cell(*values: float) -> Tensor:
    """Values of masks at a single cell of one sample."""
    return torch.tensor(values).reshape(1, -1, 1, 1)


def loss_of(
    logits: Tensor, asked: list[bool], truth: Tensor, config: PropagationTraining = SOFTMAX, known: float = 1.0
) -> float:
    return propagation_loss(logits, torch.tensor([asked]), truth, cell(known), cell(known), config).item()


def view(rows: list[list[int]]) -> View:
    mask = np.array(rows, np.uint8)
    return View(np.zeros((*mask.shape, 3), np.uint8), mask)


def test_two_objects_share_a_softmax_with_the_negated_foreground() -> None:
    # A quarter background, a half the first object, a quarter the second.
    total = math.exp(-0.5) + math.exp(1.0) + math.exp(-2.0)
    entropy = -(0.25 * -0.5 + 0.5 * 1.0 + 0.25 * -2.0) + math.log(total)
    foreground = 0.75 * math.log(1 + math.exp(-0.5)) + 0.25 * math.log(1 + math.exp(0.5))
    logits, truth = cell(1.0, -2.0, 0.5), cell(0.5, 0.25, 0.75)
    assert loss_of(logits, [True] * 3, truth) == pytest.approx(entropy + foreground)
    without = PropagationTraining(foreground_term=0)
    assert loss_of(logits, [True] * 3, truth, without) == pytest.approx(entropy)


def test_one_object_has_the_loss_of_a_sigmoid() -> None:
    expected = -(0.7 * math.log(1 / (1 + math.exp(-1.5))) + 0.3 * math.log(1 / (1 + math.exp(1.5))))
    for config in (SOFTMAX, SIGMOID):
        assert loss_of(cell(1.5, 9.0), [True, False], cell(0.7, 0.7), config) == pytest.approx(expected)


def test_sigmoids_of_several_objects_are_averaged() -> None:
    truth, logits = cell(1.0, 0.0, 1.0), cell(2.0, 3.0, -1.0)
    each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").flatten()
    assert loss_of(logits, [True] * 3, truth, SIGMOID) == pytest.approx(each.mean().item())


def test_both_losses_add_up() -> None:
    truth, logits = cell(0.5, 0.25, 0.75), cell(2.0, 3.0, -1.0)
    without = PropagationTraining(foreground_term=0)
    expected = sum(loss_of(logits, [True] * 3, truth, config) for config in (without, SIGMOID))
    assert loss_of(logits, [True] * 3, truth, PropagationTraining(loss="both")) == pytest.approx(expected)


def test_what_is_not_asked_for_changes_nothing() -> None:
    for config in (SOFTMAX, SIGMOID):
        logits = cell(1.0, 5.0, -2.0, 0.5).requires_grad_()
        asked = torch.tensor([[True, False, True, True]])
        found = propagation_loss(logits, asked, cell(0.5, 0.0, 0.25, 0.75), cell(1.0), cell(1.0), config)
        found.backward()
        assert found.item() == pytest.approx(loss_of(cell(1.0, -2.0, 0.5), [True] * 3, cell(0.5, 0.25, 0.75), config))
        assert logits.grad is not None
        assert logits.grad.flatten()[1] == 0
        assert (logits.grad.flatten()[[0, 2, 3]] != 0).all()


@pytest.mark.parametrize("config", [SOFTMAX, SIGMOID])
def test_losses_of_parts_add_up_to_that_of_the_batch(config: PropagationTraining) -> None:
    torch.manual_seed(0)
    logits, asked = torch.randn(4, 3, 5, 5), torch.ones(4, 3, dtype=torch.bool)
    asked[1, 1:] = False
    shares = torch.softmax(torch.randn(4, 3, 5, 5), 1)[:, :2] * asked[:, :2, None, None]
    truth, known = torch.cat([shares, shares.sum(1, keepdim=True)], 1), torch.rand(4, 1, 5, 5)
    whole = propagation_loss(logits, asked, truth, known, known, config)
    parts = [propagation_loss(logits[i], asked[i], truth[i], known[i], known, config) for i in ([0, 1], [2, 3])]
    torch.testing.assert_close(whole, torch.stack(parts).sum())


def test_void_has_no_weight() -> None:
    logits, truth, known = torch.randn(1, 2, 1, 2), torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]]), torch.ones(1, 1, 1, 2)
    known[..., 1] = 0
    found = propagation_loss(logits, torch.tensor([[True, False]]), truth, known, known, SOFTMAX)
    assert found.item() == pytest.approx(functional.softplus(-logits[0, 0, 0, 0]).item())


def test_seen_objects_are_asked_for_and_all_together_if_several() -> None:
    references = [view([[1, 1], [0, 2]]), view([[0, 0], [0, 2]])]
    targets = [view([[1, 2], [2, 255]]), view([[1, 1], [2, 255]])]
    batch = asked_objects(references, targets, SOFTMAX, 1, np.random.default_rng(0))
    assert batch["asked"].tolist() == [[True, True, True], [False, True, False]]
    assert batch["masks"].shape == (2, 3, 1, 2, 2)
    assert batch["masks"][0].flatten(1).tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 1]]
    # Three pixels are known; the second sample does not ask for the object 1, which its reference does not show.
    torch.testing.assert_close(batch["truth"].flatten(1), torch.tensor([[1, 2, 3], [0, 1, 1]]) / 3)
    assert batch["known"].flatten().tolist() == [0.75, 0.75]


def test_reference_masks_are_disturbed_and_truths_are_not() -> None:
    views = [view([[int(8 <= row < 24) for _ in range(32)] for row in range(32)])]
    config = PropagationTraining(disturbance=CoarseConfig(kernel=8))
    rows = {
        int(asked_objects(views, views, config, 8, np.random.default_rng(seed))["masks"][0, 0].sum() / 32)
        for seed in range(20)
    }
    assert min(rows) < 16 < max(rows)
    batch = asked_objects(views, views, config, 32, np.random.default_rng(0))
    assert batch["truth"][0, 0].sum() == 16 * 32


def test_a_batch_holds_all_objects_of_its_frames() -> None:
    config = PropagationTraining(batch=3, augmentation=PLAIN)
    videos = [Squares(objects=2), Squares(objects=2, seed=1)]
    objective = propagation_objective(new_propagation(P, "none", 0), videos, config)
    batch = objective.draw(np.random.default_rng(0))
    assert batch["asked"].tolist() == [[True] * 3] * 3
    assert batch["masks"].shape == (3, 3, 1, 64, 64)
    assert batch["truth"].shape == (3, 3, 16, 16)
    torch.testing.assert_close(batch["truth"][:, 2], batch["truth"][:, :2].sum(1))
    assert 0 < objective.loss(batch, batch["known"]).item() < 5


def test_one_object_is_asked_for_where_the_option_says_so() -> None:
    config = PropagationTraining(batch=4, objects=1, foreground=0.0, augmentation=PLAIN)
    objective = propagation_objective(new_propagation(P, "none", 0), [Squares(objects=2)], config)
    batch = objective.draw(np.random.default_rng(0))
    assert batch["asked"].tolist() == [[True, False]] * 4


def test_a_reference_shows_an_object() -> None:
    config = PropagationTraining(augmentation=AugmentationConfig(shift=0.5, scale=(0.5, 3.0)))
    for seed in range(60):
        reference, target = draw_pair([Squares(length=6)], config, 32, np.random.default_rng(seed))
        assert reference.objects == 1
        assert target.frame.shape == (32, 32, 3)


def test_data_without_objects_is_refused() -> None:
    class Specks(Squares):
        def drawn(self, index: int) -> np.ndarray:
            ids = np.zeros((400, 400), np.uint8)
            ids[0, 0] = 1  # between the pixels of a small square
            return ids

        def frame(self, index: int) -> np.ndarray:
            return np.zeros((400, 400, 3), np.uint8)

    with pytest.raises(TrainingError, match="no object covers a pixel of their 32×32"):
        draw_pair([Specks()], PropagationTraining(augmentation=PLAIN), 32, np.random.default_rng(0))
