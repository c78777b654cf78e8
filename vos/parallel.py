"""One training on several processes of a machine (`DistributedDataParallel`): NCCL if each has a GPU, else gloo.

Every process draws the same batches from the same seeds and processes its share of each. Gradients are summed, so the
weights are those of one process up to rounding, if batch norm is frozen. A checkpoint fits any number of processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

TIMEOUT = timedelta(minutes=10)
"""Longest wait of a process for the others."""


class ParallelError(RuntimeError):
    """A failed process of a training."""


@dataclass(frozen=True)
class World:
    """Rank of this process and number of processes."""

    rank: int = 0
    size: int = 1

    def wrap(self, module: nn.Module, device: str) -> nn.Module:
        """Return the module with gradients that are averaged over all processes."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, device_ids=[torch.device(device)] if device.startswith("cuda") else None)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a value over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def unsynchronized(self, module: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which gradients add up in this process only, until the last part of a batch."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


@contextmanager
def process_group(size: int, follow: Callable[[World, str], object], device: str, meeting: Path) -> Iterator[World]:
    """Make this process the first of `size`; the others, started here, call `follow` with their World and device.

    `follow` must be picklable, and do the same steps as the body of the `with`. On `cuda` each process has a GPU of its
    own, or shares one if there are fewer. `meeting` is a file by which they find each other, made and removed here.
    Raises ParallelError if one of them failed."""
    if size == 1:
        yield World()
        return
    meeting.unlink(missing_ok=True)
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_follow, args=(follow, World(rank, size), device, meeting), daemon=True)
        for rank in range(1, size)
    ]
    for process in others:
        process.start()
    try:
        _join(World(0, size), device, meeting)
        yield World(0, size)
        for process in others:
            process.join(TIMEOUT.total_seconds())
        if any(process.exitcode != 0 for process in others):
            raise ParallelError(f"a process of {size} failed after the last step; its output says why")
    except RuntimeError as error:
        # An error in one process reaches the others as a broken connection: say which it was.
        for process in others:
            process.join(30)
        failed = [rank for rank, process in enumerate(others, start=1) if process.exitcode]
        if failed and not isinstance(error, ParallelError):
            raise ParallelError(f"process {failed[0]} of {size} failed; its output says why ({error})") from error
        raise
    finally:
        for process in others:
            process.kill()
        if dist.is_initialized():
            dist.destroy_process_group()
        meeting.unlink(missing_ok=True)


def own_device(device: str, world: World) -> str:
    """Return `cuda:1` for the second process, `cuda:0` if there is one GPU only; `cpu` for all."""
    return f"cuda:{world.rank % torch.cuda.device_count()}" if device == "cuda" and world.size > 1 else device


def _follow(follow: Callable[[World, str], object], world: World, device: str, meeting: Path) -> None:
    _join(world, device, meeting)
    try:
        follow(world, own_device(device, world))
    finally:
        dist.destroy_process_group()


def _join(world: World, device: str, meeting: Path) -> None:
    # All are on this machine: nothing listens to the network.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    if device == "cuda":
        torch.cuda.set_device(world.rank % torch.cuda.device_count())
    dist.init_process_group(
        "nccl" if device == "cuda" and torch.cuda.device_count() >= world.size else "gloo",  # NCCL shares no GPU
        store=dist.FileStore(str(meeting), world.size),  # type: ignore[attr-defined]
        rank=world.rank,
        world_size=world.size,
        timeout=TIMEOUT,
    )
