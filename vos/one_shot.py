"""One-shot fine-tuning: a copy of a network, trained on variations of the first frame of a test video."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool
from numpy.random import Generator
from torch import Tensor, nn

from vos.config import FineTuningConfig
from vos.geometry import Box, Image, View
from vos.optimization import Batch, Objective, TrainingRun, optimize
from vos.samples import frames_tensor, view_of
from vos.segment import merged

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class FrameObjective:
    """What a network is to learn from single frames and the mask of one object."""

    inputs: Callable[[Sequence[Image], Generator], Batch]
    """All of a batch but its `frames`, from masks (0, 1, 255 for void): the truth, where it is `known`, hints."""

    encode: Callable[[Batch], list[Tensor]]
    """Features of the `frames` of a batch. With `feature_views` they are computed once, so may read nothing else."""

    loss: Callable[[list[Tensor], Batch, Tensor], Tensor]
    """Loss of features with their part of the batch; `known` of the whole batch is as in `Objective`."""

    def of_views(self, draw_views: Callable[[Generator], list[View]]) -> Objective:
        """Return the objective over batches of views of one size."""

        def draw(rng: Generator) -> Batch:
            views = draw_views(rng)
            frames = frames_tensor([view.frame for view in views])
            return {"frames": frames, **self.inputs([view.mask for view in views], rng)}

        return Objective(draw, lambda part, known: self.loss(self.encode(part), part, known))

    def of_features(self, network: nn.Module, views: Sequence[View], batch: int, run: TrainingRun) -> Objective:
        """Return the objective over batches of these views, whose features are computed here, once."""
        network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad(), run.autocast():
            features = [self.encode({"frames": run.place(frames_tensor([view.frame]))}) for view in views]
        of_size: dict[int, list[int]] = {}
        for number, view in enumerate(views):
            of_size.setdefault(len(view.mask), []).append(number)

        def draw(rng: Generator) -> Batch:
            same_size = of_size[len(views[int(rng.integers(len(views)))].mask)]
            chosen = [same_size[int(rng.integers(len(same_size)))] for _ in range(batch)]
            levels = zip(*(features[number] for number in chosen), strict=True)
            drawn = {f"level{number}": torch.cat(level) for number, level in enumerate(levels)}
            return drawn | self.inputs([views[number].mask for number in chosen], rng)

        def loss(part: Batch, known: Tensor) -> Tensor:
            return self.loss([part[f"level{number}"] for number in range(len(features[0]))], part, known)

        return Objective(draw, loss)


def first_view(frame: Image, objects: Bool[np.ndarray, "objects height width"], size: int) -> View:
    """Return the first frame with objects as one, as `fine_tune` takes it for a network of that input size."""
    return View.cut(frame, merged(objects)[0].astype(np.uint8), Box.whole(frame), 2 * size)


def fine_tune(
    network: N,
    view: View,
    config: FineTuningConfig,
    steps: int,
    run: TrainingRun,
    objective: Callable[[N], FrameObjective],
) -> N:
    """Return a copy of the network after `steps` steps on variations of one frame and its mask (0 or 1).

    `view` is twice as large as the network's input, so that crops of it stay sharp."""
    network = copy.deepcopy(network)
    sizes = config.sizes or (len(view.mask) // 2,)

    def draw(rng: Generator, size: int) -> View:
        return view_of(view.frame, view.mask, config.augmentation, size, rng)

    def draw_batch(rng: Generator) -> list[View]:
        size = int(rng.choice(config.sizes)) if config.sizes else sizes[0]
        return [draw(rng, size) for _ in range(config.batch)]

    learned = objective(network)
    if config.feature_views and steps:
        rng = np.random.default_rng([run.seed, steps])  # the steps themselves draw from 0 to steps - 1
        views = [draw(rng, sizes[number % len(sizes)]) for number in range(config.feature_views)]
        config = config.model_copy(update={"backbone_rate": 0.0})
        goal = learned.of_features(network, views, config.batch, run)
    else:
        goal = learned.of_views(draw_batch)
    optimize(network, goal, config, steps, run)
    return network
