"""What MLflow is to show of a study, as plain values: a parent run, a run per cell, a run per training stage.

Nothing here knows MLflow. The values are saved next to the store (`<home>/records/<study>.json`), so that MLflow can be
rebuilt without the data, the plan and the code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.fingerprint import digest_of
from harness.method import ServesNetworks
from harness.planning.invalidation import flatten
from harness.planning.plan import Cell, Plan
from harness.results.cell import CellResult
from harness.results.collect import SCORE_FILES, collect_results
from harness.results.study_file import portable
from harness.stage import Data, Stage, closure
from harness.store.local import Store

PARENT, CELL, TRAINING = "study", "cell", "training"
TRAININGS = "stage.trainings"
"""Tag of a cell: keys of the trainings whose networks it reads, separated by spaces."""

GROUP = ("origin", "scale", "data_kind")
"""Tags of a cell: fields of `CellResult.group`."""

NUMBERS = ("seconds_per_frame", "timed_objects")
"""Fields of a result that MLflow shows as metrics besides its measures."""

PLACES = ("score_folder", "data_root")
"""Tags of a cell: folders, which change when the home is moved."""

TAGS = tuple(one.name for one in fields(CellResult) if one.name not in {"values", *NUMBERS, "masks", "analyses"})
"""Fields of a result that MLflow shows as tags; folders of masks and analyses make sense on this machine only."""

_TEXT = 4900
"""Longest text of a tag, characters; servers take 5,000."""

OF_A_TRAINING = frozenset({"seconds", "samples_per_second", "waiting_share"})
"""Metrics of the run of a training that are one number for all of it; its other metrics are curves."""

_STATUS = {"done": "FINISHED", "not scored": "FINISHED", "failed": "FAILED", "waiting": "KILLED", "skipped": "KILLED"}


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run that MLflow is to show. All values are plain, since it is saved as JSON."""

    id: str
    """Unique among the runs of its role in one study of one home."""

    role: str
    name: str
    status: str = "FINISHED"
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None
    """Seconds since the epoch; None for the time at which it is written."""

    ended: float | None = None
    datasets: tuple[Mapping[str, Any], ...] = ()
    """name, digest, source (a path), context, profile (a mapping)."""

    files: tuple[str, ...] = ()
    analyses: Mapping[str, str] = field(default_factory=dict)
    """Name → folder whose files are shown under that name."""

    curves: str = ""
    """CSV file with `step,name,value`; empty if there is none."""

    model: Mapping[str, Any] | None = None
    """name, folder, files, and what the method says about it (`harness.method.Method`); None if there is no network."""

    uses: tuple[str, ...] = ()
    """Ids of the training runs whose networks it reads."""

    def digest(self, home: Path) -> str:
        """Return the SHA-256 of all fields, with paths relative to the home."""
        return digest_of(portable(asdict(self), home))

    @property
    def group(self) -> tuple[str, ...]:
        """Origin, scale and data kind of a cell, as `CellResult.group`."""
        return tuple(self.tags.get(name, "") for name in GROUP)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> RunSpec:
        """Return the run with these fields, read from JSON. Raises StoreError for an unknown field."""
        lists = {name: tuple(document.get(name, ())) for name in ("datasets", "files", "uses")}
        try:
            return cls(**{**document, **lists})
        except TypeError as error:
            raise StoreError(f"not a run of this version ({error})") from None


def describe_cells(
    plan: Plan, store: Store, cells: Iterable[Cell] | None = None, results: list[CellResult] | None = None
) -> list[RunSpec]:
    """Return the runs of these cells of a plan (default: all) and of the trainings that they need.

    `results`: those of the cells, if they are known already."""
    wanted = plan.cells if cells is None else tuple(cells)
    needed = [closure(cell.targets).keys() for cell in wanted]
    keys = plan.items if cells is None else dict.fromkeys(key for reached in needed for key in reached)
    if results is None:
        results = collect_results(replace(plan, cells=wanted, items={key: plan.items[key] for key in keys}), store)
    trainings = {run.id: run for key in keys if (run := describe_training(plan, store, key)) is not None}
    order = {cell.name: number for number, cell in enumerate(plan.cells)}
    runs = [
        _measured(cell, result, order[cell.name], sorted(trainings.keys() & reached), store)
        for cell, result, reached in zip(wanted, results, needed, strict=True)
    ]
    return [*sorted(trainings.values(), key=lambda run: run.started or 0.0), *runs]


def describe_study(plan: Plan, *, filled: int, planned: int, running: bool = False) -> RunSpec:
    """Return the parent run of a study with that many cells filled."""
    return RunSpec(
        id=plan.study.name,
        role=PARENT,
        name=plan.study.name,
        status="RUNNING" if running else "FINISHED" if filled == planned else "FAILED",
        tags={
            "study": plan.study.name,
            "scale": plan.study.scale.name,
            "data_kind": plan.inputs.data_kind,
            "cells": f"{filled}/{planned}",
            "mlflow.note.content": plan.study.question,
        },
        metrics={"cells_planned": float(planned), "cells_filled": float(filled)},
    )


