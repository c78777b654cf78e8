"""Losses of masks besides `vos.optimization.masked_cross_entropy`. Those of a batch's parts add up to the batch's."""

from __future__ import annotations

from jaxtyping import Float
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
