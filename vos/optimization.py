"""The loop that trains any network: steps, checkpoints, curves, and a stop at a loss that is not finite.

A step's weights follow from its batch and the weights before it, so a resumed training ends with the same weights."""

from __future__ import annotations

import csv
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from vos.backbone import Backbone
from vos.checkpoint import save_tensors
from vos.config import OptimizerConfig
from vos.folding import folded_in_training
from vos.parallel import World
from vos.samples import images_of
from vos.weights import read_tensors

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 60.0
CURVE_STEPS = 10
"""Steps in a window, over which a point of the curve is the mean."""

VALIDATION_BATCHES = 8

Progress = Callable[[float, str], None]
Batch = dict[str, Tensor]
"""Tensors with the samples first; `known` among them: 1 where the truth of a sample is known, 0 where it is void."""


class TrainingError(RuntimeError):
    """A training that cannot continue: its loss is not finite, or its data does not suffice."""


@dataclass(frozen=True)
class Objective:
    """What a network is to learn."""

    draw: Callable[[Generator], Batch]
    """Draws a batch, on any device. What it draws depends on the generator only: threads may call it ahead of time."""

    loss: Callable[[Batch, Tensor], Tensor]
    """Loss of a part of a batch on the run's device, and `known` of the whole batch, by which a mean is to divide: the
    losses of all parts add up to that of the batch."""


@dataclass(kw_only=True)
class TrainingRun:
    """Where a training runs, and its state."""

    seed: int
    device: str = "cpu"
    scratch: Path | None = None
    """Folder for checkpoints; None keeps none."""

    failures: Path | None = None
    """Folder for a batch whose loss is not finite; None keeps none."""

    progress: Progress = lambda share, text: None
    amp: bool = False
    """bfloat16 autocast."""

    loaders: int = 0
    """Threads that draw batches ahead while a GPU computes; 0 draws each batch when its step begins."""

    world: World = field(default_factory=World)
    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    throughput: dict[str, float] = field(default_factory=dict)
    """`samples_per_second` of the last training in this process, and the share of its time that it waited for them,
    `waiting_share`; without validation and checkpoints."""

    @classmethod
    def on(cls, device: str, *, amp: bool, cpus: int, **options: Any) -> TrainingRun:
        """Return a run on a device; autocast and threads that draw batches, one per CPU core, are for GPUs only."""
        gpu = device.startswith("cuda")
        return cls(device=device, amp=amp and gpu, loaders=cpus if gpu else 0, **options)

    def place(self, tensor: Tensor) -> Tensor:
        """Return the tensor on the device; images in channels-last order."""
        order = torch.channels_last if tensor.dim() == 4 else torch.preserve_format
        return tensor.to(self.device, memory_format=order)

    def autocast(self) -> torch.autocast:
        """Return the context of mixed precision: bfloat16 if `amp` is set."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.amp)

    def write_curve(self, path: Path) -> None:
        """Write `step,name,value`: `loss`, the mean of each ten steps, and `validation loss` if videos are held out."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "name", "value"])
            writer.writerows((step, "loss", repr(value)) for step, value in self.curve)
            writer.writerows((step, "validation loss", repr(value)) for step, value in self.validation)


def optimize(
    network: nn.Module,
    objective: Objective,
    config: OptimizerConfig,
    steps: int,
    run: TrainingRun,
    *,
    validation: Objective | None = None,
    interval: int = 1,
) -> None:
    """Take `steps` steps of SGD or AdamW, from the checkpoint in `run.scratch` or from the beginning.

    Takes fewer if the config has a patience and the loss settles; windows that `run.curve` already has, of another
    network, do not count. The loss of `validation` is computed every `interval` steps and after the last one. Raises
    TrainingError if the loss is not finite: the checkpoint before it stays, and the batch is kept in `run.failures`."""
    if config.batch < config.accumulate * run.world.size:
        text = f"a batch of {config.batch} for {run.world.size} processes and {config.accumulate} parts"
        raise TrainingError(f"{text}: each needs a sample; give a larger batch or fewer GPUs")
    network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    base = [group["lr"] for group in optimizer.param_groups]
    earlier = len(run.curve)
    start = _resume(network, optimizer, run)
    set_mode(network, config.batch_norm)
    step_of = run.world.wrap(_Step(network, objective), run.device)
    saved, recent = time.monotonic(), []
    with folded_in_training(network) if run.device == "cpu" else nullcontext():
        clock, waited, busy = time.perf_counter(), 0.0, 0.0
        for step, batch in drawn_batches(objective.draw, run.seed, range(start, steps), run.loaders):
            drawn = time.perf_counter()
            factor = _rate(config, step / steps)
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * factor
            optimizer.zero_grad(set_to_none=True)
            loss = _backward(step_of, batch, config.accumulate, run)
            if not math.isfinite(loss):
                kept = _keep_batch(batch, step, run)
                advice = "lower the learning rate of this training, or look at the batch"
                raise TrainingError(f"step {step}: the loss is {loss}; {advice}{kept}")
            optimizer.step()
            recent.append(loss)
            waited, busy = waited + drawn - clock, busy + time.perf_counter() - clock
            run.throughput = {
                "samples_per_second": (step + 1 - start) * config.batch / busy,
                "waiting_share": waited / busy,
            }
            last = step + 1 == steps
            if validation and run.world.rank == 0 and (last or (step + 1) % interval == 0):
                run.validation.append((step + 1, _validate(network, validation, steps, run)))
                set_mode(network, config.batch_norm)
            if (step + 1) % CURVE_STEPS == 0 or last:
                run.curve.append((step + 1, sum(recent) / len(recent)))
                speed = f"{run.throughput['samples_per_second']:.3g} samples/s"
                run.progress((step + 1) / steps, f"loss {run.curve[-1][1]:.3f}, {speed}")
                recent = []
                if settled([loss for _, loss in run.curve[earlier:]], config.patience):
                    break
                if run.scratch is not None and run.world.rank == 0 and time.monotonic() - saved > CHECKPOINT_SECONDS:
                    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
                    save_tensors(state | {"curve": run.curve, "validation": run.validation}, run.scratch / CHECKPOINT)
                    saved = time.monotonic()
            clock = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)  # the network is kept: its gradients take as much memory as its weights
    network.eval()


