"""Study + material → cells and their stages, shared ones merged; what of them is there, and why the rest must run."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from harness.errors import DataUnavailableError
from harness.method import CellRequest, find_method
from harness.planning.inputs import BenchmarkInputs, Inputs
from harness.planning.invalidation import Reason, Reasons
from harness.planning.study import Study, Variant
from harness.score.stage import score_stage
from harness.stage import Stage
from harness.store.local import Store

State = Literal["cached", "to run", "waiting"]

NOT_SCORED = "segmented but not scored, for its truth is not public; --export writes the masks"
"""Of a benchmark like DAVIS17 test-dev."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of a study's tables: a variant on a benchmark with a seed."""

    variant: Variant
    benchmark: str
    seed: int
    segment: Mapping[str, Stage] = field(default_factory=dict)
    """By sequence name."""

    score: Stage | None = None
    """None if the cell is left out, or its benchmark is not scored."""

    timing: Stage | None = None
    analyses: Mapping[str, Stage] = field(default_factory=dict)
    """By name."""

    left_out: tuple[str, ...] = ()
    """What it goes without, in words."""

    reason: str = ""
    """Why the whole cell is left out; empty if it is not."""

    @property
    def name(self) -> str:
        """Unique in the study: `full/davis16-val/0`."""
        return f"{self.variant.name}/{self.benchmark}/{self.seed}"

    @property
    def targets(self) -> tuple[Stage, ...]:
        """The stages that fill it, without those that they need."""
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
    """That it took, if it is cached; else expected from earlier stages of its kind, None if there were none."""

    waits_for: tuple[Stage, ...] = ()
    """The needs that are not there yet."""

    cells: int = 1
    """How many cells it serves."""

    @property
    def why(self) -> str:
        """The reason in words; empty if it is cached."""
        return self.reason.words if self.reason else ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study's cells and every stage once, needs first."""

    study: Study
    material: Inputs
    cells: tuple[Cell, ...]
    items: Mapping[str, Item]
    """Key → item, in an order in which they could be run."""

    elsewhere: frozenset[str] = frozenset()
    """Keys of cached ones that are not in the home, but where it is shared with others (`--store`)."""

    @cached_property
    def unshared(self) -> int:
        """Stages that running the cells one by one would run."""
        return sum(item.cells for item in self.items.values())

    @property
    def saved(self) -> int:
        """Stages that sharing saves."""
        return self.unshared - len(self.items)

    @cached_property
    def missing(self) -> tuple[Stage, ...]:
        """Stages to run or waiting, needs first."""
        return tuple(item.stage for item in self.items.values() if item.state != "cached")

    @property
    def absent(self) -> tuple[str, ...]:
        """What is left out, in words, each once."""
        words = dict.fromkeys(f"{name} left out: {why}" for name, why in self.material.absent.items())
        for cell in self.cells:
            words |= dict.fromkeys(f"{cell.variant.name} × {cell.benchmark}: {text}" for text in cell.left_out)
            if cell.reason and cell.benchmark not in self.material.absent:
                words[f"{cell.variant.name} × {cell.benchmark} left out: {cell.reason}"] = None
            if cell.segment and cell.score is None:
                words[f"{cell.benchmark}: {NOT_SCORED}"] = None
        return tuple(words)


def make_plan(
    study: Study,
    material: Inputs,
    store: Store,
    *,
    gpus: float = 0.0,
    machine: str = "",
    elsewhere: Callable[[Iterable[Stage]], Mapping[str, float]] | None = None,
) -> Plan:
    """The plan of a study. `gpus`: for each stage that can use one; `machine`: name of the hardware; `elsewhere`: of
    stages that are not in the home, key → seconds of those that can be fetched.

    Nothing is run. Raises StudyError where a config makes no sense on a benchmark."""
    with _uncollected():
        cells = tuple(_cells(study, material, gpus, machine))
        stages: dict[str, Stage] = {}
        uses: Counter[str] = Counter()
        closures: dict[str, frozenset[str]] = {}
        for cell in cells:
            seen: set[str] = set()
            for target in cell.targets:
                for need in target.needs.values():
                    if need.key not in seen:
                        seen |= _closure(need, stages, closures)
                seen.add(target.key)
                stages.setdefault(target.key, target)
            uses.update(seen)
        reasons = Reasons(store, stages)
        took = {key: seconds for key, stage in stages.items() if (seconds := reasons.load(stage)) is not None}
        beyond = elsewhere(stage for key, stage in stages.items() if key not in took) if elsewhere else {}
        took |= beyond
        items = {key: _item(stage, took, uses[key], reasons) for key, stage in stages.items()}
        return Plan(study=study, material=material, cells=cells, items=items, elsewhere=frozenset(beyond))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing that planning makes is garbage, and the collector would look through all of it again and again: a fifth
    of the time of a large plan."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _item(stage: Stage, took: Mapping[str, float], cells: int, reasons: Reasons) -> Item:
    if stage.key in took:
        return Item(stage=stage, state="cached", seconds=took[stage.key], cells=cells)
    waits_for = tuple([need for need in stage.needs.values() if need.key not in took])
    return Item(
        stage=stage,
        state="waiting" if waits_for else "to run",
        reason=reasons.why(stage),
        seconds=reasons.seconds(stage),
        waits_for=waits_for,
        cells=cells,
    )


def _cells(study: Study, material: Inputs, gpus: float, machine: str) -> Iterator[Cell]:
    shared: dict[tuple[str, str, int], dict[Any, Any]] = defaultdict(dict)
    for variant in study.variants:
        for benchmark in variant.benchmarks:
            for seed in study.seeds:
                if benchmark in material.absent:
                    reason = material.absent[benchmark]
                    yield Cell(variant=variant, benchmark=benchmark, seed=seed, reason=reason)
                else:
                    common = shared[variant.method, benchmark, seed]
                    yield _cell(variant, material.benchmarks[benchmark], seed, gpus, machine, common)


def _cell(
    variant: Variant, material: BenchmarkInputs, seed: int, gpus: float, machine: str, shared: dict[Any, Any]
) -> Cell:
    protocol = material.protocol
    request = CellRequest(
        config=variant.config,
        sequences=material.sequences,
        multi_object=protocol.multi_object,
        training=material.training,
        missing=material.missing,
        seed=seed,
        gpus=gpus,
        machine=machine,
        shared=shared,
    )
    try:
        plan = find_method(variant.method, f"variant {variant.name}").plan(request)
    except DataUnavailableError as error:
        return Cell(variant=variant, benchmark=protocol.name, seed=seed, reason=str(error))
    return Cell(
        variant=variant,
        benchmark=protocol.name,
        seed=seed,
        segment=plan.segment,
        score=score_stage(protocol, plan.segment, material.sequences) if protocol.scored else None,
        timing=plan.timing,
        analyses=plan.analyses,
        left_out=plan.left_out,
    )


def _closure(stage: Stage, stages: dict[str, Stage], known: dict[str, frozenset[str]]) -> frozenset[str]:
    """Keys of a stage and of all that it needs, which are put into `stages`, needs first. A chain of needs is short."""
    found = known.get(stage.key)
    if found is None:
        found = frozenset([stage.key]).union(*[_closure(need, stages, known) for need in stage.needs.values()])
        known[stage.key] = found
        stages.setdefault(stage.key, stage)
    return found
