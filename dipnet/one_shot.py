"""One-shot fine-tuning of the segmentation network on the first frame of a test video (section 3.4)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from dipnet.config import OneShotConfig
from dipnet.inference import foreground_box
from dipnet.samples import Box, Image, Video, resample, view_of, whole
from dipnet.segmentation import SegmentationNetwork
from dipnet.train import Run, optimise, segmentation_step


def tune_on_frame(
    network: SegmentationNetwork, video: Video, config: OneShotConfig, coarse_size: int, run: Run, *, apart: bool
) -> SegmentationNetwork:
    """A copy tuned on the whole first frame: on all objects as one, or with `apart` on every object in turn."""
    ids = video.mask(0)
    masks = [np.isin(ids, video.object_ids).astype(np.uint8)]
    if apart and len(video.object_ids) > 1:
        masks += [(ids == i).astype(np.uint8) for i in video.object_ids]
    return tune(network, video.frame(0), masks, whole(ids), config, config.frame_iterations, coarse_size, run)


def tune_on_crop(
    network: SegmentationNetwork, video: Video, config: OneShotConfig, margin: float, coarse_size: int, run: Run
) -> list[SegmentationNetwork]:
    """Copies tuned further on the crop around the foreground: one for a single object, else one for each."""
    ids = video.mask(0)
    box = foreground_box(np.isin(ids, video.object_ids), margin) or whole(ids)
    steps = config.crop_iterations if len(video.object_ids) == 1 else config.instance_iterations
    return [
        tune(network, video.frame(0), [(ids == i).astype(np.uint8)], box, config, steps, coarse_size, run)
        for i in video.object_ids
    ]


def tune(
    network: SegmentationNetwork,
    frame: Image,
    masks: Sequence[NDArray[np.uint8]],
    box: Box,
    config: OneShotConfig,
    steps: int,
    coarse_size: int,
    run: Run,
) -> SegmentationNetwork:
    """A copy after `steps` steps on variations of one image; each view shows one of the masks, 0 or 1."""
    network = copy.deepcopy(network)
    side = network.config.size
    # Varied from twice the input's size, so that crops of the view stay sharp.
    frame = resample(frame, box, 2 * side)
    masks = [resample(mask, box, 2 * side, labels=True) for mask in masks]

    def loss(rng: Generator) -> Tensor:
        size = int(rng.choice(config.sizes)) if config.sizes else side
        views = []
        for _ in range(config.batch):
            mask = masks[int(rng.integers(len(masks)))]
            views.append(view_of(frame, mask, config.augmentation, size, rng))
        return segmentation_step(network, views, config.coarse, coarse_size, rng, run)

    optimise(network, loss, config, steps, run)
    return network
