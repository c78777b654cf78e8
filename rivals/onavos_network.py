"""The network of `rivals.onavos`: how it is trained, fine-tuned, and how it learns while it segments."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from harness.datasets import VOID
from rivals.onavos import AdaptationConfig, OnAVOSTraining, OneShotConfig
from vos.backbone import Backbone
from vos.checkpoint import for_inference
from vos.config import BackboneName, OptimizerConfig
from vos.geometry import Box, Image, View
from vos.heads import LevelsHead
from vos.losses import worst_share_cross_entropy
from vos.one_shot import FrameObjective, fine_tune, first_view
from vos.optimization import Batch, TrainingRun, make_optimizer, set_mode
from vos.samples import foreground_view, frames_tensor, known_tensor, masks_tensor, view_of
from vos.training import train
from vos.video import Video

Objects = Bool[np.ndarray, "objects height width"]

_ZOOM = 0.2
"""Largest change of size among the variations over which a frame's probabilities are averaged."""


class OnAVOSNetwork(nn.Module):
    """Image → logits of the mask; the backbone's last block is dilated."""

    def __init__(self, backbone: BackboneName, size: int, width: int, worst: float) -> None:
        super().__init__()
        self.size = size
        self.worst = worst
        self.backbone = Backbone(backbone, output_stride=16)
        self.head = LevelsHead(self.backbone.channels[1:], width)

    def forward(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits at the image's size."""
        return self.head(self.backbone(frames)[1:])


def new_network(backbone: BackboneName, size: int, width: int, worst: float, weights: str, seed: int) -> OnAVOSNetwork:
    """Return the untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = OnAVOSNetwork(backbone, size, width, worst)
    network.backbone.load_pretrained(weights)
    return network


def train_network(network: OnAVOSNetwork, videos: Sequence[Video], config: OnAVOSTraining, run: TrainingRun) -> None:
    """Train on single frames to segment the foreground."""

    def draw(some: Sequence[Video], rng: Generator) -> list[View]:
        side = int(rng.choice(config.sizes)) if config.sizes else network.size
        return [foreground_view(some, config, side, rng) for _ in range(config.batch)]

    objective = frame_objective(network)
    train(network, videos, config, run, lambda some: objective.of_views(lambda rng: draw(some, rng)))


def frame_objective(network: OnAVOSNetwork) -> FrameObjective:
    """Return the objective: cross entropy of the worst pixels."""

    def loss(features: list[Tensor], part: Batch, known: Tensor) -> Tensor:
        logits = network.head(features)
        classes = torch.cat([torch.zeros_like(logits), logits], 1)
        return worst_share_cross_entropy(classes, part["truth"][:, 0].long(), part["known"], network.worst, known)

    return FrameObjective(
        inputs=lambda masks, rng: {"truth": masks_tensor(masks), "known": known_tensor(masks)},
        encode=lambda batch: network.backbone(batch["frames"])[1:],
        loss=loss,
    )


def fine_tune_on(
    network: OnAVOSNetwork, frame: Image, objects: Objects, config: OneShotConfig, steps: int, run: TrainingRun
) -> OnAVOSNetwork:
    """Return a copy that is tuned on objects of the first frame, as one."""
    return fine_tune(network, first_view(frame, objects, network.size), config, steps, run, frame_objective)


def examples(
    probability: Float[np.ndarray, "side side"], last: Bool[np.ndarray, "side side"], config: AdaptationConfig
) -> Image | None:
    """Return what a frame teaches: 1 where it is surely the object, 0 where surely not, 255 (void) elsewhere.

    Far from the last mask there is no object, whatever the network says. None if the eroded last mask is empty: the
    object may be lost, and the frame teaches nothing."""
    side = len(last)
    pixels = round(config.erosion * side)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    core = cv2.erode(last.astype(np.uint8), disk, borderValue=1)
    if not core.any():
        return None
    away = cv2.distanceTransform(1 - core, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > config.distance * side
    return np.where(away, 0, np.where(probability > config.positive, 1, VOID)).astype(np.uint8)


class OnAVOSSegmenter:
    """Segments each frame by itself, after learning from it: every object with a copy of its own, which drifts."""

    def __init__(
        self, networks: Sequence[OnAVOSNetwork], config: AdaptationConfig, device: str, amp: bool = False
    ) -> None:
        self.tuned = networks
        self.config = config
        self.run = TrainingRun.on(device, amp=amp, cpus=1, seed=0)

    def start(self, frame: Image, objects: Objects) -> None:
        """Take the first frame, and copies of the tuned networks for its objects."""
        config = self.config
        sources = list(self.tuned) * (len(objects) if len(self.tuned) == 1 else 1)
        self.networks = [for_inference(copy.deepcopy(network), self.run.device) for network in sources]
        learning = OptimizerConfig(
            optimizer=config.optimizer,
            learning_rate=config.learning_rate,
            weight_decay=0,
            backbone_rate=config.backbone_rate,
            frozen_blocks=config.frozen_blocks,
        )
        self.optimizers = [make_optimizer(network, learning) for network in self.networks]
        side = self.networks[0].size
        self.first = [first_view(frame, mask[None], side) for mask in objects]
        self.last = [Box.whole(frame).cut(mask.astype(np.uint8), side, labels=True) == 1 for mask in objects]
        self.frames = 0

    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return each object's score, after the networks have learned from the frame."""
        self.frames += 1
        scores = []
        for number, network in enumerate(self.networks):
            image = Box.whole(frame).cut(frame, network.size)
            if self.config.steps:
                taught = examples(self._probability(network, image, 1), self.last[number], self.config)
                self._learn(number, None if taught is None else View(image, taught))
            probability = self._probability(network, image, self.config.passes)
            found = probability > 0.5
            if self.config.steps and taught is not None:
                found &= taught != 0
            self.last[number] = found
            scores.append(probability)
        return Box.whole(frame).placed(np.stack(scores), frame)

    def _learn(self, number: int, current: View | None) -> None:
        """Take the steps of one frame; what they see depends on the frame and the object only."""
        config, network, optimizer = self.config, self.networks[number], self.optimizers[number]
        objective, rng = frame_objective(network), np.random.default_rng([self.frames, number])
        set_mode(network, "frozen")
        for step in range(config.steps):
            on_current = step % config.interval == 0
            if on_current and current is None:
                continue
            source = current if on_current and current is not None else self.first[number]
            view = view_of(source.frame, source.mask, config.augmentation, network.size, rng)
            part = {name: self.run.place(x) for name, x in objective.inputs([view.mask], rng).items()}
            part["frames"] = self.run.place(frames_tensor([view.frame]))
            optimizer.zero_grad(set_to_none=True)
            with self.run.autocast():
                loss = objective.loss(objective.encode(part), part, part["known"])
            (loss * (config.weight if on_current else 1.0)).backward()
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        network.eval()

    @torch.inference_mode()
    def _probability(self, network: OnAVOSNetwork, image: Image, passes: int) -> Float[np.ndarray, "side side"]:
        """Return the mean probability over variations of a frame: flipped every second time, and zoomed in pairs."""
        frames, total = self.run.place(frames_tensor([image])), torch.zeros(image.shape[:2], device=self.run.device)
        pairs = (passes + 1) // 2
        for number in range(passes):
            zoom = 1 + (np.linspace(-_ZOOM, _ZOOM, pairs)[number // 2] if pairs > 1 else 0)
            side, flip = 32 * round(zoom * network.size / 32), number % 2 == 1
            seen = frames.flip(3) if flip else frames
            if side != network.size:
                seen = functional.interpolate(seen, (side, side), mode="bilinear", align_corners=False, antialias=True)
            with self.run.autocast():
                logits = network(seen)
            found = functional.interpolate(logits.float(), image.shape[:2], mode="bilinear", align_corners=False)[0, 0]
            total += torch.sigmoid(found.flip(1) if flip else found)
        return np.asarray((total / passes).cpu().numpy(), np.float32)
