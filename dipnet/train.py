"""What the trainings of both networks have in common (section 3.4): the videos, the steps, the processes.

Knows neither network, so that a change to one does not train the other again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dipnet.config import TrainingConfig
from dipnet.model import load_network
from dipnet.optimise import Objective, Progress, Run, TrainingError, optimise
from dipnet.parallel import World
from dipnet.samples import Video


def train(
    network: nn.Module,
    videos: Sequence[Video],
    config: TrainingConfig,
    run: Run,
    objective: Callable[[Sequence[Video]], Objective],
) -> None:
    """One training stage of one network; `objective`: what it is to learn from these videos."""
    learnt, kept = split(videos, config.held_out)
    held_out = objective(kept) if kept else None
    optimise(network, objective(learnt), config, iterations(config, learnt), run, held_out=held_out)


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


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training stage as it travels to the processes that do it."""

    new: Callable[[], nn.Module]
    """Makes the untrained network; picklable, as is `learn`."""

    learn: Callable[..., None]
    """Trains it: called with the network and `run`."""

    before: Path | None
    """File of the network that it goes on from."""

    seed: int
    amp: bool
    scratch: Path
    cpus: int

    def __call__(
        self, world: World, device: str, progress: Progress = lambda share, words: None
    ) -> tuple[nn.Module, Run]:
        """The share of one process in it."""
        torch.set_num_threads(max(self.cpus // world.size, 1))
        run = Run(
            seed=self.seed,
            scratch=self.scratch,
            failures=self.scratch,
            device=device,
            progress=progress,
            amp=self.amp and device.startswith("cuda"),
            world=world,
        )
        network = self.new()
        if self.before is not None:
            load_network(network, self.before)
        self.learn(network, run=run)
        return network, run
