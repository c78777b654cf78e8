"""Identity attention: an object as a vector over the channels of the highest features (section 3.1)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from vos.backbone import Backbone


class IdentityEncoder(nn.Module):
    """A frame and the mask of an object in it → the object's identity attention vector (fig. 3a).

    `attention`: after each of the first four blocks f' = f + m ⊙ f (eq. 1). `concat`: the mask is a fourth channel of
    the input instead (section 4.2.2). The head is conv5 → global average pool → fully connected → sigmoid."""

    def __init__(self, backbone: str, identity_input: str, output_stride: int = 32) -> None:
        super().__init__()
        self.concat = identity_input == "concat"
        self.backbone = Backbone(backbone, output_stride=output_stride, input_channels=4 if self.concat else 3)
        channels = self.backbone.channels[-1]
        self.head = nn.Linear(channels, channels)

    def forward(self, frame: Float[Tensor, "#n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c"]:
        """Return identity vectors in (0, 1); `frame` is normalized, one for all or each, `mask` binary."""
        return torch.sigmoid(self.head(self.pool(frame, mask)))

    def pool(self, frame: Float[Tensor, "#n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c"]:
        """Return the mean features of the last block, which are the head's input."""
        features = torch.cat([frame.expand(len(mask), -1, -1, -1), mask], 1) if self.concat else frame
        for number, block in enumerate(self.backbone.blocks):
            features = block(features)
            if number < 4 and not self.concat:
                features = attend(features, mask)
        return features.mean((2, 3))


def attend(features: Float[Tensor, "#n c h w"], mask: Float[Tensor, "n 1 H W"]) -> Float[Tensor, "n c h w"]:
    """Return f' = f + m ⊙ f (eq. 1); the resized mask is one wherever the object covers any of the cell."""
    resized = functional.adaptive_max_pool2d(mask, features.shape[-2:])
    return features + resized * features


def update_identity(
    dynamic: Float[Tensor, "objects channels"],
    estimated: Float[Tensor, "objects channels"],
    visible: Bool[Tensor, "objects"],
    omega: float | Float[Tensor, "objects"],
) -> Float[Tensor, "objects channels"]:
    """Return the dynamic identity attention after one frame: α_t = ω β_{t−1} + (1−ω) α_{t−1} (eq. 2).

    ω is one for all objects, or one for each. Objects that the last frame lost (`visible` false) keep their vector."""
    if isinstance(omega, Tensor):
        omega = omega[:, None]
    mixed = omega * estimated + (1 - omega) * dynamic
    return torch.where(visible[:, None], mixed, dynamic)
