"""Losses over masks with unknown pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def masked_cross_entropy(logits: Tensor, truth: Tensor, known: Tensor, whole: Tensor | None = None) -> Tensor:
    """Return the mean binary cross entropy over the pixels where `known` is 1.

    `whole` is `known` of the whole batch that these samples are a part of: the mean is then taken over the batch, so
    that the losses of its parts add up to its loss."""
    loss = functional.binary_cross_entropy_with_logits(logits, truth, weight=known, reduction="sum")
    return loss / (known if whole is None else whole).sum().clamp(min=1)
