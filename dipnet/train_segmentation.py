"""Training of the segmentation network, off-line and one-shot (section 3.4): from a disturbed mask, the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool
from numpy.random import Generator

from dipnet.config import OneShotConfig, OneShotPart, SegmentationConfig
from dipnet.region import foreground_box
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from vos.config import CoarseConfig, TrainingConfig
from vos.geometry import Box, Image, View
from vos.hints import hinted
from vos.one_shot import FrameObjective, fine_tune
from vos.optimization import TrainingRun
from vos.samples import clip_sample
from vos.segment import merged
from vos.training import train
from vos.video import Video


def new_segmentation(config: SegmentationConfig, weights: str, seed: int) -> SegmentationNetwork:
    """Return the untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = SegmentationNetwork(config)
    network.backbone.load_pretrained(weights)
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
    return FrameObjective(
        inputs=lambda masks, rng: hinted(masks, coarse, coarse_size, rng),
        encode=lambda batch: network.encode_frame(batch["frames"]),
        loss=lambda features, part, known: segmentation_loss(
            network.decode(features, part["hints"]),
            part["truth"],
            part["known"],
            known,
            alignment=network.config.alignment,
        ),
    )


def fine_tune_on(
    part: OneShotPart,
    network: SegmentationNetwork,
    frame: Image,
    objects: Bool[np.ndarray, "objects height width"],
    config: OneShotConfig,
    margin: float | None,
    coarse_size: int,
    run: TrainingRun,
    steps: int | None = None,
) -> list[SegmentationNetwork]:
    """Return fine-tuned copies: one on the whole first `frame` with all objects as one, or one for each of `objects`.

    Those see the foreground's box with that margin, in its sides, or with None the whole frame. `steps` replaces the
    config's."""
    on_frame = part == "frame"
    crop = None if on_frame or margin is None else foreground_box(merged(objects)[0], margin)
    steps = getattr(config, config.iterations_of(part, len(objects))) if steps is None else steps
    views = [
        View.cut(frame, mask.astype(np.uint8), crop or Box.whole(frame), 2 * network.config.size)
        for mask in (merged(objects) if on_frame else objects)
    ]
    return [
        fine_tune(network, view, config, steps, run, lambda tuned: frame_objective(tuned, config.coarse, coarse_size))
        for view in views
    ]
