"""Training of the segmentation network (section 3.4): from a frame and a disturbed coarse mask, the exact mask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from numpy.random import Generator

from dipnet.config import SegmentationConfig
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from vos.config import CoarseConfig, TrainingConfig
from vos.geometry import Image, View
from vos.hints import hinted
from vos.one_shot import FrameObjective
from vos.optimization import Batch, TrainingRun
from vos.samples import clip_sample
from vos.training import train
from vos.video import Video


def new_segmentation(config: SegmentationConfig, weights: str, seed: int) -> SegmentationNetwork:
    """Return the untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = SegmentationNetwork(config)
    network.load_pretrained(weights)
    return network


def train_segmentation(
    network: SegmentationNetwork, videos: Sequence[Video], config: TrainingConfig, coarse_size: int, run: TrainingRun
) -> None:
    """Train phase II: image and a disturbed true mask in, the true mask out; six-term loss."""
    objective = frame_objective(network, config.coarse, coarse_size)
    draw = partial(draw_views, config=config, own=network.config.size)
    train(network, videos, config, run, lambda some: objective.of_views(lambda rng: draw(some, rng=rng)))


def draw_views(videos: Sequence[Video], config: TrainingConfig, own: int, rng: Generator) -> list[View]:
    """Draw a batch of single frames: squares of one of the config's sizes, or of the network's own."""
    side = int(rng.choice(config.sizes)) if config.sizes else own
    return [clip_sample(videos, config, side, rng, frames=1)[0] for _ in range(config.batch)]


def frame_objective(network: SegmentationNetwork, coarse: CoarseConfig, coarse_size: int) -> FrameObjective:
    """Return the objective: the six-term loss of frames' masks, found from disturbed ones."""

    def inputs(masks: Sequence[Image], rng: Generator) -> Batch:
        return hinted(masks, coarse, coarse_size, rng)

    return FrameObjective(
        inputs=inputs,
        encode=lambda batch: network.encode_frame(batch["frames"]),
        loss=lambda features, part, known: segmentation_loss(
            network.decode(features, part["hints"]), part["truth"], part["known"], known
        ),
    )
