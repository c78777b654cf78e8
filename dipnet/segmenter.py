"""DIPNet as a segmenter: one pass over the whole frame, and with the crop another one around the foreground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from dipnet.config import InferenceConfig, PropagationConfig, SegmentationConfig
from dipnet.propagation import PropagationNetwork
from dipnet.region import RegionPass, foreground_box
from dipnet.segmentation import SegmentationNetwork
from vos.checkpoint import for_inference, load_network
from vos.folding import fold_batch_norm
from vos.geometry import Box, Image
from vos.segment import Segmenter, exclusive, merged


@dataclass(frozen=True)
class Networks:
    """The networks that segment a video; None where the variant does without."""

    propagation: PropagationNetwork | None
    frame_segmentation: SegmentationNetwork | None
    object_segmentation: Sequence[SegmentationNetwork] = ()
    """Segment the objects, in the crop or, without one, in the whole frame: one for all of them, or one for each."""


def load_networks(folders: Mapping[str, Path], config: InferenceConfig, device: str) -> Networks:
    """Load networks from the folders `propagation`, `segmentation` and, fine-tuned for each object, `objects`.

    The first two are the same if both networks were tuned as one. Batch norm is folded into convolutions: the networks
    are not to be trained."""
    propagation = None
    if config.propagation is not None:
        name = "propagation.pt" if folders["propagation"] == folders.get("segmentation") else "network.pt"
        propagation = fold_batch_norm(load_propagation(config.propagation, folders["propagation"] / name, device))
    if config.segmentation is None:
        return Networks(propagation, None)
    files = [folders["segmentation"] / "network.pt"]
    if "objects" in folders:
        copies = folders["objects"].glob("network*.pt")
        files += sorted(copies, key=lambda path: int(path.stem.removeprefix("network")))
    frame, *each = (fold_batch_norm(load_segmentation(config.segmentation, file, device)) for file in files)
    return Networks(propagation, frame, each or [frame])


def load_propagation(config: PropagationConfig, file: Path, device: str) -> PropagationNetwork:
    """Load a propagation network, in evaluation mode."""
    return for_inference(load_network(PropagationNetwork(config), file), device)


def load_segmentation(config: SegmentationConfig, file: Path, device: str) -> SegmentationNetwork:
    """Load a segmentation network, in evaluation mode."""
    return for_inference(load_network(SegmentationNetwork(config), file), device)


def make_segmenter(networks: Networks, config: InferenceConfig, device: str) -> Segmenter:
    """Return DIPNet, or without the crop DIPNet*."""
    return (_CropSegmenter if config.crop else _FrameSegmenter)(networks, config, device)


class _FrameSegmenter:
    """DIPNet*, which segments each object in the whole frame."""

    def __init__(self, networks: Networks, config: InferenceConfig, device: str) -> None:
        self.networks = networks
        self.pass_ = RegionPass(networks.propagation, config, device)

    @torch.inference_mode()
    def start(self, frame: Image, objects: Bool[np.ndarray, "objects height width"]) -> None:
        self.pass_.start(frame, objects, Box.whole(frame))

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        whole = Box.whole(frame)
        scores = self.pass_.step(frame, whole, self.networks.object_segmentation)
        self.pass_.update(frame, exclusive(scores), scores, whole)
        return scores


class _CropSegmenter:
    """DIPNet: all objects as one in the whole frame, a box around them, each object in the box (section 3.3.1)."""

    def __init__(self, networks: Networks, config: InferenceConfig, device: str) -> None:
        self.networks = networks
        self.config = config
        self.frame_pass = RegionPass(networks.propagation, config, device)
        self.crop_pass = RegionPass(networks.propagation, config, device)

    @torch.inference_mode()
    def start(self, frame: Image, objects: Bool[np.ndarray, "objects height width"]) -> None:
        foreground = merged(objects)
        self.region = self._search_region(foreground)
        self.box = foreground_box(foreground[0], self.config.crop_margin) or Box.whole(frame)
        self.frame_pass.start(frame, foreground, self.region)
        self.crop_pass.start(frame, objects, self.box)

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        found = self.frame_pass.step(frame, self.region, [self.networks.frame_segmentation])
        if found.max() <= 0.5 and self.region != Box.whole(frame):
            found = self.frame_pass.step(frame, Box.whole(frame), [self.networks.frame_segmentation])
        margin, share = self.config.crop_margin, self.config.crop_share
        # An object that is not found may still be where it was: the last box is searched.
        self.box = foreground_box(found[0] > 0.5, margin, share, self.box) or self.box
        scores = self.crop_pass.step(frame, self.box, self.networks.object_segmentation)
        mixed = self.config.frame_share
        if mixed and len(scores) == 1:
            scores = (1 - mixed) * scores + mixed * found
        objects = exclusive(scores)
        foreground = merged(objects)
        self.region = self._search_region(foreground)
        self.frame_pass.update(frame, foreground, scores.max(0, keepdims=True), self.region)
        self.crop_pass.update(frame, objects, scores, self.box)
        return scores

    def _search_region(self, foreground: NDArray[np.bool_]) -> Box:
        """Return where the foreground is searched next: around its mask if there is a margin, else everywhere."""
        margin = self.config.search_margin
        box = None if margin is None else foreground_box(foreground[0], margin)
        return box or Box.whole(foreground[0])
