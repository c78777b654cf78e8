"""Training of the propagation network (section 3.4): from one frame and its mask, the coarse mask of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from dipnet.calibration import calibrate_identity
from dipnet.config import PropagationConfig
from dipnet.propagation import PropagationNetwork
from vos.config import TrainingConfig
from vos.geometry import View
from vos.optimization import Batch, Objective, TrainingRun, masked_cross_entropy
from vos.samples import clip_sample, frames_tensor, known_tensor, masks_tensor
from vos.training import split, train
from vos.video import Video


def new_propagation(config: PropagationConfig, weights: str, seed: int) -> PropagationNetwork:
    """Return the untrained network: backbones from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = PropagationNetwork(config)
    network.load_pretrained(weights)
    return network


def train_propagation(
    network: PropagationNetwork,
    videos: Sequence[Video],
    config: TrainingConfig,
    run: TrainingRun,
    *,
    first: bool = True,
) -> None:
    """Train phase I: identity from one frame of a pair, mask of the other; binary cross entropy on the coarse mask.

    `first` says that no training went before, so that the identity encoder is calibrated if its config says so."""
    batches = network.config.identity_calibration
    if first and batches:
        learned, _ = split(videos, config.held_out)
        calibrate_identity(network, propagation_objective(network, learned, config).draw, batches, run)
    train(network, videos, config, run, lambda some: propagation_objective(network, some, config))


def propagation_objective(network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig) -> Objective:
    """Return the objective: pairs of frames, and the binary cross entropy of the second one's coarse mask."""
    side, coarse = network.config.size, network.config.coarse_size

    def draw(rng: Generator) -> Batch:
        clips = [clip_sample(videos, config, side, rng, frames=2) for _ in range(config.batch)]
        references, targets = zip(*clips, strict=True)
        truth, known = coarse_truth(targets, coarse)
        return {
            "references": frames_tensor([view.frame for view in references]),
            "masks": masks_tensor([view.mask for view in references]),
            "targets": frames_tensor([view.frame for view in targets]),
            "truth": truth,
            "known": known,
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        features = network.encode_frame(part["targets"])
        identity = network.encode_identity(part["references"], part["masks"])
        return masked_cross_entropy(network.propagate(features, identity), part["truth"], part["known"], known)

    return Objective(draw, loss)


def coarse_truth(targets: Sequence[View], size: int) -> tuple[Tensor, Tensor]:
    """Return the truth of the coarse mask and where it is known: n × 1 × size × size, shares of the cell's area."""
    truth = masks_tensor([target.mask for target in targets])
    known = known_tensor([target.mask for target in targets])
    return functional.adaptive_avg_pool2d(truth, size), functional.adaptive_avg_pool2d(known, size)
