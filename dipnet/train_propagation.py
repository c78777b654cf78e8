"""What the propagation network learns (section 3.4): from one frame and its mask, the coarse mask of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from dipnet.calibrate import calibrate_identity
from dipnet.config import PropagationConfig, TrainingConfig
from dipnet.loss import masked_cross_entropy
from dipnet.optimise import Batch, Objective, Run
from dipnet.propagation import PropagationNetwork
from dipnet.samples import Video, frames_tensor, known_tensor, masks_tensor, pair_sample
from dipnet.train import split, train
from dipnet.view import View


def new_propagation(config: PropagationConfig, weights: str, seed: int) -> PropagationNetwork:
    """The untrained network: backbones from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = PropagationNetwork(config)
    network.load_pretrained(weights)
    return network


def train_propagation(
    network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig, run: Run, *, first: bool = True
) -> None:
    """Phase I: identity from one frame of a pair, mask of the other; binary cross entropy on the coarse mask.

    `first`: no training went before, so that the identity encoder is calibrated if its config says so."""
    batches = network.config.identity_calibration
    if first and batches:
        learnt, _ = split(videos, config.held_out)
        calibrate_identity(network, propagation_objective(network, learnt, config).draw, batches, run)
    train(network, videos, config, run, lambda some: propagation_objective(network, some, config))


def propagation_objective(network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig) -> Objective:
    """Pairs of frames, and the binary cross entropy of the second one's coarse mask."""
    side, coarse = network.config.size, network.config.coarse_size

    def draw(rng: Generator) -> Batch:
        pairs = [pair_sample(videos, config, side, rng) for _ in range(config.batch)]
        truth, known = coarse_truth([target for _, target in pairs], coarse)
        return {
            "references": frames_tensor([reference.frame for reference, _ in pairs]),
            "masks": masks_tensor([reference.mask for reference, _ in pairs]),
            "targets": frames_tensor([target.frame for _, target in pairs]),
            "truth": truth,
            "known": known,
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        features = network.encode_frame(part["targets"])
        identity = network.encode_identity(part["references"], part["masks"])
        return masked_cross_entropy(network.propagate(features, identity), part["truth"], part["known"], known)

    return Objective(draw, loss)


def coarse_truth(targets: Sequence[View], size: int) -> tuple[Tensor, Tensor]:
    """Truth of the coarse mask and where it is known: n × 1 × size × size, shares of the cell's area."""
    truth = masks_tensor([target.mask for target in targets])
    known = known_tensor([target.mask for target in targets])
    return F.adaptive_avg_pool2d(truth, size), F.adaptive_avg_pool2d(known, size)
