"""Training of the two networks, each on its own (section 3.4): pre-training on stills, off-line training on videos.

A step's batch and the network's weights before it decide the weights after it, so a training that was killed and goes
on from its checkpoint ends with the same weights."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from dipnet.backbone import Backbone
from dipnet.config import CoarseConfig, OneShotConfig, PropagationConfig, SegmentationConfig, TrainingConfig
from dipnet.model import save_tensors
from dipnet.propagation import PropagationNetwork
from dipnet.samples import (
    Video,
    View,
    coarse_mask,
    frames_tensor,
    known_tensor,
    masks_tensor,
    pair_sample,
    still_sample,
)
from dipnet.segmentation import SegmentationNetwork, masked_cross_entropy, segmentation_loss

CHECKPOINT_SECONDS = 60.0
CURVE_STEPS = 10

Progress = Callable[[float, str], None]
Batch = Callable[[Generator], Tensor]
"""Draws a batch and gives its loss."""


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no number."""


def train_propagation(network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig, run: Run) -> None:
    """Phase I: identity from one frame of a pair, mask of the other; binary cross entropy on the coarse mask."""
    side = network.config.size

    def loss(rng: Generator) -> Tensor:
        pairs = [pair_sample(videos, config, side, rng) for _ in range(config.batch)]
        frames = run.place(frames_tensor([view.frame for pair in pairs for view in pair]))
        masks = run.place(masks_tensor([reference.mask for reference, _ in pairs]))
        features = network.encode_frame(frames[1::2])
        identity = network.encode_identity(frames[0::2], masks)
        logits = network.propagate(features, identity)
        truth, known = coarse_truth([target for _, target in pairs], logits.shape[-1])
        return masked_cross_entropy(logits, run.place(truth), run.place(known))

    optimise(network, loss, config, iterations(config, videos), run)


def train_segmentation(
    network: SegmentationNetwork, videos: Sequence[Video], config: TrainingConfig, coarse_size: int, run: Run
) -> None:
    """Phase II: image and a disturbed true mask in, the true mask out; six-term loss."""

    def loss(rng: Generator) -> Tensor:
        side = int(rng.choice(config.sizes)) if config.sizes else network.config.size
        views = [still_sample(videos, config, side, rng) for _ in range(config.batch)]
        return segmentation_step(network, views, config.coarse, coarse_size, rng, run)

    optimise(network, loss, config, iterations(config, videos), run)


def segmentation_step(
    network: SegmentationNetwork,
    views: Sequence[View],
    coarse: CoarseConfig,
    coarse_size: int,
    rng: Generator,
    run: Run,
) -> Tensor:
    """The six-term loss of one batch of views of one size."""
    frames = run.place(frames_tensor([view.frame for view in views]))
    hints = np.stack([coarse_mask(view.mask, coarse_size, coarse, rng) for view in views])[:, None]
    logits = network.decode(network.encode_frame(frames), run.place(torch.from_numpy(hints)))
    truth = run.place(masks_tensor([view.mask for view in views]))
    return segmentation_loss(logits, truth, run.place(known_tensor([view.mask for view in views])))


def coarse_truth(targets: Sequence[View], size: int) -> tuple[Tensor, Tensor]:
    """Truth of the coarse mask and where it is known: n × 1 × size × size, shares of the cell's area."""
    truth = masks_tensor([target.mask for target in targets])
    known = known_tensor([target.mask for target in targets])
    return F.adaptive_avg_pool2d(truth, size), F.adaptive_avg_pool2d(known, size)


def iterations(config: TrainingConfig, videos: Sequence[Video]) -> int:
    """Optimiser steps: as the config says, or its epochs over all frames."""
    if config.iterations is not None:
        return config.iterations
    return max(1, math.ceil(config.epochs * sum(len(video) for video in videos) / config.batch))


