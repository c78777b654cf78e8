"""Collects the results of a plan from the store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import read_json
from harness.planning.plan import NOT_SCORED, Cell, Plan
from harness.results.cell import WHOLE_PROCESS, CellResult, Status
from harness.score import MEASURES
from harness.stage import Stage
from harness.store.local import Store
from harness.store.manifest import MANIFEST

SCORE_FILES = ("frames.csv", "objects.csv", "sequences.csv", "total.json")
"""The files of a cell's scores that MLflow shows too, so that a report needs no store."""


def collect_results(plan: Plan, store: Store) -> list[CellResult]:
    """Return the result of every cell of a plan, in its order. Raises StoreError if a score file cannot be read."""
    folders = {key: store.folder(item.stage.name, key) for key, item in plan.items.items()}
    published = {key: folder for key, folder in folders.items() if (folder / MANIFEST).exists()}
    failures = {key: store.failure(key) for key in store.failed_keys() if key in plan.items and key not in published}
    errors = {key: failure.error.splitlines()[0] for key, failure in failures.items() if failure is not None}
    return [_result(cell, plan, published, errors) for cell in plan.cells]


def read_values(score_folder: Path) -> dict[str, float]:
    """Return the measures in a score folder that have a finite value. Raises StoreError if it cannot be read."""
    found = {name: _number(value) for name, value in _read(score_folder / "total.json").items() if name in MEASURES}
    return {name: value for name, value in found.items() if value is not None}


def _result(cell: Cell, plan: Plan, published: Mapping[str, Path], errors: Mapping[str, str]) -> CellResult:
    inputs = plan.inputs.benchmarks.get(cell.benchmark)
    result = CellResult(
        study=plan.study.name,
        variant=cell.variant.name,
        method=cell.variant.method,
        method_label=cell.variant.implementation.label,
        benchmark=cell.benchmark,
        benchmark_title=inputs.protocol.title if inputs else cell.benchmark,
        seed=cell.seed,
        scale=plan.study.scale.name,
        data_kind=inputs.data_kind if inputs else plan.inputs.data_kind,
        protocol=inputs.fingerprint if inputs else "",
        status="skipped",
        reason=cell.reason,
        omitted=cell.omitted,
        options=cell.variant.options,
        sequences=len(inputs.sequences) if inputs else 0,
        extent=inputs.extent if inputs else "",
        measures=inputs.protocol.measures if inputs else (),
        data_root=str(plan.inputs.root),
    )
    if not cell.segment:
        return result
    status, reason = _status(cell, published, errors)
    result = replace(result, status=status, reason=reason, analyses=_folders(cell.analyses, published))
    if cell.score is not None and cell.score.key in published:
        folder = published[cell.score.key]
        result = replace(result, score_folder=str(folder), values=read_values(folder))
    if result.score_folder or status == "not scored":
        result = replace(result, masks=_folders(cell.segment, published, "masks"))
    if cell.timing is not None and cell.timing.key in published:
        timing = _read(published[cell.timing.key] / "timing.json")
        objects = _number(timing.get("objects"))
        measured = f" ({WHOLE_PROCESS})" if timing.get("measured") == "process" else ""
        result = replace(
            result,
            seconds_per_frame=_number(timing.get("seconds_per_frame")),
            timed_objects=None if objects is None else int(objects),
            hardware=f"{cell.timing.machine}{measured}",
        )
    return result


def _folders(stages: Mapping[str, Stage], published: Mapping[str, Path], inside: str = "") -> dict[str, str]:
    return {name: str(published[stage.key] / inside) for name, stage in stages.items() if stage.key in published}


def _status(cell: Cell, published: Mapping[str, Path], errors: Mapping[str, str]) -> tuple[Status, str]:
    """Return status and reason: failed if a target failed, waiting if a need of one failed or has not run."""
    targets = {stage.key for stage in cell.targets}
    scored = cell.score is not None and cell.score.key in published
    for stage in _unpublished(cell, published):
        if stage.key in errors:
            message = f"{stage.label}: {errors[stage.key]}"
            if stage.key not in targets:
                return "done" if scored else "waiting", f"need failed: {message}"
            return "done" if scored else "failed", message
    if scored:
        timed = cell.timing is None or cell.timing.key in published
        analyzed = all(stage.key in published for stage in cell.analyses.values())
        return "done", "not timed yet" if not timed else "" if analyzed else "not analyzed yet"
    if cell.score is None and targets <= published.keys():
        return "not scored", NOT_SCORED
    return "waiting", "not run yet"


def _unpublished(cell: Cell, published: Mapping[str, Path]) -> Iterator[Stage]:
    """Yield the targets that are not published, and the unpublished stages that those need."""
    pending, seen = list(cell.targets), set()
    while pending:
        stage = pending.pop()
        if stage.key not in seen and stage.key not in published:
            seen.add(stage.key)
            yield stage
            pending += stage.needs.values()


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if content is None:
        raise StoreError(f"{path}: cannot be read; delete its folder and give the same command again")
    return content


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
