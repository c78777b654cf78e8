"""The plan of a study: its cells and their stages, each once; which are cached, and why the others must run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from harness.errors import DataUnavailableError
from harness.memory import collector_paused
from harness.method import CellRequest
from harness.planning.inputs import Inputs
from harness.planning.invalidation import History, Reason
from harness.planning.study import Study, Variant
from harness.score.stage import score_stage
from harness.stage import Data, Stage, closure
from harness.store import Store

State = Literal["cached", "to run", "waiting"]

NOT_SCORED = "segmented but not scored, for its truth is not public; --export writes the masks"
"""Reason of a cell on a benchmark like DAVIS17 test-dev."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of a study's tables: a variant on a benchmark with a seed."""

    variant: Variant
    benchmark: str
    seed: int
    segment: Mapping[str, Stage] = field(default_factory=dict)
    """Stages by sequence name."""

    score: Stage | None = None
    """None if the cell is skipped or its benchmark is not scored."""

    timing: Stage | None = None
    analyses: Mapping[str, Stage] = field(default_factory=dict)
    """Stages by name."""

    omitted: tuple[str, ...] = ()
    """Sentences about stages that the available data does not allow."""

    reason: str = ""
    """Why the whole cell is skipped; empty if it is not."""

    @property
    def name(self) -> str:
        """Name that is unique in the study: `full/davis16-val/0`."""
        return f"{self.variant.name}/{self.benchmark}/{self.seed}"

    @property
    def targets(self) -> tuple[Stage, ...]:
        """Stages that fill the cell, without those that they need."""
        stages = (*self.segment.values(), self.score, self.timing, *self.analyses.values())
        return tuple(stage for stage in stages if stage is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A stage of the plan."""

    stage: Stage
    state: State
    reason: Reason | None = None
    """Why it must run; None if it is cached."""

    seconds: float | None = None
    """Seconds that it took if it is cached, else expected from earlier stages of its kind; None if there were none."""

    waits_for: tuple[Stage, ...] = ()
    """Needs that are not finished yet."""

    cells: int = 1
    """Number of cells that use it."""

    @property
    def why(self) -> str:
        """Reason as text; empty if it is cached."""
        return str(self.reason) if self.reason else ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study's cells and every stage once, needs first."""

    study: Study
    inputs: Inputs
    cells: tuple[Cell, ...]
    items: Mapping[str, Item]
    """Key → item, in an order in which needs come first."""

    elsewhere: frozenset[str] = frozenset()
    """Keys of cached stages that are not in the home but at the URL that it shares its stages at (`--store`)."""

    @cached_property
    def unshared(self) -> int:
        """Number of stages if every cell ran its own."""
        return sum(item.cells for item in self.items.values())

    @cached_property
    def missing(self) -> tuple[Stage, ...]:
        """Stages to run or waiting; needs come first."""
        return tuple(item.stage for item in self.items.values() if item.state != "cached")

    @property
    def omissions(self) -> tuple[str, ...]:
        """Sentences about what is skipped, each once."""
        found = dict.fromkeys(f"{name} skipped: {why}" for name, why in self.inputs.absent.items())
        for cell in self.cells:
            found |= dict.fromkeys(f"{cell.variant.name} × {cell.benchmark}: {text}" for text in cell.omitted)
            if cell.reason and cell.benchmark not in self.inputs.absent:
                found[f"{cell.variant.name} × {cell.benchmark} skipped: {cell.reason}"] = None
            if cell.segment and cell.score is None:
                found[f"{cell.benchmark}: {NOT_SCORED}"] = None
        return tuple(found)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what missing stages may reach that their keys do not cover, each once."""
        return tuple(dict.fromkeys(note for stage in self.missing for note in stage.reached.notes))


def make_plan(study: Study, inputs: Inputs, store: Store, *, gpus: float = 0.0, machine: str = "") -> Plan:
    """Return the plan of a study; nothing is run.

    `gpus`: GPUs for each stage that can use one; `machine`: name of the hardware. Raises StudyError if a config makes
    no sense on a benchmark, RemoteError if the URL of a shared store cannot be reached."""
    with collector_paused():  # nothing made here is garbage; searching it took a fifth of the time of a large plan
        cells = tuple(_cells(study, inputs, gpus, machine))
        stages: dict[str, Stage] = {}
        uses: Counter[str] = Counter()
        for cell in cells:
            needed = closure(cell.targets)
            uses.update(needed.keys())
            stages |= {key: stage for key, stage in needed.items() if key not in stages}
        history = History(store, stages)
        took = {key: seconds for key, stage in stages.items() if (seconds := history.load(stage)) is not None}
        elsewhere = store.elsewhere(stage for key, stage in stages.items() if key not in took)
        took |= elsewhere
        items = {key: _item(stage, took, uses[key], history) for key, stage in stages.items()}
        return Plan(study=study, inputs=inputs, cells=cells, items=items, elsewhere=frozenset(elsewhere))


def _item(stage: Stage, took: Mapping[str, float], cells: int, history: History) -> Item:
    if stage.key in took:
        return Item(stage=stage, state="cached", seconds=took[stage.key], cells=cells)
    waits_for = tuple([need for need in stage.needs.values() if need.key not in took])
    return Item(
        stage=stage,
        state="waiting" if waits_for else "to run",
        reason=history.why(stage),
        seconds=history.seconds(stage),
        waits_for=waits_for,
        cells=cells,
    )


def _cells(study: Study, inputs: Inputs, gpus: float, machine: str) -> Iterator[Cell]:
    shared: dict[tuple[Any, ...], dict[Any, Any]] = defaultdict(dict)
    for variant in study.variants:
        for benchmark in variant.benchmarks:
            for seed in study.seeds:
                if benchmark in inputs.absent:
                    reason = inputs.absent[benchmark]
                    yield Cell(variant=variant, benchmark=benchmark, seed=seed, reason=reason)
                else:
                    common = shared[variant.method, benchmark, seed, *sorted(variant.training_sets.items())]
                    yield _cell(variant, inputs, benchmark, seed, gpus, machine, common)


def _cell(
    variant: Variant, all_inputs: Inputs, benchmark: str, seed: int, gpus: float, machine: str, shared: dict[Any, Any]
) -> Cell:
    inputs = all_inputs.benchmarks[benchmark]
    protocol = inputs.protocol
    chosen = {role: all_inputs.training[name] for role, name in variant.training_sets.items()}
    found: dict[str, Data | None] = {role: data if isinstance(data, Data) else None for role, data in chosen.items()}
    request = CellRequest(
        config=variant.config,
        sequences=inputs.sequences,
        multi_object=protocol.multi_object,
        training={**inputs.training, **found},
        missing={**inputs.missing, **{role: data for role, data in chosen.items() if isinstance(data, str)}},
        seed=seed,
        gpus=gpus,
        machine=machine,
        shared=shared,
    )
    try:
        plan = variant.implementation.plan(request)
    except DataUnavailableError as error:
        return Cell(variant=variant, benchmark=protocol.name, seed=seed, reason=str(error))
    return Cell(
        variant=variant,
        benchmark=protocol.name,
        seed=seed,
        segment=plan.segment,
        score=score_stage(protocol, plan.segment, inputs.sequences) if protocol.scored else None,
        timing=plan.timing,
        analyses=plan.analyses,
        omitted=plan.omitted,
    )
