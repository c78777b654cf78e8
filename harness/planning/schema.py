"""The plan as JSON, described in docs/plans.md. Fields of schema 1 stay as they are; more may be added."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from harness.planning.estimate import estimate, sharing
from harness.planning.plan import Cell, Item, Plan

SCHEMA = 1


def plan_json(plan: Plan, *, cpus: int, gpus: float = 0.0) -> dict[str, Any]:
    """Return the whole plan as values that JSON can hold."""
    states = Counter(item.state for item in plan.items.values())
    return {
        "schema": SCHEMA,
        "study": plan.study.name,
        "scale": plan.study.scale.name,
        "data_kind": plan.inputs.data_kind,
        "data_root": str(plan.inputs.root),
        "totals": {
            "cells": len(plan.cells),
            "stages": len(plan.items),
            "cached": states["cached"],
            "to_run": states["to run"],
            "waiting": states["waiting"],
            "elsewhere": len(plan.elsewhere),
        },
        "expected": {"cpus": cpus, "gpus": gpus, **asdict(estimate(plan, cpus, gpus))},
        "sharing": asdict(sharing(plan)),
        "left_out": list(plan.omissions),
        "partial": dict(plan.inputs.partial),
        "notes": list(plan.notes),
        "cells": [_cell(cell) for cell in plan.cells],
        "stages": [_stage(key, item) for key, item in plan.items.items()],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.name,
        "variant": cell.variant.name,
        "benchmark": cell.benchmark,
        "seed": cell.seed,
        "stages": [stage.key for stage in cell.targets],
        "left_out": list(cell.omitted),
        "reason": cell.reason,
    }


def _stage(key: str, item: Item) -> dict[str, Any]:
    stage, reason = item.stage, item.reason
    return {
        "key": key,
        "kind": stage.name,
        "label": stage.label,
        "run": stage.run,
        "state": item.state.replace(" ", "_"),
        "reason": item.why,
        "changes": [asdict(change) for change in reason.changes] if reason else [],
        "failure": reason.failure if reason else "",
        "seconds": item.seconds,
        "needs": [need.key for need in stage.needs.values()],
        "waits_for": [need.key for need in item.waits_for],
        "cells": item.cells,
        "cpus": stage.resources.cpus,
        "gpus": stage.resources.gpus,
        "exclusive": stage.resources.exclusive,
    }
