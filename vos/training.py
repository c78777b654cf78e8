"""One training stage of one network: the videos, the steps, the processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vos.checkpoint import load_network
from vos.config import TrainingConfig
from vos.optimization import Objective, Progress, TrainingError, TrainingRun, optimize
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
    validation = objective(kept) if kept else None
    steps, interval = iterations(config, learned), config.validation_steps
    optimize(network, objective(learned), config, steps, run, validation=validation, interval=interval)


def iterations(config: TrainingConfig, videos: Sequence[Video]) -> int:
    """Return the optimizer steps: as the config says, or its epochs over all frames."""
    if config.iterations is not None:
        return config.iterations
    return max(1, math.ceil(config.epochs * sum(len(video) for video in videos) / config.batch))


class Course(nn.Module):
    """How far a training is, for losses that change in its course; a part of the network, so checkpoints keep it."""

    parts: Tensor
    """Parts of batches that this training has learned from."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("parts", torch.zeros((), dtype=torch.long))

    def begin(self) -> None:
        """Begin another training."""
        self.parts.zero_()

    def share_done(self, steps: int, accumulate: int) -> float | None:
        """Return the share of the steps that is done, and count a part; in validation return None and count none."""
        if not self.training:
            return None
        step = int(self.parts) // accumulate
        self.parts += 1
        return step / steps


def split(videos: Sequence[Video], held_out: float) -> tuple[list[Video], list[Video]]:
    """Return the videos to train on and those to validate on, evenly spread. Raises TrainingError if none stay."""
    count = math.ceil(held_out * len(videos))
    if count and count >= len(videos):
        raise TrainingError(f"held_out {held_out}: {len(videos)} videos leave none to train on; give less, or 0")
    chosen = {(2 * number + 1) * len(videos) // (2 * count) for number in range(count)}
    return [v for i, v in enumerate(videos) if i not in chosen], [v for i, v in enumerate(videos) if i in chosen]


def train_process(
    world: World,
    device: str,
    progress: Progress = lambda share, text: None,
    *,
    new: Callable[[], nn.Module],
    learn: Callable[..., None],
    before: Path | None,
    seed: int,
    amp: bool,
    scratch: Path,
    cpus: int,
) -> tuple[nn.Module, TrainingRun]:
    """Do the share of one process of a training stage; return the trained network and its run.

    `new` makes the untrained network, which continues from the file `before`; `learn` trains it, called with `run`."""
    share = max(cpus // world.size, 1)
    torch.set_num_threads(share)
    run = TrainingRun.on(
        device, amp=amp, cpus=share, seed=seed, scratch=scratch, failures=scratch, progress=progress, world=world
    )
    network = new()
    if before is not None:
        load_network(network, before)
    learn(network, run=run)
    return network, run
