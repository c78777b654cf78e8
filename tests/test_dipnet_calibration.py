"""The identity encoder before its first step: statistics with eq. 1 in place, a head that distinguishes objects."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from dipnet.calibration import GAIN, calibrate_identity
from dipnet.config import PropagationConfig, PropagationTraining
from dipnet.propagation import PropagationNetwork
from dipnet.train_propagation import new_propagation, propagation_objective, train_propagation
from tests.videos import Squares
from vos.optimization import TrainingRun
from vos.samples import masks_tensor

P = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8, identity_calibration=4)
CONFIG = PropagationTraining(iterations=1, batch=4, optimizer="adamw", learning_rate=1e-9)


def two_halves(rng: np.random.Generator) -> dict[str, Tensor]:
    """Frames that are noise on the left and stripes on the right; the mask is one of the halves."""
    frames = torch.from_numpy(rng.normal(0, 1, (4, 3, 64, 64)).astype(np.float32))
    frames[..., 32:] = torch.arange(32).remainder(8).lt(4).float() * 2 - 1
    masks = np.zeros((4, 64, 64), np.uint8)
    masks[:2, :, :32] = 1
    masks[2:, :, 32:] = 1
    asked = torch.ones(4, 1, dtype=torch.bool)
    return {"references": frames, "masks": masks_tensor(list(masks))[:, None], "asked": asked}


@pytest.fixture(scope="module")
def calibrated() -> PropagationNetwork:
    network = new_propagation(P, "none", 0)
    calibrate_identity(network, two_halves, 4, TrainingRun(seed=0))
    return network


def test_what_passes_eq_1_is_normalized(calibrated: PropagationNetwork) -> None:
    means, deviations = [], []

    def look(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        means.append(output.mean().item())
        deviations.append(output.std().item())

    norms = [m for m in calibrated.identity.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(look) for norm in norms]
    batch = two_halves(np.random.default_rng(7))
    calibrated.encode_identity(batch["references"], batch["masks"][:, 0])
    for hook in hooks:
        hook.remove()
    assert len(means) == len(norms)
    assert np.abs(means).max() < 0.15
    assert min(deviations) > 0.8
    assert max(deviations) < 1.2


def test_channels_open_for_what_the_object_has_more_of(calibrated: PropagationNetwork) -> None:
    batch = two_halves(np.random.default_rng(7))
    with torch.no_grad():
        pooled = calibrated.identity.pool(batch["references"], batch["masks"][:, 0])
        identity = calibrated.encode_identity(batch["references"], batch["masks"][:, 0])
    noise, stripes = pooled[:2].mean(0), pooled[2:].mean(0)
    open_noise, open_stripes = identity[:2].mean(0), identity[2:].mean(0)
    distinct = (noise - stripes).abs() > 0.5 * (noise - stripes).abs().max()
    assert bool(((noise > stripes) == (open_noise > open_stripes))[distinct].all())
    logits = torch.logit(identity)
    assert logits.mean().abs() < 0.3
    assert 0.5 * GAIN < logits.std() < 1.1 * GAIN


def test_the_frame_encoder_and_the_head_of_the_propagation_stay(calibrated: PropagationNetwork) -> None:
    before = new_propagation(P, "none", 0)
    for name, value in before.state_dict().items():
        if not name.startswith("identity."):
            assert torch.equal(value, calibrated.state_dict()[name]), name
    for name, value in before.identity.backbone.named_parameters():
        assert torch.equal(value, calibrated.identity.backbone.state_dict()[name]), name


def test_only_the_first_training_calibrates() -> None:
    network = new_propagation(P, "none", 0)
    untouched = copy.deepcopy(network.identity.head.weight)
    train_propagation(network, [Squares()], CONFIG, TrainingRun(seed=0), first=False)
    assert torch.allclose(network.identity.head.weight, untouched, atol=1e-6)
    train_propagation(network, [Squares()], CONFIG, TrainingRun(seed=0))
    off_diagonal = network.identity.head.weight - torch.diag(network.identity.head.weight.diag())
    assert off_diagonal.abs().max() < 1e-6


def test_without_the_option_nothing_is_calibrated() -> None:
    network = new_propagation(P.model_copy(update={"identity_calibration": 0}), "none", 0)
    untouched = copy.deepcopy(network.identity.head.weight)
    train_propagation(network, [Squares()], CONFIG, TrainingRun(seed=0))
    assert torch.allclose(network.identity.head.weight, untouched, atol=1e-6)


def test_calibrating_is_repeatable() -> None:
    networks = [new_propagation(P, "none", 0) for _ in range(2)]
    for network in networks:
        objective = propagation_objective(network, [Squares()], CONFIG)
        calibrate_identity(network, objective.draw, 2, TrainingRun(seed=0))
    first, second = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_calibration_does_not_read_held_out_videos() -> None:
    config = CONFIG.model_copy(update={"held_out": 0.5})
    learned, kept = Squares(), Squares(seed=1, objects=2)
    biases = []
    for videos in ([learned, kept], [learned, Squares(seed=2)], [kept, learned]):
        network = new_propagation(P, "none", 0)
        train_propagation(network, videos, config, TrainingRun(seed=0))
        biases.append(network.identity.head.bias.detach())
    assert torch.allclose(biases[0], biases[1], atol=1e-6)
    assert not torch.allclose(biases[0], biases[2], atol=1e-2)
