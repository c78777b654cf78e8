"""An identity encoder that tells objects apart before its first step: set from training samples, not learnt.

Eq. 1 doubles the features of the object after each of four blocks, so that they leave the range that ImageNet's batch
norms were made for: a network that starts from ImageNet's weights then says least of the object that the mask shows.
Statistics taken with eq. 1 in place, and frozen from then on as the paper freezes them, put that right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor, nn

from dipnet.optimise import Batch, Run
from dipnet.propagation import PropagationNetwork

GAIN = 1.5
"""Of the logit of a channel, by standard deviations of its pooled feature: from 0.18 to 0.82 between −1 and 1."""


def calibrate_identity(network: PropagationNetwork, draw: Callable[[Generator], Batch], batches: int, run: Run) -> None:
    """Sets statistics and head of the identity encoder from that many batches of `references` and their `masks`.

    The head becomes the sigmoid of the standardised pooled features: what the object has more of than objects have on
    average is let through. Both encoders must mean the same by a channel, as where both begin alike."""
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
    network: PropagationNetwork, draw: Callable[[Generator], Batch], batches: int, run: Run
) -> Float[Tensor, "samples c"]:
    """Pooled features of all samples; their batches are none of the training's own."""
    found = []
    for number in range(batches):
        batch = draw(np.random.default_rng([run.seed, number, batches]))
        with run.autocast():
            found.append(network.identity.pool(run.place(batch["references"]), run.place(batch["masks"])).float())
    return torch.cat(found)
