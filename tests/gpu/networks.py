"""Small networks, trained and compared by the lines of the GPU check."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import vos.optimization
from dipnet.config import DIPNetConfig, PropagationTraining
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_propagation import new_propagation, propagation_objective
from dipnet.train_segmentation import draw_views, frame_objective, new_segmentation
from tests.gpu.context import Context, precision
from tests.gpu.sizes import TINY_CONFIG
from tests.videos import Squares
from vos.checkpoint import for_inference
from vos.config import OptimizerConfig, TrainingConfig
from vos.folding import fold_batch_norm
from vos.optimization import Objective, TrainingRun, optimize
from vos.parallel import World
from vos.segment import segment_video

VIDEOS = [Squares(), Squares(seed=1), Squares(objects=2, seed=2)]
STEPS = 8
KINDS = ("propagation", "segmentation")
LEARNING = PropagationTraining(batch=4, optimizer="adamw", learning_rate=4e-3, batch_norm="train")


class KilledError(Exception):
    """The end of a training that stands for a kill."""


@contextmanager
def checkpoint_at_once() -> Iterator[None]:
    """Write a checkpoint in the middle of STEPS steps, not once a minute."""
    module = vos.optimization
    before = module.CHECKPOINT_SECONDS, module.CURVE_STEPS
    module.CHECKPOINT_SECONDS, module.CURVE_STEPS = -1.0, STEPS // 2
    try:
        yield
    finally:
        module.CHECKPOINT_SECONDS, module.CURVE_STEPS = before


def network_of(kind: str, config: DIPNetConfig, seed: int = 0) -> Any:
    """Return an untrained network on the CPU."""
    if kind == "propagation":
        return new_propagation(config.propagation, "none", seed)
    return new_segmentation(config.segmentation, "none", seed)


def objective_of(
    kind: str, network: Any, config: TrainingConfig, videos: Any = VIDEOS, sizes: DIPNetConfig = TINY_CONFIG
) -> Objective:
    """Return what a network of this kind is to learn."""
    if kind == "propagation":
        assert isinstance(config, PropagationTraining)
        return propagation_objective(network, videos, config)
    draw: Callable[[np.random.Generator], Any] = lambda rng: draw_views(videos, config, network.config.size, rng)  # noqa: E731
    return frame_objective(network, config.coarse, sizes.propagation.coarse_size).of_views(draw)


def stepped(
    device: str,
    config: OptimizerConfig,
    steps: int,
    scratch: Path | None = None,
    *,
    kind: str = "segmentation",
    stop: bool = False,
    world: World | None = None,
) -> nn.Module:
    """Return a small network after some steps; `stop` raises KilledError at the last one."""

    def progress(share: float, _text: str) -> None:
        if stop and share == 1:
            raise KilledError

    network: nn.Module = network_of(kind, TINY_CONFIG)
    run = TrainingRun(seed=0, device=device, scratch=scratch, progress=progress, world=world or World())
    assert isinstance(config, TrainingConfig)
    with precision("fp32"):
        optimize(network, objective_of(kind, network, config), config, steps, run)
    return network


def trained(context: Context) -> tuple[Any, Any]:
    """Return small networks that have learned to segment squares, so that their masks are no matter of chance."""
    networks = []
    for kind in KINDS:
        network = network_of(kind, TINY_CONFIG)
        run = TrainingRun(seed=0, device=context.device, loaders=2)
        optimize(network, objective_of(kind, network, LEARNING), LEARNING, context.size.learning, run)
        context.note(**{f"{kind}_loss": run.curve[-1][1]})
        networks.append(network)
    return networks[0], networks[1]


def placed(networks: tuple[Any, Any], device: str, *, folded: bool = False) -> Networks:
    """Return copies of networks on a device, with `folded` as stages load them for segmenting."""
    first, second = (for_inference(copy.deepcopy(network), device) for network in networks)
    if folded:
        fold_batch_norm(first)
        fold_batch_norm(second)
    return Networks(first, second, [second])


def segmented(networks: Networks, options: Any, device: str, video: Any) -> np.ndarray:
    """Return the masks of all frames but the first, which is given."""
    return np.stack(list(segment_video(video, make_segmenter(networks, options, device)))[1:])


def compare(context: Context, name: str, expected: Tensor, found: Tensor, tolerance: float) -> None:
    """Note the largest difference in standard deviations of the expected values, and require a small one."""
    expected, found = expected.float().cpu(), found.float().cpu()
    changed = float((expected - found).abs().max() / expected.std().clamp(min=1e-6))
    context.note(**{f"{name}_differ_by": changed})
    context.require(changed < tolerance, f"{name} differ by {changed} standard deviations")


def difference(one: nn.Module, other: nn.Module) -> float:
    """Return the norm of the difference of all weights, as a share of the norm of the first network's."""
    first, second = (torch.cat([v.cpu().double().flatten() for v in net.state_dict().values()]) for net in (one, other))
    return float((first - second).norm() / first.norm())
