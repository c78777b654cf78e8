"""One training stage of one network: the videos, the steps, the processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vos.checkpoint import load_network
from vos.config import TrainingConfig
from vos.optimization import Objective, Progress, TrainingError, TrainingRun, Validation, optimize
from vos.parallel import World
from vos.video import Video


def train(
    network: nn.Module,
    videos: Sequence[Video],
    config: TrainingConfig,
    run: TrainingRun,
    objective: Callable[[Sequence[Video]], Objective],
) -> None:
    """Train a network; `objective` says what it is to learn from some videos."""
    learned, kept = split(videos, config.held_out)
    validation = Validation(objective(kept), config.validation_steps) if kept else None
    optimize(network, objective(learned), config, iterations(config, learned), run, validation=validation)


def iterations(config: TrainingConfig, videos: Sequence[Video]) -> int:
    """Return the optimizer steps: as the config says, or its epochs over all frames."""
    if config.iterations is not None:
        return config.iterations
    return max(1, math.ceil(config.epochs * sum(len(video) for video in videos) / config.batch))


def split(videos: Sequence[Video], held_out: float) -> tuple[list[Video], list[Video]]:
    """Return the videos to train on and those to validate on, which are evenly spread.

    Raises:
        TrainingError: No video would be left to train on."""
    count = math.ceil(held_out * len(videos))
    if count and count >= len(videos):
        raise TrainingError(f"held_out {held_out}: {len(videos)} videos leave none to train on; give less, or 0")
    chosen = {(2 * number + 1) * len(videos) // (2 * count) for number in range(count)}
    return [v for i, v in enumerate(videos) if i not in chosen], [v for i, v in enumerate(videos) if i in chosen]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training stage as it is sent to the processes that run it."""

    new: Callable[[], nn.Module]
    """Makes the untrained network; picklable, as is `learn`."""

    learn: Callable[..., None]
    """Trains it: called with the network and `run`."""

    before: Path | None
    """File of the network from which it continues."""

    seed: int
    amp: bool
    scratch: Path
    cpus: int

    def __call__(
        self, world: World, device: str, progress: Progress = lambda share, text: None
    ) -> tuple[nn.Module, TrainingRun]:
        """Do the share of one process; return the trained network and its run."""
        torch.set_num_threads(max(self.cpus // world.size, 1))
        run = TrainingRun(
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
