"""Phase II, the spatial segmentation network: a coarse mask made exact, in one image (section 3.2).

CRN (Motion-Guided Cascaded Refinement Network, CVPR 2018) with a finer coarse mask. Six stages, coarse to fine; each
takes one block's features, is gated by the mask of the previous stage, and yields a mask."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dipnet.config import Alignment, SegmentationConfig
from vos.backbone import Backbone
from vos.optimization import masked_cross_entropy
from vos.samples import area_mean, area_truth


class SegmentationNetwork(nn.Module):
    """Image and coarse mask → masks of every stage, the last at the image's size."""

    def __init__(self, config: SegmentationConfig) -> None:
        super().__init__()
        self.config = config
        dilated = config.coarse_entry == "dilated"
        self.backbone = Backbone(config.backbone, output_stride=16 if dilated else 32)
        widths = list(reversed(self.backbone.channels))
        if not dilated:
            del self.backbone.blocks[4]
            del widths[0]
        self.laterals = nn.ModuleList(GlobalConvolution(width, config.channels) for width in widths)
        stages = len(widths) + (config.finest_stride == 1)
        self.before = nn.ModuleList(_RefineBlock(config.channels, config.units) for _ in range(stages))
        self.after = nn.ModuleList(_RefineBlock(config.channels, config.units) for _ in range(len(widths) - 1))
        self.heads = nn.ModuleList(_head(config.channels) for _ in range(stages))

    def encode_frame(self, frame: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return the features of every block, fine to coarse."""
        return self.backbone(frame)

    def decode(self, features: list[Tensor], coarse: Float[Tensor, "n 1 m m"]) -> list[Tensor]:
        """Return the logits of every stage, coarse to fine, each at its stage's own size; `coarse` is in 0..1."""
        refined: Tensor | None = None
        logits: list[Tensor] = []
        for number, feature in enumerate(reversed(features)):
            lateral = self.laterals[number](feature)
            gate = (
                self._resize(coarse, lateral.shape[-2:]) if number == 0 else self._gate(logits[-1], lateral.shape[-2:])
            )
            carried = refined
            refined = self.before[number](lateral, gate)
            if carried is not None:
                refined = self.after[number - 1](refined + self._resize(carried, refined.shape[-2:]), gate)
            logits.append(self.heads[number](refined))
        if self.config.finest_stride == 1 and refined is not None:
            size = (2 * refined.shape[-2], 2 * refined.shape[-1])
            refined = self.before[-1](self._resize(refined, size), self._gate(logits[-1], size))
            logits.append(self.heads[-1](refined))
        return logits

    def refine(self, frame: Float[Tensor, "#n 3 h w"], coarse: Float[Tensor, "n 1 m m"]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits of the final masks at the frame's size, of one coarse mask per frame or several of one."""
        return self._resize(self.decode(self.encode_frame(frame), coarse)[-1], frame.shape[-2:])

    def _gate(self, logit: Tensor, size: tuple[int, ...]) -> Tensor:
        gate = self._resize(torch.sigmoid(logit), size)
        # CRN's second sigmoid: its gate lies in [0.5, 0.73] and never closes.
        return torch.sigmoid(gate) if self.config.double_sigmoid else gate

    def _resize(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        if tuple(x.shape[-2:]) == tuple(size):
            return x
        corners = self.config.alignment == "corners"
        return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=corners)


class GlobalConvolution(nn.Module):
    """(7×1 → 1×7) + (1×7 → 7×1), batch norm, ReLU: a 7×7 field at the cost of its rims (CRN)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.tall = nn.Sequential(
            nn.Conv2d(inputs, outputs, (7, 1), padding=(3, 0)), nn.Conv2d(outputs, outputs, (1, 7), padding=(0, 3))
        )
        self.wide = nn.Sequential(
            nn.Conv2d(inputs, outputs, (1, 7), padding=(0, 3)), nn.Conv2d(outputs, outputs, (7, 1), padding=(3, 0))
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        return torch.relu(self.norm(self.tall(x) + self.wide(x)))


class ResidualAttentionUnit(nn.Module):
    """x + gate · [conv-BN-ReLU-conv-BN-ReLU](x), 3×3 (CRN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(channels), *_convolution(channels))

    def forward(self, x: Float[Tensor, "#n c h w"], gate: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c h w"]:
        """Return the features, changed where the gate is open."""
        return x + gate * self.body(x)


class _RefineBlock(nn.Module):
    """Consecutive residual attention units, all with one gate (CRN: five)."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(ResidualAttentionUnit(channels) for _ in range(units))

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        for unit in self.units:
            x = unit(x, gate)
        return x


def segmentation_loss(
    logits: list[Tensor],
    truth: Float[Tensor, "n 1 h w"],
    known: Float[Tensor, "n 1 h w"],
    whole: Float[Tensor, "m 1 h w"] | None = None,
    *,
    alignment: Alignment = "centers",
) -> Tensor:
    """Return the sum over the stages of `masked_cross_entropy` against the truth at the stage's size.

    That is the object's share of each cell with the alignment `centers`, a cell's first pixel with `corners` (CRN)."""
    total, whole = truth.new_zeros(()), known if whole is None else whole
    for logit in logits:
        size = (logit.shape[-2], logit.shape[-1])
        if alignment == "centers":
            target, weight = area_truth(truth, known, size)
            divisor = weight if whole is known else area_mean(whole, size)
        else:
            target, weight, divisor = (functional.interpolate(x, size, mode="nearest") for x in (truth, known, whole))
        total = total + masked_cross_entropy(logit, target, weight, divisor)
    return total


def _convolution(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _head(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, 1, 1),
    )
