"""What a line of the GPU check gets, and how it reports: every figure is written at once, so that a kill loses none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

import torch

from dipnet.config import DIPNetConfig
from dipnet.segmenter import Networks
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import new_segmentation
from harness.datasets import Sequence
from harness.datasets.catalog import load_protocols
from harness.datasets.locate import load_benchmark, load_training
from tests.gpu.sizes import Size
from vos.checkpoint import for_inference

Precision = Literal["fp32", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
BENCHMARK = "davis16-val"


@dataclass
class Context:
    """Device, data and time of a line of the check, and the file for its figures."""

    device: str
    size: Size
    pack: Path
    scratch: Path
    until: float
    """Time (as `time.time`) at which the runner kills the line."""

    events: IO[str]
    """Open file of JSON lines, read by the runner."""

    line: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def gpu(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Precisions that differ on the device: a CPU has no TF32, and computes in 32 bits without autocast."""
        return PRECISIONS if self.gpu else ("fp32",)

    def emit(self, state: str, **content: Any) -> None:
        """Write an event of the current line."""
        self.events.write(json.dumps({"line": self.line, "state": state, "time": time.time(), **content}) + "\n")
        self.events.flush()

    def note(self, **values: Any) -> None:
        """Report figures, which the table shows in this order."""
        self.emit("running", values=values)

    def require(self, holds: bool, problem: str) -> None:
        """Report a broken promise and go on: the line fails at its end, with all of its problems."""
        if not holds:
            self.problems.append(problem)
            self.emit("running", problems=self.problems)

    def synchronize(self) -> None:
        """Wait until the device has done its work."""
        if self.gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], repeat: int, warm: int = 2) -> float:
        """Return the mean seconds of calls, warmed up and synchronized."""
        for _ in range(warm):
            work()
        self.synchronize()
        begun = time.perf_counter()
        for _ in range(repeat):
            work()
        self.synchronize()
        return (time.perf_counter() - begun) / repeat

    @contextmanager
    def peak(self) -> Iterator[Callable[[], float]]:
        """Yield a function that returns the most gigabytes that tensors took on the GPU since then; 0 on a CPU."""
        if self.gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        yield lambda: torch.cuda.max_memory_allocated(self.device) / 1e9 if self.gpu else 0.0

    def allocated(self) -> int:
        """Return the bytes that tensors take on the GPU; 0 on a CPU."""
        self.synchronize()
        return torch.cuda.memory_allocated(self.device) if self.gpu else 0

    @cached_property
    def packed(self) -> Mapping[str, Any]:
        """What `tests/gpu/pack` wrote about its data."""
        content: dict[str, Any] = json.loads((self.pack / "pack.json").read_text())
        return content

    @cached_property
    def training(self) -> tuple[Sequence, ...]:
        """The packed train split."""
        return load_training("davis16-train", self.pack)

    @cached_property
    def benchmark(self) -> tuple[Sequence, ...]:
        """The packed val split."""
        return load_benchmark(load_protocols()[BENCHMARK], self.pack)

    def weights(self, backbone: str) -> str:
        """Return the packed ImageNet weights of a backbone, or `none`."""
        file = self.pack / "weights" / f"{backbone}.pt"
        return str(file) if file.exists() else "none"

    def networks(self, config: DIPNetConfig, device: str | None = None) -> Networks:
        """Return untrained networks, the same at every call, on the line's device."""
        place = self.device if device is None else device
        propagation, segmentation = config.propagation, config.segmentation
        first = new_propagation(propagation, self.weights(propagation.backbone), 0)
        second = for_inference(new_segmentation(segmentation, self.weights(segmentation.backbone), 0), place)
        return Networks(for_inference(first, place), second, [second])


@contextmanager
def precision(name: Precision) -> Iterator[None]:
    """Compute convolutions in 32 bits for `fp32`, and else as torch does by default: in TF32 where there is any.

    `bf16` also needs the option `amp`."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = name != "fp32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
