"""Training of the propagation network (section 3.4): from one frame and its mask, the coarse mask of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from dipnet.config import PropagationConfig
from dipnet.propagation import PropagationNetwork
from vos.config import TrainingConfig
from vos.optimization import Batch, Objective, TrainingRun, masked_cross_entropy
from vos.samples import clip_sample, frames_tensor, known_tensor, masks_tensor
from vos.training import split, train
from vos.video import Video

GAIN = 1.5
"""Gain of a channel's logit per standard deviation of its pooled feature: from 0.18 to 0.82 between −1 and 1."""


def new_propagation(config: PropagationConfig, weights: str, seed: int) -> PropagationNetwork:
    """Return the untrained network: backbones from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = PropagationNetwork(config)
    network.encoder.load_pretrained(weights)
    network.identity.backbone.load_pretrained(weights)
    return network


def train_propagation(
    network: PropagationNetwork,
    videos: Sequence[Video],
    config: TrainingConfig,
    run: TrainingRun,
    *,
    first: bool = True,
) -> None:
    """Train phase I. If no training went before (`first`), its config may say to calibrate the identity encoder."""
    batches = network.config.identity_calibration
    if first and batches:
        learned, _ = split(videos, config.held_out)
        calibrate_identity(network, propagation_objective(network, learned, config).draw, batches, run)
    train(network, videos, config, run, lambda some: propagation_objective(network, some, config))


@torch.no_grad()
def calibrate_identity(
    network: PropagationNetwork, draw: Callable[[Generator], Batch], batches: int, run: TrainingRun
) -> None:
    """Set statistics and head of the identity encoder from that many batches of `references` and their `masks`.

    Doubled by eq. 1, features leave the range of ImageNet's statistics (DEVIATIONS.md, row 28): these are taken anew.
    The head becomes the sigmoid of the standardized pooled features: it lets through what the object has more of than
    objects have on average. A channel must mean the same to both encoders, as it does if both start from one state."""
    network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    encoder = network.identity

    def pooled_features() -> Float[Tensor, "samples c"]:
        found = []
        for number in range(batches):
            batch = draw(np.random.default_rng([run.seed, number, batches]))  # other batches than the training's own
            with run.autocast():
                found.append(encoder.pool(run.place(batch["references"]), run.place(batch["masks"])).float())
        return torch.cat(found)

    norms = [module for module in encoder.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    pooled_features()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    pooled = pooled_features()
    spread = pooled.std(0)
    weight = torch.diag(GAIN / (spread + 0.1 * spread.mean()))
    encoder.head.weight.copy_(weight)
    encoder.head.bias.copy_(-weight @ pooled.mean(0))


def propagation_objective(network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig) -> Objective:
    """Return the objective: pairs of frames, and the binary cross entropy of the second one's coarse mask."""
    side, coarse = network.config.size, network.config.coarse_size

    def draw(rng: Generator) -> Batch:
        clips = [clip_sample(videos, config, side, rng, frames=2) for _ in range(config.batch)]
        references, targets = zip(*clips, strict=True)
        masks = [view.mask for view in targets]  # the coarse truth is the share of a cell's area
        return {
            "references": frames_tensor([view.frame for view in references]),
            "masks": masks_tensor([view.mask for view in references]),
            "targets": frames_tensor([view.frame for view in targets]),
            "truth": functional.adaptive_avg_pool2d(masks_tensor(masks), coarse),
            "known": functional.adaptive_avg_pool2d(known_tensor(masks), coarse),
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        features = network.encode_frame(part["targets"])
        identity = network.encode_identity(part["references"], part["masks"])
        return masked_cross_entropy(network.propagate(features, identity), part["truth"], part["known"], known)

    return Objective(draw, loss)
