"""What a method offers to the harness: a config, and the stages that fill one cell of a study.

A method is found by its entry point (group `harness.methods`) under the name that studies use. A study may also define
methods of its own, under `methods`: an entry point of the group `harness.definitions` makes one from its definition."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
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
    only what `harness.datasets.part.given_masks` returns: of each object, the mask of the frame in which it starts."""

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
    """Stage that writes `timing.json`; None: not timed.

    `seconds_per_frame`; `objects`: how many are in the video that was timed; `measured`: `process` if the seconds are
    those of a whole process, with its start and loading its network. Further keys are for people."""

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


@runtime_checkable
class DefinesMethods(Protocol):
    """An entry point of the group `harness.definitions`; its name is the key that every such definition has."""

    def __call__(self, name: str, definition: Mapping[str, Any], origin: str, file: Path) -> Method:
        """Return the method `name` that a definition describes.

        `origin` says in errors where the definition is; `file` holds it, and relative paths start from its folder.
        Nothing is read or run: what is not there is an error of the method's `plan`. Raises StudyError."""


def method_names() -> tuple[str, ...]:
    """Return the names of all installed methods, sorted."""
    return tuple(sorted(_installed("harness.methods")))


def find_method(name: str, origin: str, defined: Mapping[str, Method] | None = None) -> Method:
    """Return the method of that name, installed or among those that a study has `defined`.

    `origin` says in errors where the name is from. Raises StudyError."""
    if defined and name in defined:
        return defined[name]
    found = _installed("harness.methods")
    if name not in found:
        allowed = ", ".join(sorted(found)) or "none; install the project with pip first"
        here = f"; defined here: {', '.join(defined)}" if defined else ""
        raise StudyError(f"{origin}: no method named {name!r}; installed: {allowed}{here}")
    method = _loaded(found[name])
    if method is None:
        raise StudyError(f"{origin}: {found[name].value} offers no label, config and plan")
    return method


def define_method(name: str, definition: Mapping[str, Any], origin: str, file: Path) -> Method:
    """Return the method `name` that a study defines; arguments and errors are those of `DefinesMethods`."""
    if name in _installed("harness.methods"):
        raise StudyError(f"{origin}: {name!r} is an installed method; give this one another name")
    makers = _installed("harness.definitions")
    keys = [key for key in definition if key in makers]
    if len(keys) != 1:
        found, allowed = ", ".join(map(str, definition)) or "nothing", " or ".join(sorted(makers)) or "nothing"
        raise StudyError(f"{origin}: found the keys {found}; expected one of them to be {allowed}")
    make: DefinesMethods = makers[keys[0]].load()
    return make(name, definition, origin, file)


@cache
def _loaded(point: EntryPoint) -> Method | None:
    """Return the method; None if it is none. Cached, as a plan asks for every cell and the check is slow."""
    method = point.load()
    return method if isinstance(method, Method) else None


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    """Return name → entry point. Cached, as the search takes milliseconds and a plan asks for every cell."""
    return {point.name: point for point in entry_points(group=group)}
