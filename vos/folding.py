"""Batch norm as part of the convolution before it, wherever its statistics are kept: fewer passes over features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vos.depthwise import dilated_depthwise, is_dilated_depthwise

N = TypeVar("N", bound=nn.Module)

_WORTH = 2**16
"""Fewest output values, besides those of its kernels, for which a convolution is folded in training.

Below, making the kernels takes longer than the batch norm (measured on a CPU)."""


@torch.no_grad()
def fold_batch_norm(network: N) -> N:
    """Fold each batch norm into the convolution before it, in place; return the network, for inference only.

    Its outputs stay the same up to rounding. Batch norm that does not follow a convolution stays."""
    for parent, name, convolution, norm in list(_pairs(network)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
            transpose=isinstance(convolution, nn.ConvTranspose2d),
        )
        setattr(parent, name, nn.Identity())
    return network


@contextmanager
def folded_in_training(network: nn.Module) -> Iterator[None]:
    """Compute convolutions with kept batch norm behind them as one convolution, for as long as the context lasts.

    Parameters stay and get the same gradients up to rounding. Batch norm in training mode is computed as usual."""
    pairs = [
        _Pair(convolution, norm) for _, _, convolution, norm in _pairs(network) if isinstance(convolution, nn.Conv2d)
    ]
    for pair in pairs:
        pair.convolution.forward = pair.convolve  # type: ignore[assignment, method-assign]
        pair.norm.forward = pair.normalize  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for pair in pairs:
            del pair.convolution.forward, pair.norm.forward


class _Pair:
    """A convolution and the batch norm behind it."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self.convolution = convolution
        self.norm = norm
        self.folded = False

    def convolve(self, x: Tensor) -> Tensor:
        """Return the convolution, normalized if that is less work."""
        convolution, norm = self.convolution, self.norm
        outputs = x.shape[0] * convolution.out_channels * x.shape[2] * x.shape[3] // convolution.stride[0] ** 2
        self.folded = not norm.training and outputs > _WORTH + convolution.weight.numel()
        if not self.folded:
            return nn.Conv2d.forward(convolution, x)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * scale
        if convolution.bias is not None:
            bias = bias + convolution.bias * scale
        weight = convolution.weight * scale[:, None, None, None]
        if is_dilated_depthwise(convolution):
            return dilated_depthwise(x, weight, bias)
        return functional.conv2d(
            x, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups
        )

    def normalize(self, x: Tensor) -> Tensor:
        """Return what `convolve` has left to do."""
        return x if self.folded else nn.BatchNorm2d.forward(self.norm, x)


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Conv2d | nn.ConvTranspose2d, nn.BatchNorm2d]]:
    """Yield each convolution and the batch norm behind it, with the module that has it and its name there.

    It is behind it in a `Sequential`, or as `bn1` is behind `conv1` in torchvision's residual blocks."""
    for module in network.modules():
        layers = dict(module.named_children())
        names = pairwise(layers)
        if not isinstance(module, nn.Sequential):
            names = pairwise([x for i in range(1, 4) for x in (f"conv{i}", f"bn{i}") if x in layers])
        for first, second in names:
            convolution, norm = layers[first], layers[second]
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                yield module, second, convolution, norm
