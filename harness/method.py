"""What a method offers to the harness: a config, and the stages that fill one cell of a study.

A method is found by its entry point (group `harness.methods`) under the name that studies use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypedDict, TypeVar, runtime_checkable

from pydantic import BaseModel

from harness.errors import StudyError
from harness.stage import Data, Stage

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CellRequest:
    """One method with one config, on one benchmark, with one seed."""

    config: BaseModel
    """Config of the method's own type, fully resolved."""

    sequences: Mapping[str, Data]
    """Sequence name → its Data, whose value is a harness.datasets.Sequence. It holds all masks, but a method may read
    only that of the first frame."""

    multi_object: bool
    """Whether several objects are distinguished (DAVIS17) or there is one foreground (DAVIS16)."""

    training: Mapping[str, Data | None]
    """`pretraining` and `offline` → Data whose value is a tuple of Sequences (still images: one frame each); None if
    that data is not available."""

    missing: Mapping[str, str]
    """Role of every None in `training` → a sentence that says what was looked for."""

    seed: int = 0
    gpus: float = 0.0
    """GPUs to request for each stage that can use one; 0 runs everything on CPUs."""

    machine: str = ""
    """Name of the hardware, for the timing stage."""

    shared: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    """Memory of `once`: the same for all cells of a plan that have method, benchmark and seed in common."""

    def once(self, read: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returns, called once for all cells with the same `read`: the options that it depends on.

        This only saves planning time, which matters in studies of thousands of cells: stages of one key are one."""
        if read not in self.shared:
            self.shared[read] = make()
        made: T = self.shared[read]
        return made


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """How a method fills a cell."""

    segment: Mapping[str, Stage]
    """Sequence name → stage whose folder holds `masks/<frame name>.png` per frame, object ids as palette indices."""

    timing: Stage | None = None
    """Stage that writes `timing.json`: {"seconds_per_frame": float, "hardware": str, ...}; None: not timed."""

    analyses: Mapping[str, Stage] = field(default_factory=dict)
    """Name → stage of whatever else the config asks for, for reports to draw: DIPNet's `identities/after/blackswan`."""

    omitted: tuple[str, ...] = ()
    """Sentences about stages that the config asks for and the available data does not allow; shown in tables."""


class TensorSpec(TypedDict):
    """An input or output of a network."""

    name: str
    type: str
    """NumPy's name of the element type."""

    shape: list[int]
    """Sides; -1 for any."""


@dataclass(frozen=True, kw_only=True)
class ServedNetwork:
    """A trained network as others load it: an MLflow model of the flavor `python_function`."""

    kind: str
    loader: str
    """Module whose `_load_pyfunc(folder)` returns an object with `predict`."""

    files: list[str]
    """Files of the stage's folder that the loader needs."""

    config: Mapping[str, Any]
    """Plain values for the loader, which it finds in `config.json`."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


@runtime_checkable
class Method(Protocol):
    """A method of video object segmentation."""

    label: str
    """Name in tables."""

    config: type[BaseModel]
    """Frozen, unknown keys refused; defaults are the paper's."""

    def plan(self, request: CellRequest) -> CellPlan:
        """Return the stages that fill the cell; nothing is run. Stages of several cells have the same key.

        Raises StudyError for a config that makes no sense on this benchmark, and DataUnavailableError if the available
        data leaves nothing to train with."""


@runtime_checkable
class ServesNetworks(Protocol):
    """A method whose trained networks are to be MLflow models."""

    def served_network(self, stage: Stage) -> ServedNetwork | None:
        """Return what describes the network that a stage of the method leaves; None if it leaves none."""


@runtime_checkable
class HasCard(Protocol):
    """A method that can say what a reader of a comparison asks of it."""

    def card(self, config: BaseModel) -> Mapping[str, str]:
        """Return title → text: where it was published, parameters, operations per frame, training, weights."""


def method_names() -> tuple[str, ...]:
    """Return the names of all installed methods, sorted."""
    return tuple(sorted(_installed()))


def find_method(name: str, origin: str) -> Method:
    """Return the method installed under `name`. `origin` names its place in errors. Raises StudyError."""
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
    """Return the method; None if it is none. Cached, as a plan asks for every cell and the check is slow."""
    method = point.load()
    return method if isinstance(method, Method) else None


@cache
def _installed() -> dict[str, EntryPoint]:
    """Return name → entry point. Cached, as the search takes milliseconds and a plan asks for every cell."""
    return {point.name: point for point in entry_points(group="harness.methods")}
