"""Depthwise 3×3 convolution of dilation 2, whose gradient torch's CPU kernels compute ten times slower than needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight


def is_dilated_depthwise(convolution: nn.Conv2d) -> bool:
    """Return whether `dilated_depthwise` computes this convolution."""
    channels = convolution.in_channels
    return (
        convolution.groups == channels == convolution.out_channels
        and convolution.kernel_size == (3, 3)
        and convolution.stride == (1, 1)
        and convolution.dilation == (2, 2) == convolution.padding
    )


def dilated_depthwise(
    x: Tensor,  # n c h w
    weight: Tensor,  # c 1 3 3
    bias: Tensor,  # c
) -> Tensor:
    """Return the convolution of stride 1, dilation 2 and padding 2; its gradient cannot be differentiated again."""
    found: Tensor = _DilatedDepthwise.apply(x, weight, bias)
    return found


class _DilatedDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients: that of the features is the same convolution with turned kernels."""
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        of_x = _convolved(gradient, weight.flip(2, 3), None) if ctx.needs_input_grad[0] else None
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = conv2d_weight(_apart(x), weight.shape, _apart(gradient), padding=1, groups=len(weight))
        return of_x, of_weight, gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return functional.conv2d(x, weight, bias, padding=2, dilation=2, groups=len(weight))


def _apart(x: Tensor) -> Tensor:
    """Return the four images of every second row and column; their neighbors are those that dilation 2 sees."""
    height, width = x.shape[2:]
    x = functional.pad(x, (0, width % 2, 0, height % 2)).permute(0, 2, 3, 1)
    grid = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # n rows 2 columns 2 c
    return grid.permute(2, 4, 0, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)