def describe_training(plan: Plan, store: Store, key: str) -> RunSpec | None:
    """Return the run of a published stage that wrote curves; None for any other stage."""
    stage = plan.items[key].stage
    folder = store.folder(stage.name, key)
    manifest = store.manifest(stage.name, key) if (folder / "curves.csv").is_file() else None
    if manifest is None:
        return None
    tags = {"study": plan.study.name, "scale": plan.study.scale.name, "stage": stage.name, "stage.key": key}
    tags |= {"hardware": manifest.hardware} | {f"data.{role}": item.digest for role, item in stage.data.items()}
    if manifest.revision:
        tags["mlflow.source.git.commit"] = manifest.revision
    return RunSpec(
        id=key,
        role=TRAINING,
        name=stage.label,
        tags=tags,
        params={name: as_text(value) for name, value in flatten(manifest.identity.config).items()},
        metrics=({} if manifest.seconds is None else {"seconds": manifest.seconds}) | _throughput(folder),
        started=manifest.provenance.get("started"),
        ended=manifest.span[1] if manifest.span else None,
        datasets=tuple(_training_data(item) for item in stage.data.values()),
        curves=str(folder / "curves.csv"),
        model=_model(plan, stage, folder),
    )


def _throughput(folder: Path) -> dict[str, float]:
    """Return how fast a training was: samples per second, and the share of its time that it waited for them."""
    path = folder / "throughput.json"
    found: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def describe_result(result: CellResult, params: Mapping[str, str], order: int = 0) -> RunSpec:
    """Return the run of a cell, from its result alone. `order`: place of the cell in its study."""
    tags, folder = tags_of(result), Path(result.score_folder)
    shown = ("variant", "method", "benchmark", "origin", "scale", "data_kind", "seed")
    data: tuple[Mapping[str, Any], ...] = ()
    if result.protocol:
        profile = {"sequences": result.sequences}
        data = (_dataset(result.benchmark, result.protocol, result.data_root, "evaluation", profile),)
    return RunSpec(
        id=result.id,
        role=CELL,
        name=f"{result.method_label if result.submitted else result.variant} {result.benchmark} {result.seed}",
        status=_STATUS[result.status],
        tags={**tags, "order": str(order)},
        params={**{name: tags[name] for name in shown}, **params},
        metrics=metrics_of(result),
        datasets=data,
        files=tuple(str(folder / name) for name in SCORE_FILES if result.score_folder and (folder / name).is_file()),
        analyses=dict(result.analyses),
    )


def tags_of(result: CellResult) -> dict[str, str]:
    """Return the fields of a result that MLflow shows as tags."""
    document = result.to_dict()
    return {name: as_text(document[name]) for name in TAGS}


def metrics_of(result: CellResult) -> dict[str, float]:
    """Return the numbers of a result that are known."""
    numbers = {name: getattr(result, name) for name in NUMBERS}
    return {name: float(value) for name, value in {**result.values, **numbers}.items() if value is not None}


def as_text(value: Any) -> str:
    """Return a value as tags and parameters hold it: text as it is, anything else as JSON; long texts are cut."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _measured(cell: Cell, result: CellResult, order: int, trainings: list[str], store: Store) -> RunSpec:
    params = {key: as_text(value) for key, value in flatten(cell.variant.config.model_dump(mode="json")).items()}
    run = describe_result(result, params, order)
    stages = {"stage.score": cell.score.key if cell.score else "", "stage.time": cell.timing.key if cell.timing else ""}
    stages[TRAININGS] = as_text(" ".join(trainings))
    manifests = [manifest for stage in cell.targets if (manifest := store.manifest(stage.name, stage.key))]
    spans = [manifest.span for manifest in manifests if manifest.span]
    return replace(
        run,
        tags={**run.tags, **stages},
        started=min((begin for begin, _ in spans), default=None),
        ended=max((end for _, end in spans), default=None),
        uses=tuple(trainings),
    )


def _training_data(data: Data) -> dict[str, Any]:
    value = data.value
    profile = {"sequences": len(value), "frames": sum(map(len, value))} if isinstance(value, tuple) else {}
    return _dataset(
        data.name, data.digest, os.fspath(value) if isinstance(value, os.PathLike) else "", "training", profile
    )


def _dataset(name: str, digest: str, source: str, context: str, profile: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "digest": digest, "source": source, "context": context, "profile": dict(profile)}


def _model(plan: Plan, stage: Stage, folder: Path) -> dict[str, Any] | None:
    """Return what the method of a stage says about the network that the stage wrote."""
    for method in {variant.method: variant.implementation for variant in plan.study.variants}.values():
        network = method.served_network(stage) if isinstance(method, ServesNetworks) else None
        if network is not None:
            if missing := ", ".join(file for file in network.files if not (folder / file).is_file()):
                raise StoreError(f"{folder}: {network.loader} expects {missing}, which {stage.label} did not write")
            label = stage.label.replace(",", "").replace("(", "").replace(")", "").split()[1:]
            return {"name": "-".join(label) or stage.name, "folder": str(folder), **asdict(network)}
    return None
