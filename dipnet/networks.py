"""The trained networks of DIPNet together, read from the folders of their stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dipnet.config import InferenceConfig, SegmentationConfig
from dipnet.propagation import PropagationNetwork
from dipnet.segmentation import SegmentationNetwork
from vos.checkpoint import for_inference, load_network


@dataclass(frozen=True)
class Networks:
    """The networks that segment a video; None where the variant does without."""

    propagation: PropagationNetwork | None
    frame_segmentation: SegmentationNetwork | None
    """Segments the whole frame; fine-tuned on the first one, if the variant says so."""

    object_segmentation: Sequence[SegmentationNetwork] = ()
    """Segment the objects, in the crop or, without one, in the whole frame: one for all of them, or one for each."""


def load_networks(folders: Mapping[str, Path], config: InferenceConfig, device: str) -> Networks:
    """Load networks from the folders `propagation`, `segmentation` and, fine-tuned for each object, `objects`."""
    propagation = None
    if config.propagation is not None:
        propagation = PropagationNetwork(config.propagation)
        load_network(propagation, folders["propagation"] / "network.pt")
        propagation = for_inference(propagation, device)
    if config.segmentation is None:
        return Networks(propagation, None)
    frame = load_segmentation(config.segmentation, folders["segmentation"] / "network.pt", device)
    each = [frame]
    if "objects" in folders:
        files = sorted(folders["objects"].glob("network*.pt"), key=lambda path: int(path.stem.removeprefix("network")))
        each = [load_segmentation(config.segmentation, file, device) for file in files]
    return Networks(propagation, frame, each)


def load_segmentation(config: SegmentationConfig, file: Path, device: str) -> SegmentationNetwork:
    """Load a segmentation network, ready for use."""
    network = SegmentationNetwork(config)
    load_network(network, file)
    return for_inference(network, device)
