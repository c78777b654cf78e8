"""The loop that trains any of the networks: steps, checkpoints, curves, and a stop at nonsense.

A step's batch and the network's weights before it decide the weights after it, so a training that was killed and goes
on from its checkpoint ends with the same weights."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from dipnet.backbone import Backbone
from dipnet.config import OneShotConfig, OptimiserConfig, TrainingConfig
from dipnet.model import save_tensors
from dipnet.parallel import World
from dipnet.samples import images_of

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 60.0
CURVE_STEPS = 10
"""Steps of a window: what a point of the curve is the mean of."""

VALIDATION_BATCHES = 8

Progress = Callable[[float, str], None]
Batch = dict[str, Tensor]
"""Tensors with the samples first; `known` among them: 1 where the truth of a sample is known, 0 where it is void."""


class TrainingError(RuntimeError):
    """A training that cannot go on: its loss is no number, or its data does not suffice."""


@dataclass(frozen=True)
class Objective:
    """What a network is to learn."""

    draw: Callable[[Generator], Batch]
    """A batch, on any device."""

    loss: Callable[[Batch, Tensor], Tensor]
    """Loss of a part of a batch on the run's device. Means are taken over what is known in the whole batch, the second
    argument, so that the losses of all parts add up to that of the batch."""


class Run:
    """Where a training runs and keeps what it has: device, seed, checkpoint, curves."""

    def __init__(
        self,
        *,
        seed: int,
        scratch: Path | None = None,
        failures: Path | None = None,
        device: str = "cpu",
        progress: Progress = lambda share, words: None,
        amp: bool = False,
        world: World = World(),  # noqa: B008  frozen
    ) -> None:
        """`scratch`: for checkpoints, `failures`: for a batch whose loss is no number; without them neither is kept.
        `amp`: bfloat16 autocast."""
        self.seed = seed
        self.scratch = scratch
        self.failures = failures
        self.device = torch.device(device)
        self.progress = progress
        self.amp = amp
        self.world = world
        self.curve: list[tuple[int, float]] = []
        self.validation: list[tuple[int, float]] = []

    def place(self, tensor: Tensor) -> Tensor:
        """On the device; images in channels-last order."""
        return tensor.to(self.device, memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def autocast(self) -> torch.autocast:
        """bfloat16 where the run is in mixed precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)

    def write_curve(self, path: Path) -> None:
        """`step,name,value`: `loss`, the mean of each ten steps, and `validation loss` where videos are held out."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "name", "value"])
            writer.writerows((step, "loss", repr(value)) for step, value in self.curve)
            writer.writerows((step, "validation loss", repr(value)) for step, value in self.validation)


def optimise(
    network: nn.Module,
    objective: Objective,
    config: TrainingConfig | OneShotConfig,
    steps: int,
    run: Run,
    *,
    held_out: Objective | None = None,
) -> None:
    """`steps` steps of SGD or AdamW from where the checkpoint in `run.scratch` stands, or from the beginning.

    Fewer where the config has a patience and the loss settles. `held_out`: what the validation loss is taken of.
    Raises TrainingError when the loss is not finite; the checkpoint before it stays, and the batch is kept in
    `run.failures`."""
    if config.batch < config.accumulate * run.world.size:
        words = f"a batch of {config.batch} for {run.world.size} processes and {config.accumulate} parts"
        raise TrainingError(f"{words}: each needs a sample; give a larger batch or fewer GPUs")
    network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    base = [group["lr"] for group in optimizer.param_groups]
    start = _resume(network, optimizer, run)
    set_mode(network, config.batch_norm)
    step_of = run.world.wrap(_Step(network, objective), run.device)
    saved, recent = time.monotonic(), []
    for step in range(start, steps):
        factor = _rate(config, step / steps)
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = rate * factor
        batch = objective.draw(np.random.default_rng([run.seed, step]))
        optimizer.zero_grad(set_to_none=True)
        loss = _backward(step_of, batch, config.accumulate, run)
        if not math.isfinite(loss):
            kept = _keep_batch(batch, step, run)
            raise TrainingError(
                f"step {step}: the loss is {loss}; lower the learning rate of this training, or look at the batch{kept}"
            )
        optimizer.step()
        recent.append(loss)
        last = step + 1 == steps
        if held_out is not None and run.world.rank == 0 and (last or (step + 1) % _interval(config) == 0):
            run.validation.append((step + 1, _validate(network, held_out, steps, run)))
            set_mode(network, config.batch_norm)
        if (step + 1) % CURVE_STEPS == 0 or last:
            run.curve.append((step + 1, sum(recent) / len(recent)))
            run.progress((step + 1) / steps, f"loss {run.curve[-1][1]:.3f}")
            recent = []
            if isinstance(config, OneShotConfig) and settled([loss for _, loss in run.curve], config.patience):
                break
            if run.scratch is not None and run.world.rank == 0 and time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_checkpoint(run.scratch / CHECKPOINT, network, optimizer, step + 1, run)
                saved = time.monotonic()
    network.eval()


def settled(losses: list[float], patience: int | None) -> bool:
    """Whether the last `patience` windows brought no lower loss than those before them."""
    if patience is None or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])


class _Step(nn.Module):
    """A loss as a module, which is what DistributedDataParallel wraps; the network is in it for its parameters."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, part: Batch, known: Tensor) -> Tensor:
        return self.objective.loss(part, known)


