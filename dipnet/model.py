"""The networks of DIPNet together, and their way to disk and back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dipnet.config import InferenceConfig, SegmentationConfig
from dipnet.propagation import PropagationNetwork
from dipnet.segmentation import SegmentationNetwork


@dataclass(frozen=True)
class Networks:
    """What a video is segmented with; None where the variant does without."""

    propagation: PropagationNetwork | None
    frame_segmentation: SegmentationNetwork | None
    """For the whole frame; fine-tuned on the first one, where the variant asks for it."""

    object_segmentation: Sequence[SegmentationNetwork] = ()
    """For the objects, in the crop or, without one, in the whole frame: one for all of them, or one for each."""


def load_networks(folders: Mapping[str, Path], config: InferenceConfig, device: str) -> Networks:
    """Networks for segmenting, from the folders `propagation`, `segmentation` and, tuned for each object, `objects`."""
    propagation = None
    if config.propagation is not None:
        propagation = PropagationNetwork(config.propagation)
        load_network(propagation, folders["propagation"] / "network.pt")
        propagation.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    if config.segmentation is None:
        return Networks(propagation, None)
    frame = load_segmentation(config.segmentation, folders["segmentation"] / "network.pt", device)
    each = [frame]
    if "objects" in folders:
        files = sorted(folders["objects"].glob("network*.pt"), key=lambda path: int(path.stem.removeprefix("network")))
        each = [load_segmentation(config.segmentation, file, device) for file in files]
    return Networks(propagation, frame, each)


def load_segmentation(config: SegmentationConfig, file: Path, device: str) -> SegmentationNetwork:
    """A segmentation network ready for use."""
    network = SegmentationNetwork(config)
    load_network(network, file)
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return network


def load_network(network: nn.Module, file: Path) -> None:
    """Tensors of a file that `save_network` wrote."""
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))


def save_network(network: nn.Module, file: Path) -> None:
    """All tensors of a network, on the CPU."""
    save_tensors({key: value.cpu().contiguous() for key, value in network.state_dict().items()}, file)


def save_tensors(state: object, path: Path) -> None:
    """torch.save under another name, synchronised, then renamed."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
