"""What a plan will take and what sharing saves: sums over the seconds of earlier stages."""

from __future__ import annotations

from dataclasses import dataclass

from harness.planning.plan import Plan
from harness.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected cost of the stages that are still to be run."""

    stages: int
    estimated: int
    """Number of them that have earlier stages of their kind; the sums below are over these."""

    seconds: float
    """Seconds one after the other."""

    wall_seconds: float
    """Lower bound on the available CPUs and GPUs: as if they were always busy."""

    cpu_hours: float
    gpu_hours: float


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Cost of every stage once, against every cell running its own."""

    stages: int
    cell_by_cell_stages: int
    seconds: float
    """Seconds that all stages took or will take, as far as known."""

    cell_by_cell_seconds: float

    @property
    def saved_stages(self) -> int:
        """Number of stages that sharing saves."""
        return self.cell_by_cell_stages - self.stages

    @property
    def saved_seconds(self) -> float:
        """Seconds that sharing saves, as far as known."""
        return self.cell_by_cell_seconds - self.seconds


def estimate(plan: Plan, cpus: int, gpus: float = 0.0) -> Estimate:
    """Return the cost of what is missing on a machine or cluster with that many CPU cores and GPUs."""
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
    """Return what the cells save by sharing stages."""
    return Sharing(
        stages=len(plan.items),
        cell_by_cell_stages=plan.unshared,
        seconds=sum(item.seconds or 0.0 for item in plan.items.values()),
        cell_by_cell_seconds=sum((item.seconds or 0.0) * item.cells for item in plan.items.values()),
    )


def _cores(stage: Stage, cpus: int) -> float:
    """Return the cores that a stage keeps from others."""
    return cpus if stage.resources.exclusive else min(stage.resources.cpus, cpus)
