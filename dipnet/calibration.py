"""Calibration of the identity encoder: it distinguishes objects before its first training step.

Eq. 1 doubles the features of the object after each of four blocks, so that they leave the range that ImageNet's batch
norms were computed for: a network with ImageNet's weights then says least about the object that the mask shows.
Statistics taken with eq. 1 in place, and frozen from then on as the paper freezes them, correct this."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor, nn

from dipnet.propagation import PropagationNetwork
from vos.optimization import Batch, TrainingRun

GAIN = 1.5
"""Gain of a channel's logit per standard deviation of its pooled feature: from 0.18 to 0.82 between −1 and 1."""


def calibrate_identity(
    network: PropagationNetwork, draw: Callable[[Generator], Batch], batches: int, run: TrainingRun
) -> None:
    """Set statistics and head of the identity encoder from that many batches of `references` and their `masks`.

    The head becomes the sigmoid of the standardized pooled features: it lets through what the object has more of than
    objects have on average. A channel must mean the same to both encoders, as it does if both start from one state."""
    network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    encoder = network.identity
    norms = [module for module in encoder.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    _pooled(network, draw, batches, run)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    pooled = _pooled(network, draw, batches, run)
    spread = pooled.std(0)
    weight = torch.diag(GAIN / (spread + 0.1 * spread.mean()))
    with torch.no_grad():
        encoder.head.weight.copy_(weight)
        encoder.head.bias.copy_(-weight @ pooled.mean(0))


@torch.no_grad()
def _pooled(
    network: PropagationNetwork, draw: Callable[[Generator], Batch], batches: int, run: TrainingRun
) -> Float[Tensor, "samples c"]:
    """Return the pooled features of all samples, from other batches than the training's own."""
    found = []
    for number in range(batches):
        batch = draw(np.random.default_rng([run.seed, number, batches]))
        with run.autocast():
            found.append(network.identity.pool(run.place(batch["references"]), run.place(batch["masks"])).float())
    return torch.cat(found)
