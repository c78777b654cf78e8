"""Phase I, the identity propagation network: where an identity's object is in a frame (section 3.1)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dipnet.config import PropagationConfig
from dipnet.identity import IdentityEncoder
from vos.backbone import Backbone


class PropagationNetwork(nn.Module):
    """Feature encoder, identity encoder and propagation head (fig. 3)."""

    def __init__(self, config: PropagationConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Backbone(config.backbone, output_stride=config.output_stride)
        self.identity = IdentityEncoder(config.backbone, config.identity_input, config.output_stride)
        # Both start from the same weights, as they do with ImageNet's, so that a channel means the same to both.
        self.identity.backbone.copy_from(self.encoder)
        self.head = PropagationHead(self.encoder.channels[-1], config.head_channels)
        if config.identity_spread is not None:
            nn.init.normal_(self.identity.head.weight, std=config.identity_spread)

    def encode_frame(self, frame: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c fh fw"]:
        """Return the features of normalized frames; 3×256×256 → 2048×8×8 at the paper's size."""
        return self.encoder(frame)[-1]

    def encode_identity(self, frame: Float[Tensor, "#n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c"]:
        """Return the identity attention of one object per frame, or of several objects of one; `mask` is binary."""
        return self.identity(frame, mask)

    def propagate(
        self, features: Float[Tensor, "n c fh fw"], identity: Float[Tensor, "n c"]
    ) -> Float[Tensor, "n 1 m m"]:
        """Return the logits of the coarse mask, four times as fine as the features (fig. 3d; paper: 32×32)."""
        return self.head(features * identity[:, :, None, None])


class PropagationHead(nn.Module):
    """Two 3×3 deconvolutions of stride 2, two 3×3 convolutions, one 1×1; batch norm and ReLU after all but the last."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (inputs, channels):
            layers.append(nn.ConvTranspose2d(width, channels, 3, 2, padding=1, output_padding=1, bias=False))
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        for _ in range(2):
            layers.append(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return n × 1 × 4h × 4w logits of n × c × h × w features."""
        return self.layers(features)


def coarse_probabilities(
    logits: Float[Tensor, "objects 1 m m"], foreground: Float[Tensor, "1 1 m m"] | None
) -> Float[Tensor, "objects 1 m m"]:
    """Return the probability of each object at each place.

    With `foreground`, the logits of all objects as one: softmax over {−f_fg, f_1 … f_n}, of which the first stands for
    the background (section 3.3.2). Without it, or for one object: a sigmoid for each."""
    if foreground is None or len(logits) == 1:
        return torch.sigmoid(logits)
    return torch.softmax(torch.cat([-foreground, logits]), 0)[1:]
