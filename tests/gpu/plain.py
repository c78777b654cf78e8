"""DIPNet written plainly: one image and one object at a time, 32-bit floats, contiguous tensors, nothing computed once.

This is the yardstick of the GPU check and of `tests/benchmarks/bench_method.py`: it has the project's networks and
weights, and its masks must be the same."""

from __future__ import annotations

import copy
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dipnet.config import InferenceConfig
from dipnet.propagation import PropagationNetwork
from dipnet.region import foreground_box
from dipnet.segmentation import SegmentationNetwork
from dipnet.segmenter import Networks
from vos.geometry import Box, Image
from vos.optimization import Batch, Objective

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

Masks = NDArray[np.bool_]
N = TypeVar("N", bound=nn.Module)


class PlainSegmenter:
    """The paper's inference (section 3.3), with or without the crop."""

    def __init__(self, networks: Networks, config: InferenceConfig, device: str) -> None:
        assert networks.propagation is not None
        assert networks.frame_segmentation is not None
        self.propagation: PropagationNetwork = contiguous(networks.propagation)
        copies = {id(network): contiguous(network) for network in _segmenting(networks)}
        self.segmentation = copies[id(networks.frame_segmentation)]
        self.each = [copies[id(network)] for network in networks.object_segmentation if network is not None]
        self.config = config
        self.device = device

    @torch.no_grad()
    def start(self, frame: Image, objects: Masks) -> None:
        """Take identities from the first frame."""
        whole = Box.whole(frame)
        self.box = whole
        if self.config.crop:
            self.box = foreground_box(union(objects), self.config.crop_margin) or whole
            self.foreground = self.identity(frame, union(objects), whole)
        self.identities = [self.identity(frame, mask, self.box) for mask in with_all(objects)]

    @torch.no_grad()
    def step(self, frame: Image) -> NDArray[np.float32]:
        """Return each object's probability, and update the identities (eq. 2)."""
        whole = Box.whole(frame)
        if self.config.crop:
            (found,) = self.segment(frame, whole, [self.foreground], [self.segmentation])
            margin, share = self.config.crop_margin, self.config.crop_share
            self.box = foreground_box(found > 0.5, margin, share, self.box) or self.box
        scores = np.stack(self.segment(frame, self.box, self.identities, self.each))
        best = scores.argmax(0)
        objects = np.stack([(best == number) & (scores[number] > 0.5) for number in range(len(scores))])
        for number, mask in enumerate(with_all(objects)):
            self.identities[number] = self.updated(self.identities[number], frame, mask, self.box)
        if self.config.crop:
            self.foreground = self.updated(self.foreground, frame, union(objects), whole)
        return scores

    def updated(self, old: Tensor, frame: Image, mask: NDArray[np.bool_], box: Box) -> Tensor:
        """Return the identity after a frame; an object that is not found keeps its own."""
        if not mask.any():
            return old
        return self.config.omega * self.identity(frame, mask, box) + (1 - self.config.omega) * old

    def segment(
        self, frame: Image, box: Box, identities: list[Tensor], segmentation: list[SegmentationNetwork]
    ) -> list[NDArray[np.float32]]:
        """Return the probability of each object in the frame, found inside the box; the last identity is of all.

        `segmentation` holds a network for each object, or one for all of them."""
        coarse = []
        for identity in identities:
            features = self.propagation.encode_frame(self.image(frame, box, self.propagation.config.size))
            coarse.append(self.propagation.propagate(features, identity))
        if len(coarse) == 1:
            hints = [torch.sigmoid(coarse[0])]
        else:
            *each, foreground = coarse
            together = torch.softmax(torch.stack([-foreground, *each]), 0)
            hints = list(together[1:])
        scores = []
        for number, hint in enumerate(hints):
            network = segmentation[min(number, len(segmentation) - 1)]
            logits = network.refine(self.image(frame, box, network.config.size), hint)
            probability = torch.sigmoid(logits)[0, 0].cpu().numpy()
            score = np.zeros(frame.shape[:2], np.float32)
            score[box.top : box.bottom, box.left : box.right] = cv2.resize(probability, (box.width, box.height))
            scores.append(score)
        return scores

    def identity(self, frame: Image, mask: NDArray[np.bool_], box: Box) -> Tensor:
        """Return the identity attention of a mask inside a box."""
        side = self.propagation.config.size
        inside = box.cut(mask.astype(np.uint8), side, labels=True).astype(np.float32)
        hint = torch.from_numpy(inside)[None, None].to(self.device)
        return self.propagation.encode_identity(self.image(frame, box, side), hint)

    def image(self, frame: Image, box: Box, side: int) -> Tensor:
        """Return the frame inside a box, normalized: 1 × 3 × side × side."""
        normalized = (box.cut(frame, side).astype(np.float32) / 255 - MEAN) / DEVIATION
        return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)))[None].to(self.device)


def _segmenting(networks: Networks) -> list[SegmentationNetwork]:
    return [network for network in (networks.frame_segmentation, *networks.object_segmentation) if network is not None]


def plain_step(network: nn.Module, objective: Objective, batch: Batch, optimizer: torch.optim.Optimizer) -> None:
    """Take a training step, one sample after the other."""
    optimizer.zero_grad()
    for number in range(len(batch["known"])):
        sample = {name: tensor[number : number + 1].contiguous() for name, tensor in batch.items()}
        objective.loss(sample, batch["known"]).backward()
    optimizer.step()


def contiguous(network: N) -> N:
    """Return a copy of a network whose weights have torch's default order in memory."""
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def with_all(objects: Masks) -> Masks:
    """Return several objects with all of them as one more (section 3.3.2); a single one as it is."""
    return objects if len(objects) == 1 else np.concatenate([objects, union(objects)[None]])


def union(objects: Masks) -> Masks:
    """Return all objects as one."""
    return np.asarray(objects.any(0), np.bool_)
