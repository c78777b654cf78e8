"""Losses of masks besides `vos.optimization.masked_cross_entropy`. Those of a batch's parts add up to the batch's."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def balanced_cross_entropy(
    logits: Float[Tensor, "n 1 h w"],
    truth: Float[Tensor, "n 1 h w"],
    known: Float[Tensor, "n 1 h w"],
    whole: Float[Tensor, "m 1 h w"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over the samples of the binary cross entropy in which object and background weigh the same.

    A pixel of the object weighs N⁻/N and one of the background N⁺/N, by the pixels of its own sample where `known` is
    1; a sample's loss is the mean over these. `whole` is `known` of the whole batch, of which these samples are a part.
    A sample without object, or with nothing else, has no loss."""
    area = known.sum((1, 2, 3), keepdim=True).clamp(min=1e-6)
    share = (truth * known).sum((1, 2, 3), keepdim=True) / area
    weight = known * (truth * (1 - share) + (1 - truth) * share) / area
    loss = functional.binary_cross_entropy_with_logits(logits, truth, weight=weight, reduction="sum")
    return loss / len(known if whole is None else whole)


def worst_share_cross_entropy(
    logits: Float[Tensor, "n classes h w"],
    truth: Int[Tensor, "n h w"],
    known: Float[Tensor, "n 1 h w"],
    share: float,
    whole: Float[Tensor, "m *rest"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over the samples of the cross entropy of each sample's worst pixels.

    `truth` is the number of a pixel's class; for one logit x per pixel, the logits of both classes are 0 and x. Of the
    pixels of a sample where `known` is 1, the `share` with the highest loss counts, one pixel at least. Each sample is
    taken by itself, so that the losses of a batch's parts add up. `whole` is `known` of the whole batch, of which these
    samples are a part."""
    losses = functional.cross_entropy(logits, truth, reduction="none")
    means = []
    for loss, place in zip(losses, known[:, 0], strict=True):
        values = loss[place > 0]
        count = min(len(values), max(1, round(share * len(values))))
        worst = values if share >= 1 else values.topk(count, sorted=False).values
        means.append(worst.sum() / max(1, len(worst)))
    return torch.stack(means).sum() / len(known if whole is None else whole)
