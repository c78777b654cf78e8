"""The plan as text: how much is cached, what must run and why, how long it may take, what sharing saves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from harness.console import duration
from harness.planning.estimate import estimate, sharing
from harness.planning.plan import Item, Plan, State
from harness.stage import Stage

_LISTED = 12
"""Most stages that are listed one by one; more are grouped."""

_GROUPS = 24
"""Most groups of one kind and reason that are shown."""

_LABELS = 2
"""Stages that the line of a group names."""


def plan_text(plan: Plan, *, cpus: int, gpus: float = 0.0, every: bool = False) -> Iterator[str]:
    """Yield the lines. `every`: list all missing stages one by one, however many there are."""
    study = plan.study
    states = Counter(item.state for item in plan.items.values())
    filled = sum(1 for cell in plan.cells if not cell.reason)
    yield f"study {study.name}, scale {study.scale.name}, {plan.inputs.data_kind} data under {plan.inputs.root}"
    yield f"{filled} cells; {len(plan.items)} stages: {_counts(states)}"
    yield from _kinds(plan)
    if plan.elsewhere:
        yield f"  {len(plan.elsewhere)} of the cached are not in this home yet and will be fetched"
    yield from (f"  {text}" for text in plan.omissions)
    yield from (f"  {title}: {extent}, not the published whole" for title, extent in plan.inputs.partial.items())
    yield from (f"  note: {text}" for text in plan.notes)
    missing = [item for item in plan.items.values() if item.state != "cached"]
    if every or len(missing) <= _LISTED:
        yield from (_line(item) for item in missing)
    else:
        yield from _grouped(missing)
        yield "  (--plan --all names every stage, --plan --json is for scripts)"
    yield _sharing(plan)
    if missing:
        yield _expected(plan, cpus, gpus)


def _kinds(plan: Plan) -> Iterator[str]:
    counts = Counter((item.stage.name, item.state) for item in plan.items.values())
    seconds: dict[str, float] = defaultdict(float)
    for item in plan.items.values():
        if item.state != "cached":
            seconds[item.stage.name] += item.seconds or 0.0
    for name in dict.fromkeys(item.stage.name for item in plan.items.values()):
        states = Counter({state: count for (kind, state), count in counts.items() if kind == name})
        about = f"; about {duration(seconds[name])}" if seconds[name] else ""
        yield f"  {name:<10} {sum(states.values()):>6}: {_counts(states)}{about}"


def _counts(states: Counter[State]) -> str:
    return ", ".join(f"{states[state]} {state}" for state in ("cached", "to run", "waiting") if states[state]) or "none"


def _grouped(missing: Iterable[Item]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in missing:
        groups[item.stage.name, item.why].append(item)
    for place, ((name, why), items) in enumerate(groups.items()):
        if place == _GROUPS:
            left = list(groups.values())[_GROUPS:]
            yield f"  … and {sum(map(len, left))} stages more, for {len(left)} other reasons"
            return
        yield f"  {group_line(name, why, [item.stage for item in items])}"


def group_line(name: str, why: str, stages: Sequence[Stage]) -> str:
    """Return the line of several stages of one name, for which the same is true."""
    labels = list(dict.fromkeys(stage.label for stage in stages))
    more = " …" if len(labels) > _LABELS else ""
    return f"{len(stages)} × {name} ({why}): {'; '.join(labels[:_LABELS])}{more}"


def _line(item: Item) -> str:
    seconds = "" if item.seconds is None else f", about {duration(item.seconds)}"
    more = f" and {len(item.waits_for) - 1} more" if len(item.waits_for) > 1 else ""
    waits = f"; for {item.waits_for[0].label}{more}" if item.waits_for else ""
    return f"  {item.state}: {item.stage.label} ({item.why}{seconds}{waits})"


def _sharing(plan: Plan) -> str:
    found = sharing(plan)
    text = f"  sharing saves {found.saved_stages} of {found.cell_by_cell_stages} stages"
    if not found.cell_by_cell_seconds:
        return text
    share = found.seconds / found.cell_by_cell_seconds
    return (
        f"{text}, and {duration(found.seconds)} of stages take the place of the "
        f"{duration(found.cell_by_cell_seconds)} of cells one by one ({share:.0%})"
    )


def _expected(plan: Plan, cpus: int, gpus: float) -> str:
    found = estimate(plan, cpus, gpus)
    if not found.estimated:
        return "  expected: unknown, as no stage of these kinds has been run here"
    machine = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
    bound = "about" if found.estimated == found.stages else "at least"
    hours = f"{found.cpu_hours:.2f} CPU-hours" + (f", {found.gpu_hours:.2f} GPU-hours" if gpus else "")
    return (
        f"  expected: {bound} {duration(found.wall_seconds)} on {machine}; {hours} "
        f"({found.estimated} of {found.stages} stages estimated from earlier ones)"
    )
