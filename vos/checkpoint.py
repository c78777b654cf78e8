"""Network weights on disk: files of tensors, written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from vos.weights import WeightsError, read_tensors

N = TypeVar("N", bound=nn.Module)


def load_network(network: N, file: Path) -> N:
    """Return the network with the weights that `save_network` wrote. Raises WeightsError for any other file."""
    try:
        network.load_state_dict(read_tensors(file, "`vos-harness store verify --set-aside` has it computed again"))
    except (RuntimeError, TypeError) as error:
        raise WeightsError(
            f"{file}: weights of another network than {type(network).__name__} with these options ({error}); "
            "give the folder that it was trained in"
        ) from None
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