def masked_cross_entropy(logits: Tensor, truth: Tensor, known: Tensor, whole: Tensor | None = None) -> Tensor:
    """Return the mean binary cross entropy over the pixels where `known` is 1.

    `whole` is `known` of the whole batch of which these samples are a part: the losses of its parts add up."""
    loss = functional.binary_cross_entropy_with_logits(logits, truth, weight=known, reduction="sum")
    return loss / (known if whole is None else whole).sum().clamp(min=1e-6)


def settled(losses: list[float], patience: int | None) -> bool:
    """Return whether the last `patience` windows brought no lower loss than those before them."""
    if patience is None or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])


def drawn_batches(
    draw: Callable[[Generator], Batch], seed: int, steps: range, threads: int = 0
) -> Iterator[tuple[int, Batch]]:
    """Yield each step with its batch, drawn from the seed and the step only; threads draw up to `threads` ahead."""

    def batch(step: int) -> Batch:
        return draw(np.random.default_rng([seed, step]))

    if not threads:
        yield from ((step, batch(step)) for step in steps)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, Future[Batch]]] = deque()
        for step in steps:
            waiting.append((step, pool.submit(batch, step)))
            if len(waiting) > threads:
                number, future = waiting.popleft()
                yield number, future.result()
        for number, future in waiting:
            yield number, future.result()


class _Step(nn.Module):
    """A loss as a module, as DistributedDataParallel expects."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, part: Batch, known: Tensor) -> Tensor:
        return self.objective.loss(part, known)


def _backward(step_of: nn.Module, batch: Batch, parts: int, run: TrainingRun) -> float:
    """Add the gradient of a batch's loss, part by part; return the loss over all processes."""
    size, world = len(batch["known"]), run.world
    known = run.place(batch["known"])
    total = torch.zeros((), device=run.device)
    own = np.array_split(np.arange(size)[world.rank :: world.size], parts)
    for number, chosen in enumerate(own, start=1):
        whole = len(chosen) == size
        part = {name: run.place(tensor if whole else tensor[chosen]) for name, tensor in batch.items()}
        part["known"] = known if whole else part["known"]  # one tensor: losses then need not prepare it twice
        with nullcontext() if number == len(own) else world.unsynchronized(step_of):
            with run.autocast():
                loss = step_of(part, known)
            # DistributedDataParallel averages gradients over the processes; the sum is wanted.
            (loss * world.size if world.size > 1 else loss).backward()
        total += loss.detach()
    return float(world.total(total))


def _validate(network: nn.Module, objective: Objective, steps: int, run: TrainingRun) -> float:
    """Return the mean loss of batches that are the same at every call."""
    network.eval()
    losses = []
    with torch.no_grad(), run.autocast():
        for number in range(VALIDATION_BATCHES):
            batch = objective.draw(np.random.default_rng([run.seed, steps + number]))
            placed = {name: run.place(tensor) for name, tensor in batch.items()}
            losses.append(float(objective.loss(placed, placed["known"])))
    return sum(losses) / len(losses)


def _keep_batch(batch: Batch, step: int, run: TrainingRun) -> str:
    """Write a batch as an .npz, frames as RGB images; return where it is, as the end of a message."""
    if run.failures is None or run.world.rank:
        return ""
    path = run.failures / f"non-finite-loss-at-step-{step}.npz"
    arrays = {
        name: images_of(tensor) if tensor.dim() == 4 and tensor.shape[1] == 3 else tensor.float().cpu().numpy()
        for name, tensor in batch.items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, step=np.array(step), seed=np.array(run.seed), **arrays)  # type: ignore[arg-type]
    return f", kept in {path}"


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, run: TrainingRun) -> int:
    """Load the checkpoint, if there is one; return the step to continue with."""
    if run.scratch is None or not (run.scratch / CHECKPOINT).exists():
        return 0
    state = read_tensors(run.scratch / CHECKPOINT, "delete it, and the training starts anew", device=run.device)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    run.curve = [(int(step), float(value)) for step, value in state["curve"]]
    run.validation = [(int(step), float(value)) for step, value in state["validation"]]
    return int(state["step"])


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return SGD with momentum, or AdamW; backbones may learn at another rate, and their first blocks not at all."""
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
    # For small networks, one call per parameter and operation takes a tenth of a step on a CPU.
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def set_mode(network: nn.Module, batch_norm: str) -> None:
    """Set training mode, with batch-norm statistics learned (`train`) or kept in backbones or everywhere (`frozen`)."""
    network.train()
    frozen = [network] if batch_norm == "frozen" else []
    if batch_norm == "backbone-frozen":
        frozen = [module for module in network.modules() if isinstance(module, Backbone)]
    for part in frozen:
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _rate(config: OptimizerConfig, share: float) -> float:
    return 1.0 if config.schedule == "constant" else 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2
