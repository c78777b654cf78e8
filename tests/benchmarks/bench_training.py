"""Whether the drawing of samples keeps up with the network: samples per second of both, for each training of DIPNet.

    pytest tests/benchmarks/bench_training.py --benchmark-enable -s
    python -m tests.benchmarks.bench_training [SCALE] [ROUNDS]

Samples are drawn by one thread, as `TrainingRun.loaders` counts them, from two videos of 854×480 as JPEG; the network
takes steps on a batch that is there already, with BENCH_THREADS threads (2). Both run by turns in one process, and a
ratio is the median of the turns'. Above 1, one thread draws faster than the network learns: drawing ahead can hide no
more than 1 / (1 + ratio) of the time."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from dipnet.train_propagation import new_propagation, propagation_objective
from dipnet.train_segmentation import draw_views, frame_objective, new_segmentation
from harness.datasets.pixels import read_mask
from tests.benchmarks.bench_method import by_turns, make_video
from tests.gpu.sizes import scale_config
from vos.config import OptimizerConfig
from vos.geometry import Image
from vos.optimization import Batch, Objective, TrainingRun, optimize

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
SCALE = os.environ.get("BENCH_SCALE", "light")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


class Annotated:
    """A video with a mask of every frame, read from files as a dataset's are."""

    def __init__(self, folder: Path) -> None:
        self.video = make_video(folder)
        self.object_ids = self.video.object_ids
        self.first = folder / "first.png"

    def __len__(self) -> int:
        return len(self.video)

    def frame_name(self, index: int) -> str:
        return self.video.frame_name(index)

    def frame(self, index: int) -> Image:
        return self.video.frame(index)

    def mask(self, index: int) -> Image:
        return read_mask(self.first)  # the objects move by few pixels: as much work as with masks of their own


def trainings(scale: str, folder: Path) -> dict[str, tuple[nn.Module, Objective, OptimizerConfig]]:
    """Return the off-line training of each network: the network, what it learns, and how."""
    config = scale_config(scale).model_copy(update={"weights": "none"})
    videos = [Annotated(folder / name) for name in ("first", "second")]
    propagation = new_propagation(config.propagation, "none", 0)
    segmentation = new_segmentation(config.segmentation, "none", 0)
    first, second = config.propagation_training.offline, config.segmentation_training.offline
    views = partial(draw_views, videos, second, config.segmentation.size)
    frames = frame_objective(segmentation, second.coarse, config.propagation.coarse_size)
    return {
        "propagation": (propagation, propagation_objective(propagation, videos, first), first),
        "segmentation": (segmentation, frames.of_views(views), second),
    }


def rates(scale: str, rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return of each training the samples per second of drawing and of the network, and their ratio."""
    found = {}
    for name, (network, objective, config) in trainings(scale, folder).items():
        draw = partial(objective.draw, np.random.default_rng(0))
        sides: dict[str, Callable[[], object]] = {"drawing": draw, "network": step(network, objective, config)}
        seconds = {side: [wall for wall, _ in values] for side, values in by_turns(sides, rounds).items()}
        ratios = [y / x for x, y in zip(seconds["drawing"], seconds["network"], strict=True)]
        found[name] = {side: config.batch / median(values) for side, values in seconds.items()}
        found[name]["drawing ÷ network"] = median(ratios)
    return found


def step(network: nn.Module, objective: Objective, config: OptimizerConfig) -> Callable[[], None]:
    """Return a step of the training on one batch, drawn here."""
    batch = objective.draw(np.random.default_rng(0))

    def again(rng: np.random.Generator) -> Batch:
        return batch

    run = TrainingRun.on("cpu", amp=False, cpus=THREADS, seed=0)
    return lambda: optimize(network, Objective(again, objective.loss), config, 1, run)


def test_drawing_and_network(benchmark: Any, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    found = benchmark.pedantic(rates, (SCALE, ROUNDS, tmp_path), rounds=1)
    torch.set_num_threads(before)
    benchmark.extra_info.update(found)


def main(scale: str = SCALE, rounds: str = str(ROUNDS)) -> None:
    """Print the figures of a scale."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        for name, values in rates(scale, int(rounds), Path(folder)).items():
            print(f"{name}, {scale}: " + ", ".join(f"{side} {value:.2f}" for side, value in values.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
