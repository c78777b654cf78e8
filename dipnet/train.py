"""What the two networks learn, each on its own (section 3.4): pre-training on stills, off-line training on videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from dipnet.config import CoarseConfig, PropagationConfig, SegmentationConfig, TrainingConfig
from dipnet.model import load_network
from dipnet.optimise import Batch, Objective, Progress, Run, TrainingError, optimise
from dipnet.parallel import World
from dipnet.propagation import PropagationNetwork
from dipnet.samples import Video, coarse_mask, frames_tensor, known_tensor, masks_tensor, pair_sample, still_sample
from dipnet.segmentation import SegmentationNetwork, masked_cross_entropy, segmentation_loss
from dipnet.stage_configs import TrainConfig
from dipnet.view import View


def train_propagation(network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig, run: Run) -> None:
    """Phase I: identity from one frame of a pair, mask of the other; binary cross entropy on the coarse mask."""
    _train(network, videos, config, run, lambda some: propagation_objective(network, some, config))


def train_segmentation(
    network: SegmentationNetwork, videos: Sequence[Video], config: TrainingConfig, coarse_size: int, run: Run
) -> None:
    """Phase II: image and a disturbed true mask in, the true mask out; six-term loss."""

    def objective(some: Sequence[Video]) -> Objective:
        def draw(rng: Generator) -> list[View]:
            return draw_views(some, config, network.config.size, rng)

        return segmentation_objective(network, draw, config.coarse, coarse_size)

    _train(network, videos, config, run, objective)


def draw_views(videos: Sequence[Video], config: TrainingConfig, own: int, rng: Generator) -> list[View]:
    """A batch of single frames: squares of one of the config's sizes, or of the network's own."""
    side = int(rng.choice(config.sizes)) if config.sizes else own
    return [still_sample(videos, config, side, rng) for _ in range(config.batch)]


def propagation_objective(network: PropagationNetwork, videos: Sequence[Video], config: TrainingConfig) -> Objective:
    """Pairs of frames, and the binary cross entropy of the second one's coarse mask."""
    side, coarse = network.config.size, network.config.coarse_size

    def draw(rng: Generator) -> Batch:
        pairs = [pair_sample(videos, config, side, rng) for _ in range(config.batch)]
        truth, known = coarse_truth([target for _, target in pairs], coarse)
        return {
            "references": frames_tensor([reference.frame for reference, _ in pairs]),
            "masks": masks_tensor([reference.mask for reference, _ in pairs]),
            "targets": frames_tensor([target.frame for _, target in pairs]),
            "truth": truth,
            "known": known,
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        features = network.encode_frame(part["targets"])
        identity = network.encode_identity(part["references"], part["masks"])
        return masked_cross_entropy(network.propagate(features, identity), part["truth"], part["known"], known)

    return Objective(draw, loss)


def segmentation_objective(
    network: SegmentationNetwork, draw_views: Callable[[Generator], list[View]], coarse: CoarseConfig, coarse_size: int
) -> Objective:
    """Views of one size with disturbed masks, and the six-term loss of their masks."""

    def draw(rng: Generator) -> Batch:
        views = draw_views(rng)
        frames = frames_tensor([view.frame for view in views])
        return {"frames": frames, **hinted([view.mask for view in views], coarse, coarse_size, rng)}

    def loss(part: Batch, known: Tensor) -> Tensor:
        logits = network.decode(network.encode_frame(part["frames"]), part["hints"])
        return segmentation_loss(logits, part["truth"], part["known"], known)

    return Objective(draw, loss)


def hinted(masks: Sequence[np.ndarray], coarse: CoarseConfig, coarse_size: int, rng: Generator) -> Batch:
    """True masks as the segmentation network learns them: `truth`, where it is `known`, and disturbed as `hints`."""
    hints = np.stack([coarse_mask(mask, coarse_size, coarse, rng) for mask in masks])[:, None]
    return {"hints": torch.from_numpy(hints), "truth": masks_tensor(masks), "known": known_tensor(masks)}


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


def split(videos: Sequence[Video], held_out: float) -> tuple[list[Video], list[Video]]:
    """Videos to train on and to validate on, which are spread evenly. Raises TrainingError if either would be none."""
    count = math.ceil(held_out * len(videos))
    if count and count >= len(videos):
        raise TrainingError(f"held_out {held_out}: {len(videos)} videos leave none to train on; give less, or 0")
    chosen = {(2 * number + 1) * len(videos) // (2 * count) for number in range(count)}
    return [v for i, v in enumerate(videos) if i not in chosen], [v for i, v in enumerate(videos) if i in chosen]


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


def _train(
    network: PropagationNetwork | SegmentationNetwork,
    videos: Sequence[Video],
    config: TrainingConfig,
    run: Run,
    objective: Callable[[Sequence[Video]], Objective],
) -> None:
    learnt, kept = split(videos, config.held_out)
    held_out = objective(kept) if kept else None
    optimise(network, objective(learnt), config, iterations(config, learnt), run, held_out=held_out)


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training stage as it travels to the processes that do it."""

    config: TrainConfig
    weights: str
    before: Path | None
    videos: Sequence[Video]
    scratch: Path
    cpus: int

    def __call__(
        self, world: World, device: str, progress: Progress = lambda share, words: None
    ) -> tuple[PropagationNetwork | SegmentationNetwork, Run]:
        """The share of one process in it."""
        config = self.config
        torch.set_num_threads(max(self.cpus // world.size, 1))
        run = Run(
            seed=config.seed,
            scratch=self.scratch,
            failures=self.scratch,
            device=device,
            progress=progress,
            amp=config.amp and device.startswith("cuda"),
            world=world,
        )
        if config.propagation is not None:
            first = new_propagation(config.propagation, self.weights, config.seed)
            self._go_on_from(first)
            train_propagation(first, self.videos, config.training, run)
            return first, run
        if config.segmentation is None or config.coarse_size is None:
            raise ValueError("no network is configured")
        second = new_segmentation(config.segmentation, self.weights, config.seed)
        self._go_on_from(second)
        train_segmentation(second, self.videos, config.training, config.coarse_size, run)
        return second, run

    def _go_on_from(self, network: PropagationNetwork | SegmentationNetwork) -> None:
        if self.before is not None:
            load_network(network, self.before)
