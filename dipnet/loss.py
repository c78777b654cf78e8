"""The loss of both networks' masks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def masked_cross_entropy(logits: Tensor, truth: Tensor, known: Tensor, whole: Tensor | None = None) -> Tensor:
    """Mean binary cross entropy over the places where `known` is 1.

    `whole`: `known` of the whole batch that these samples are a part of; the mean is then over the batch, and the parts
    add up to its loss."""
    loss = F.binary_cross_entropy_with_logits(logits, truth, weight=known, reduction="sum")
    return loss / (known if whole is None else whole).sum().clamp(min=1)
