"""What the segmentation network learns (section 3.4): from a frame and a disturbed coarse mask, the exact mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from dipnet.config import CoarseConfig, SegmentationConfig, TrainingConfig
from dipnet.optimise import Batch, Objective, Run
from dipnet.samples import Video, coarse_mask, frames_tensor, known_tensor, masks_tensor, still_sample
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from dipnet.train import train
from dipnet.view import View


def new_segmentation(config: SegmentationConfig, weights: str, seed: int) -> SegmentationNetwork:
    """The untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = SegmentationNetwork(config)
    network.load_pretrained(weights)
    return network


def train_segmentation(
    network: SegmentationNetwork, videos: Sequence[Video], config: TrainingConfig, coarse_size: int, run: Run
) -> None:
    """Phase II: image and a disturbed true mask in, the true mask out; six-term loss."""

    def objective(some: Sequence[Video]) -> Objective:
        def draw(rng: Generator) -> list[View]:
            return draw_views(some, config, network.config.size, rng)

        return segmentation_objective(network, draw, config.coarse, coarse_size)

    train(network, videos, config, run, objective)


def draw_views(videos: Sequence[Video], config: TrainingConfig, own: int, rng: Generator) -> list[View]:
    """A batch of single frames: squares of one of the config's sizes, or of the network's own."""
    side = int(rng.choice(config.sizes)) if config.sizes else own
    return [still_sample(videos, config, side, rng) for _ in range(config.batch)]


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
