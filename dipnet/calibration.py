"""The identity encoder before its first training: statistics with eq. 1 in place, a head that tells objects apart."""

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
            samples, objects = batch["asked"].nonzero(as_tuple=True)
            frames, masks = batch["references"][samples], batch["masks"][samples, objects]
            with run.autocast():
                found.append(encoder.pool(run.place(frames), run.place(masks)).float())
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
