"""What a method offers to the harness: a config, and for one cell of a study the stages that fill it.

A method is found by its entry point (group `harness.methods`) under the name that studies use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from harness.errors import StudyError
from harness.stage import Data, Stage

GROUP = "harness.methods"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CellRequest:
    """One method with one config, on one benchmark, with one seed."""

    config: BaseModel
    """Of the method's own type, fully resolved."""

    sequences: Mapping[str, Data]
    """Sequence name → its Data, whose value is a harness.datasets.Sequence. All the masks are in it; a method may look
    at the first frame's only."""

    multi_object: bool
    """Whether objects are told apart (DAVIS17) or there is one (DAVIS16, foreground)."""

    training: Mapping[str, Data | None]
    """`pretraining` and `offline` → Data whose value is a tuple of Sequences (still images: one frame each); None where
    that data is not at hand."""

    missing: Mapping[str, str]
    """For every None in `training`: what was looked for, in words."""

    seed: int = 0
    gpus: float = 0.0
    """GPUs to ask for in each stage that can use one; 0 runs everything on CPUs."""

    machine: str = ""
    """Name of the hardware, for the timing stage."""

    shared: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    """One for all cells of a plan that have method, benchmark and seed in common; `once` keeps things in it."""

    def once(self, read: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, made once for all those cells that agree in `read`: the options that it depends on.

        It only saves planning time, which counts in studies of thousands of cells: stages of one key are one."""
        if read not in self.shared:
            self.shared[read] = make()
        return self.shared[read]


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """How a method fills a cell."""

    segment: Mapping[str, Stage]
    """Sequence name → stage whose folder holds `masks/<frame name>.png`, one a frame, object ids as palette indices."""

    timing: Stage | None = None
    """Stage that writes `timing.json`: {"seconds_per_frame": float, "hardware": str, ...}; None: not timed."""

    analyses: Mapping[str, Stage] = field(default_factory=dict)
    """Name → stage of whatever else the config asks for, for reports to draw: DIPNet's `identities/after/blackswan`."""

    left_out: tuple[str, ...] = ()
    """Stages that the config asks for and the data at hand does not allow, in words; shown in every row."""


@runtime_checkable
class Method(Protocol):
    """A method of video object segmentation.

    Optional besides what stands here: `served`, the name of a module whose `describe(run, config)` says of a stage, by
    its run function and its config as plain values, which network it leaves (None: none): `kind`, `files` in its
    folder, `config` (plain values for the loader), `inputs` and `outputs` (`name`, `type`, `shape`, -1 for any). Its
    networks then are MLflow models, which `_load_pyfunc(folder)` of that module loads."""

    label: str
    """As tables print it."""

    config: type[BaseModel]
    """Frozen, unknown keys refused; defaults are the paper's."""

    def plan(self, request: CellRequest) -> CellPlan:
        """The stages that fill the cell. Stages shared between cells come out equal by key; nothing is run.

        Raises StudyError for a config that makes no sense on this benchmark, and DataUnavailableError where the data that is there
        leaves nothing to train with."""
        ...


def find_method(name: str, origin: str) -> Method:
    """The method that is installed under `name`; `origin` says in the error who asks. Raises StudyError."""
    found = _installed()
    if name not in found:
        allowed = ", ".join(sorted(found)) or "none; install the project with pip first"
        raise StudyError(f"{origin}: no method named {name!r}; installed: {allowed}")
    method = _loaded(found[name])
    if method is None:
        raise StudyError(f"{origin}: {found[name].value} offers no label, config and plan")
    return method


@cache
def _loaded(point: EntryPoint) -> Method | None:
    """None if it is no method. A plan asks for every cell, and the check reads every attribute."""
    method = point.load()
    return method if isinstance(method, Method) else None


@cache
def _installed() -> dict[str, EntryPoint]:
    """Name → entry point. Looking through what is installed takes milliseconds, and a study asks for every cell."""
    return {point.name: point for point in entry_points(group=GROUP)}
