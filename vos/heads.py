"""A head that turns a backbone's features into a mask, for methods whose originals have one of another backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class LevelsHead(nn.Module):
    """Features of several strides, the first of them 4 → logits at the image's size.

    Each level is projected to `width` channels and upsampled to stride 4; their sum passes two 3×3 convolutions."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.mixture = nn.Conv2d(width, width, 3, padding=1)
        self.logit = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits, upsampled by 4."""
        size = features[0].shape[-2:]
        levels = [layer(x) for layer, x in zip(self.levels, features, strict=True)]
        large = [functional.interpolate(x, size, mode="bilinear", align_corners=False) for x in levels]
        x = torch.relu(self.mixture(torch.relu(torch.stack(large).sum(0))))
        return functional.interpolate(self.logit(x), scale_factor=4, mode="bilinear", align_corners=False)
