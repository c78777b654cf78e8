"""One-shot fine-tuning of the segmentation network on the first frame of a test video (section 3.4)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from dipnet.config import OneShotConfig, iterations_of_objects
from dipnet.inference import foreground_box
from dipnet.optimise import Batch, Objective, Run, optimise
from dipnet.samples import Video, frames_tensor, view_of
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from dipnet.train_segmentation import hinted, segmentation_objective
from dipnet.view import Box, Image, View, resample, whole


def tune_on_frame(
    network: SegmentationNetwork, video: Video, config: OneShotConfig, coarse_size: int, run: Run
) -> SegmentationNetwork:
    """A copy tuned on the whole first frame, on all objects as one."""
    ids = video.mask(0)
    mask = np.isin(ids, video.object_ids).astype(np.uint8)
    return tune(network, video.frame(0), mask, whole(ids), config, config.frame_iterations, coarse_size, run)


def tune_on_objects(
    network: SegmentationNetwork, video: Video, config: OneShotConfig, margin: float | None, coarse_size: int, run: Run
) -> list[SegmentationNetwork]:
    """Copies tuned further, one for each object: on the crop around the foreground, with that margin in sides of its
    box, or with None on the whole frame."""
    ids = video.mask(0)
    crop = None if margin is None else foreground_box(np.isin(ids, video.object_ids), margin)
    box = crop or whole(ids)
    steps = getattr(config, iterations_of_objects(len(video.object_ids)))
    return [
        tune(network, video.frame(0), (ids == i).astype(np.uint8), box, config, steps, coarse_size, run)
        for i in video.object_ids
    ]


def tune(
    network: SegmentationNetwork,
    frame: Image,
    mask: NDArray[np.uint8],
    box: Box,
    config: OneShotConfig,
    steps: int,
    coarse_size: int,
    run: Run,
) -> SegmentationNetwork:
    """A copy after `steps` steps on variations of one image and its mask, 0 or 1.

    Fewer steps where the config has a patience and the loss settles."""
    network = copy.deepcopy(network)
    side = network.config.size
    # Varied from twice the input's size, so that crops of the view stay sharp.
    frame = resample(frame, box, 2 * side)
    mask = resample(mask, box, 2 * side, labels=True)

    def draw(rng: Generator, size: int) -> View:
        return view_of(frame, mask, config.augmentation, size, rng)

    def draw_batch(rng: Generator) -> list[View]:
        size = int(rng.choice(config.sizes)) if config.sizes else side
        return [draw(rng, size) for _ in range(config.batch)]

    if config.feature_views and steps:
        drawn = np.random.default_rng([run.seed, steps])  # the steps themselves draw from 0 to steps - 1
        sizes = config.sizes or (side,)
        views = [draw(drawn, sizes[number % len(sizes)]) for number in range(config.feature_views)]
        config = config.model_copy(update={"backbone_rate": 0.0})
        objective = _objective_of_features(network, views, config, coarse_size, run)
    else:
        objective = segmentation_objective(network, draw_batch, config.coarse, coarse_size)
    optimise(network, objective, config, steps, run)
    return network


def _objective_of_features(
    network: SegmentationNetwork, views: Sequence[View], config: OneShotConfig, coarse_size: int, run: Run
) -> Objective:
    """The six-term loss of batches of views whose features are computed here, once: the backbone learns nothing."""
    network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad(), run.autocast():
        features = [network.encode_frame(run.place(frames_tensor([view.frame]))) for view in views]
    of_size: dict[int, list[int]] = {}
    for number, view in enumerate(views):
        of_size.setdefault(len(view.mask), []).append(number)

    def draw(rng: Generator) -> Batch:
        alike = of_size[len(views[int(rng.integers(len(views)))].mask)]
        chosen = [alike[int(rng.integers(len(alike)))] for _ in range(config.batch)]
        levels = zip(*(features[number] for number in chosen), strict=True)
        batch = {f"level{number}": torch.cat(level) for number, level in enumerate(levels)}
        return batch | hinted([views[number].mask for number in chosen], config.coarse, coarse_size, rng)

    def loss(part: Batch, known: Tensor) -> Tensor:
        levels = [part[f"level{number}"] for number in range(len(features[0]))]
        return segmentation_loss(network.decode(levels, part["hints"]), part["truth"], part["known"], known)

    return Objective(draw, loss)
