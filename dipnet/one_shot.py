"""One-shot fine-tuning of the segmentation network on the first frame of a test video (section 3.4)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from dipnet.config import OneShotConfig
from dipnet.inference import foreground_box
from dipnet.samples import (
    Box,
    Image,
    Video,
    View,
    coarse_mask,
    frames_tensor,
    known_tensor,
    masks_tensor,
    resample,
    view_of,
    whole,
)
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from dipnet.train import Batch, Run, optimise, segmentation_step


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
    """A copy after `steps` steps on variations of one image; each view shows one of the masks, 0 or 1.

    Fewer steps where the config has a patience and the loss settles."""
    network = copy.deepcopy(network)
    side = network.config.size
    # Varied from twice the input's size, so that crops of the view stay sharp.
    frame = resample(frame, box, 2 * side)
    masks = [resample(mask, box, 2 * side, labels=True) for mask in masks]

    def draw(rng: Generator, size: int) -> View:
        return view_of(frame, masks[int(rng.integers(len(masks)))], config.augmentation, size, rng)

    def loss_of_new_views(rng: Generator) -> Tensor:
        size = int(rng.choice(config.sizes)) if config.sizes else side
        views = [draw(rng, size) for _ in range(config.batch)]
        return segmentation_step(network, views, config.coarse, coarse_size, rng, run)

    loss: Batch = loss_of_new_views
    if config.feature_views and steps:
        config = config.model_copy(update={"backbone_rate": 0.0})
        network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        drawn = np.random.default_rng([run.seed, steps])  # the steps themselves draw from 0 to steps - 1
        sizes = config.sizes or (side,)
        views = [draw(drawn, sizes[number % len(sizes)]) for number in range(config.feature_views)]
        loss = _loss_of_features(network, views, config, coarse_size, run)
    _optimise_until_settled(network, loss, config, steps, run)
    return network


def _loss_of_features(
    network: SegmentationNetwork, views: Sequence[View], config: OneShotConfig, coarse_size: int, run: Run
) -> Batch:
    """The six-term loss of batches of views whose features are computed here, once: the backbone learns nothing."""
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=run.amp):
        features = [network.encode_frame(run.place(frames_tensor([view.frame]))) for view in views]
    of_size: dict[int, list[int]] = {}
    for number, view in enumerate(views):
        of_size.setdefault(len(view.mask), []).append(number)

    def loss(rng: Generator) -> Tensor:
        alike = of_size[len(views[int(rng.integers(len(views)))].mask)]
        chosen = [alike[int(rng.integers(len(alike)))] for _ in range(config.batch)]
        masks = [views[number].mask for number in chosen]
        hints = np.stack([coarse_mask(mask, coarse_size, config.coarse, rng) for mask in masks])[:, None]
        batch = [torch.cat(level) for level in zip(*(features[number] for number in chosen), strict=True)]
        logits = network.decode(batch, run.place(torch.from_numpy(hints)))
        return segmentation_loss(logits, run.place(masks_tensor(masks)), run.place(known_tensor(masks)))

    return loss


def _optimise_until_settled(
    network: SegmentationNetwork, loss: Batch, config: OneShotConfig, steps: int, run: Run
) -> None:
    """Optimises for `steps` steps, or until so many windows in a row as the config's patience bring no lower loss."""
    if config.patience is None:
        optimise(network, loss, config, steps, run)
        return
    patience = config.patience

    def watch(share: float, words: str) -> None:
        run.progress(share, words)
        losses = [value for _, value in watched.curve]
        if len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience]):
            raise StopIteration

    watched = Run(seed=run.seed, device=str(run.device), progress=watch, amp=run.amp)
    with suppress(StopIteration):
        optimise(network, loss, config, steps, watched)
    network.eval()
    run.curve = watched.curve