class Run:
    """Where a training runs and keeps what it has: device, seed, checkpoint, curve."""

    def __init__(
        self,
        *,
        seed: int,
        scratch: Path | None = None,
        device: str = "cpu",
        progress: Progress = lambda share, words: None,
        amp: bool = False,
    ) -> None:
        self.seed = seed
        self.scratch = scratch
        self.device = torch.device(device)
        self.progress = progress
        self.amp = amp and self.device.type == "cuda"
        self.curve: list[tuple[int, float]] = []

    def place(self, tensor: Tensor) -> Tensor:
        """On the device; images in channels-last order."""
        return tensor.to(self.device, memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def write_curve(self, path: Path) -> None:
        """`step,name,value`: the mean loss of each ten steps."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "name", "value"])
            writer.writerows((step, "loss", repr(value)) for step, value in self.curve)


def optimise(network: nn.Module, loss_of: Batch, config: TrainingConfig | OneShotConfig, steps: int, run: Run) -> None:
    """`steps` steps of SGD or AdamW from where the checkpoint in `run.scratch` stands, or from the beginning.

    Raises TrainingError when the loss is not finite; the checkpoint before it stays."""
    network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    base = [group["lr"] for group in optimizer.param_groups]
    start = _resume(network, optimizer, run)
    set_mode(network, getattr(config, "batch_norm", "frozen"))
    saved, recent = time.monotonic(), []
    for step in range(start, steps):
        factor = _rate(config, step / steps)
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = rate * factor
        with torch.autocast("cuda", torch.bfloat16, enabled=run.amp):
            loss = loss_of(np.random.default_rng([run.seed, step]))
        if not torch.isfinite(loss):
            raise TrainingError(f"step {step}: the loss is {loss.item()}; lower the learning rate of this training")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        recent.append(loss.item())
        if (step + 1) % CURVE_STEPS == 0 or step + 1 == steps:
            run.curve.append((step + 1, sum(recent) / len(recent)))
            run.progress((step + 1) / steps, f"loss {run.curve[-1][1]:.3f}")
            recent = []
            if run.scratch is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_checkpoint(run.scratch / CHECKPOINT, network, optimizer, step + 1, run.curve)
                saved = time.monotonic()
    network.eval()


CHECKPOINT = "checkpoint.pt"


def save_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, curve: list[tuple[int, float]]
) -> None:
    """All that a training needs to go on, under its name only when complete."""
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "curve": curve}
    save_tensors(state, path)


def make_optimizer(network: nn.Module, config: TrainingConfig | OneShotConfig) -> torch.optim.Optimizer:
    """SGD with momentum (paper) or AdamW; backbones may learn at another rate, and their first blocks not at all."""
    backbones = [module for module in network.modules() if isinstance(module, Backbone)]
    inside = {id(parameter) for backbone in backbones for parameter in backbone.parameters()}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in inside]
    learning = []
    for backbone in backbones:
        kept = 0 if backbone.input_channels > 3 else config.frozen_blocks
        for number, block in enumerate(backbone.blocks):
            learns = number >= kept and config.backbone_rate > 0
            block.requires_grad_(learns)
            learning += list(block.parameters()) if learns else []
    groups = [{"params": rest, "lr": config.learning_rate}]
    if learning:
        groups.append({"params": learning, "lr": config.learning_rate * config.backbone_rate})
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def set_mode(network: nn.Module, batch_norm: str) -> None:
    """Training mode with batch-norm statistics learnt (`train`), kept in backbones, or kept everywhere (`frozen`)."""
    network.train()
    frozen = [network] if batch_norm == "frozen" else []
    if batch_norm == "backbone-frozen":
        frozen = [module for module in network.modules() if isinstance(module, Backbone)]
    for part in frozen:
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def new_propagation(config: PropagationConfig, weights: str, seed: int) -> PropagationNetwork:
    """The untrained network: backbones from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = PropagationNetwork(config)
    network.load_pretrained(weights)
    return network


def new_segmentation(config: SegmentationConfig, weights: str, seed: int) -> SegmentationNetwork:
    """The untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = SegmentationNetwork(config)
    network.load_pretrained(weights)
    return network


def _rate(config: TrainingConfig | OneShotConfig, share: float) -> float:
    if getattr(config, "schedule", "constant") == "constant":
        return 1.0
    return 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, run: Run) -> int:
    if run.scratch is None or not (run.scratch / CHECKPOINT).exists():
        return 0
    state = torch.load(run.scratch / CHECKPOINT, map_location=run.device, weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    run.curve = [(int(step), float(value)) for step, value in state["curve"]]
    return int(state["step"])
