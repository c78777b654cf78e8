"""What a plan will take, and what sharing saves it: sums over the seconds of earlier stages."""

from __future__ import annotations

from dataclasses import dataclass

from harness.planning.plan import Plan
from harness.stage import Stage

_TELLING = 0.02
"""Share of a stage that must have been seen before its pace tells when it ends."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is still to be run."""

    stages: int
    estimated: int
    """Of these, how many have earlier ones of their kind; the sums below are over them."""

    seconds: float
    """One after the other."""

    wall_seconds: float
    """On the CPUs and GPUs at hand, if they are always busy: no plan is faster."""

    cpu_hours: float
    gpu_hours: float


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """All stages of the study once, against every cell running its own."""

    stages: int
    cell_by_cell_stages: int
    seconds: float
    """That all stages took or will take, as far as known."""

    cell_by_cell_seconds: float

    @property
    def saved_stages(self) -> int:
        """How many fewer are run."""
        return self.cell_by_cell_stages - self.stages

    @property
    def saved_seconds(self) -> float:
        """Of the known ones."""
        return self.cell_by_cell_seconds - self.seconds


@dataclass(frozen=True)
class Pace:
    """How fast a running stage goes on since the first look at it: not from its beginning, where it was resumed."""

    since: float
    """When that was, seconds."""

    share: float
    """What was done by then, in 0..1."""

    def rest(self, now: float, share: float) -> float | None:
        """Seconds until it ends; None before it has gone far enough to tell."""
        if share - self.share < _TELLING:
            return None
        return (1 - share) * (now - self.since) / (share - self.share)


def estimate(plan: Plan, cpus: int, gpus: float = 0.0) -> Estimate:
    """For what is missing, on one machine or a whole cluster with that many CPU cores and GPUs."""
    total = cpu_seconds = gpu_seconds = longest = 0.0
    known = missing = 0
    ends: dict[str, float] = {}  # of the chain of missing stages up to this one
    for key, item in plan.items.items():
        if item.state == "cached":
            continue
        missing += 1
        seconds = item.seconds or 0.0
        ends[key] = seconds + max((ends[need.key] for need in item.waits_for), default=0.0)
        known += item.seconds is not None
        longest = max(longest, ends[key])
        total += seconds
        cpu_seconds += seconds * _cores(item.stage, cpus)
        gpu_seconds += seconds * item.stage.resources.gpus
    return Estimate(
        stages=missing,
        estimated=known,
        seconds=total,
        wall_seconds=max(cpu_seconds / cpus, gpu_seconds / gpus if gpus else 0.0, longest),
        cpu_hours=cpu_seconds / 3600,
        gpu_hours=gpu_seconds / 3600,
    )


def sharing(plan: Plan) -> Sharing:
    """What the cells have in common."""
    return Sharing(
        stages=len(plan.items),
        cell_by_cell_stages=plan.unshared,
        seconds=sum(item.seconds or 0.0 for item in plan.items.values()),
        cell_by_cell_seconds=sum((item.seconds or 0.0) * item.cells for item in plan.items.values()),
    )


def _cores(stage: Stage, cpus: int) -> float:
    """That it keeps from others."""
    return cpus if stage.resources.exclusive else min(stage.resources.cpus, cpus)
