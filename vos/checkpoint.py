"""Network weights on disk: files of tensors, written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


def load_network(network: N, file: Path) -> N:
    """Return the network with the weights that `save_network` wrote."""
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network


def save_network(network: nn.Module, file: Path) -> None:
    """Write all tensors of a network, moved to the CPU."""
    save_tensors({key: value.cpu().contiguous() for key, value in network.state_dict().items()}, file)


def save_tensors(state: object, path: Path) -> None:
    """Write tensors and plain values under another name, synchronize, then rename."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def for_inference(network: N, device: str) -> N:
    """Return the network on the device, in channels-last order and evaluation mode."""
    return network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
