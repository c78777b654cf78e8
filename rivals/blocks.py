"""What STCN and RGMP have in common: residual blocks, kernels for masks, and how several objects share the pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vos.backbone import Backbone
from vos.geometry import Box, Image

Objects = Bool[np.ndarray, "objects height width"]


class ResidualBlock(nn.Module):
    """shortcut(x) + conv(ReLU(conv(ReLU(x)))), all 3×3, without batch norm; the shortcut has none if widths agree."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 3, padding=1)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        return self.shortcut(x) + self.second(torch.relu(self.first(torch.relu(x))))


def draw_mask_kernels(backbone: Backbone, draw: Callable[[Tensor], object]) -> None:
    """Draw the first kernels of a backbone's masks, the inputs after RGB; with zeros it would not see them at first."""
    first = next(layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    kernels = torch.empty_like(first.weight[:, 3:], memory_format=torch.contiguous_format)
    draw(kernels)
    with torch.no_grad():
        first.weight[:, 3:] = kernels


def first_masks(objects: Objects, side: int) -> Float[Tensor, "objects 1 side side"]:
    """Return the given masks at the network's size: the share of each pixel, so that no object is too small."""
    whole = Box.whole(objects[0])
    masks = np.stack([whole.cut(np.uint8(255) * mask, side) for mask in objects])
    return torch.from_numpy(masks.astype(np.float32)[:, None] / 255)


def joint_logits(probabilities: Float[Tensor, "*batch classes h w"]) -> Float[Tensor, "*batch classes h w"]:
    """Return the logits of classes that were judged each by itself; their softmax says which of them a pixel is."""
    return torch.logit(probabilities.float(), eps=1e-7)


def placed_scores(joint: Float[Tensor, "classes side side"], frame: Image) -> Float[np.ndarray, "objects height width"]:
    """Return object / (object + background) in the whole frame, from probabilities with the background first."""
    background, *objects = Box.whole(frame).placed(joint.cpu().numpy(), frame)
    shares = np.stack(objects)
    return np.asarray(shares / np.maximum(shares + background, 1e-6), np.float32)