def _backward(step_of: nn.Module, batch: Batch, parts: int, run: Run) -> float:
    """Adds the gradient of a batch's loss, part by part; the loss, of all processes together."""
    size, world = len(batch["known"]), run.world
    known = run.place(batch["known"])
    total = torch.zeros((), device=run.device)
    mine = np.array_split(np.arange(size)[world.rank :: world.size], parts)
    for number, chosen in enumerate(mine, start=1):
        part = {name: run.place(tensor if len(chosen) == size else tensor[chosen]) for name, tensor in batch.items()}
        with nullcontext() if number == len(mine) else world.unsynchronised(step_of):
            with run.autocast():
                loss = step_of(part, known)
            # Gradients are averaged over the processes, and are to be summed.
            (loss * world.size if world.size > 1 else loss).backward()
        total += loss.detach()
    return float(world.total(total))


def _interval(config: TrainingConfig | OneShotConfig) -> int:
    return config.validation_steps if isinstance(config, TrainingConfig) else 1


def _validate(network: nn.Module, held_out: Objective, steps: int, run: Run) -> float:
    """Mean loss of batches that are the same at every call."""
    network.eval()
    losses = []
    with torch.no_grad(), run.autocast():
        for number in range(VALIDATION_BATCHES):
            batch = held_out.draw(np.random.default_rng([run.seed, steps + number]))
            placed = {name: run.place(tensor) for name, tensor in batch.items()}
            losses.append(float(held_out.loss(placed, placed["known"])))
    return sum(losses) / len(losses)


def _keep_batch(batch: Batch, step: int, run: Run) -> str:
    """Keeps a batch as an .npz, frames as RGB images; words that say where."""
    if run.failures is None or run.world.rank:
        return ""
    path = run.failures / f"no-number-at-step-{step}.npz"
    arrays = {
        name: images_of(tensor) if tensor.dim() == 4 and tensor.shape[1] == 3 else tensor.float().cpu().numpy()
        for name, tensor in batch.items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, step=np.array(step), seed=np.array(run.seed), **arrays)  # type: ignore[arg-type]
    return f", kept in {path}"


def save_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, run: Run) -> None:
    """All that a training needs to go on, under its name only when complete."""
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    save_tensors(state | {"curve": run.curve, "validation": run.validation}, path)


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, run: Run) -> int:
    if run.scratch is None or not (run.scratch / CHECKPOINT).exists():
        return 0
    state = torch.load(run.scratch / CHECKPOINT, map_location=run.device, weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    run.curve = [(int(step), float(value)) for step, value in state["curve"]]
    run.validation = [(int(step), float(value)) for step, value in state["validation"]]
    return int(state["step"])


def make_optimizer(network: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """SGD with momentum (paper) or AdamW; backbones may learn at another rate, and their first blocks not at all."""
    backbones = [module for module in network.modules() if isinstance(module, Backbone)]
    inside = {id(parameter) for backbone in backbones for parameter in backbone.parameters()}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in inside]
    learning = []
    for backbone in backbones:
        kept = 0 if backbone.input_channels > 3 else config.frozen_blocks
        for number, block in enumerate(backbone.blocks):
            learns = number >= kept and config.backbone_rate > 0
            block.requires_grad_(learns)
            learning += list(block.parameters()) if learns else []
    groups = [{"params": rest, "lr": config.learning_rate}]
    if learning:
        groups.append({"params": learning, "lr": config.learning_rate * config.backbone_rate})
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
    # Of small networks, one call a parameter and operation takes a tenth of a step on a CPU.
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def set_mode(network: nn.Module, batch_norm: str) -> None:
    """Training mode with batch-norm statistics learnt (`train`), kept in backbones, or kept everywhere (`frozen`)."""
    network.train()
    frozen = [network] if batch_norm == "frozen" else []
    if batch_norm == "backbone-frozen":
        frozen = [module for module in network.modules() if isinstance(module, Backbone)]
    for part in frozen:
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _rate(config: OptimiserConfig, share: float) -> float:
    if config.schedule == "constant":
        return 1.0
    return 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2
