"""Plan + store → what MLflow is to show, as plain values: a parent run, a run a cell, a run a training stage.

Knows no MLflow. The values are kept beside the store (<home>/records/<study>.json), so that MLflow can be rebuilt
without the data, the plan and the code that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import locked, read_json, write_json
from harness.method import ServesNetworks, find_method
from harness.planning.invalidation import flatten
from harness.planning.plan import Cell, Plan
from harness.results.rows import COLUMNS, HERE, NUMBERS, SCORES, Row, is_filled, is_planned, make_rows, submitted_id
from harness.stage import Data, Stage
from harness.store.local import Store

PARENT, CELL, TRAINING = "study", "cell", "training"
TRAININGS = "stage.trainings"
"""Tag of a cell: keys of the trainings whose networks it reads, between spaces."""

_TEXT = 4900
"""Longest text of a tag, characters; servers take 5,000."""

_STATUS = {"done": "FINISHED", "not scored": "FINISHED", "failed": "FAILED", "waiting": "KILLED", "left out": "KILLED"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as MLflow is to show it. Everything is plain: it is kept as JSON."""

    id: str
    """Unique among the runs of its role in one study of one home."""

    role: str
    name: str
    status: str = "FINISHED"
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None
    """Seconds since the epoch; None: when it is written."""

    ended: float | None = None
    datasets: tuple[Mapping[str, Any], ...] = ()
    """name, digest, source (a path), context, profile (a mapping)."""

    files: tuple[str, ...] = ()
    analyses: Mapping[str, str] = field(default_factory=dict)
    """Name → folder, whose files are shown under that name."""

    curves: str = ""
    """`step,name,value` in a CSV file; empty if there is none."""

    model: Mapping[str, Any] | None = None
    """name, folder, files, and what the method says of it (`harness.method.Method`); None if it leaves none."""

    uses: tuple[str, ...] = ()
    """Ids of the training runs whose networks it reads."""

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def project(plan: Plan, store: Store, cells: Iterable[Cell] | None = None, rows: list[Row] | None = None) -> list[Run]:
    """The runs of these cells of a plan (default: all) and of the trainings that they need. `rows`: if known."""
    wanted = plan.cells if cells is None else tuple(cells)
    needed = [_closure(cell) for cell in wanted]
    together = frozenset(plan.items) if cells is None else frozenset().union(*needed)
    if rows is None:
        part = replace(plan, cells=wanted, items={key: plan.items[key] for key in together})
        rows = make_rows(part, store)
    trainings = {run.id: run for key in together if (run := project_training(plan, store, key)) is not None}
    order = {cell.name: number for number, cell in enumerate(plan.cells)}
    runs = [
        _cell(cell, row, order[cell.name], sorted(trainings.keys() & reached), store)
        for cell, row, reached in zip(wanted, rows, needed, strict=True)
    ]
    return [*sorted(trainings.values(), key=lambda run: run.started or 0.0), *runs]


def parent(plan: Plan, rows: list[Row]) -> Run:
    """The run of the study, which all others hang on, at its end."""
    planned = [row for row in rows if is_planned(row)]
    return parent_run(plan, filled=sum(map(is_filled, planned)), planned=len(planned))


def parent_run(plan: Plan, *, filled: int, planned: int, running: bool = False) -> Run:
    """The run of the study with that many cells filled."""
    return Run(
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


def project_training(plan: Plan, store: Store, key: str) -> Run | None:
    """The run of a published stage that left curves; None if it is none."""
    stage = plan.items[key].stage
    folder = store.folder(stage.name, key)
    manifest = store.manifest(stage.name, key) if (folder / "curves.csv").is_file() else None
    if manifest is None:
        return None
    data = {f"data.{role}": item.digest for role, item in stage.data.items()}
    tags = {"study": plan.study.name, "scale": plan.study.scale.name, "stage": stage.name, "stage.key": key}
    tags |= {"hardware": manifest.hardware, **data}
    if manifest.revision:
        tags["mlflow.source.git.commit"] = manifest.revision
    started, ended = manifest.span or (None, None)
    return Run(
        id=key,
        role=TRAINING,
        name=stage.label,
        tags=tags,
        params={name: as_text(value) for name, value in flatten(manifest.identity.config).items()},
        metrics={} if manifest.seconds is None else {"seconds": manifest.seconds},
        started=started,
        ended=ended,
        datasets=tuple(_training_data(item) for item in stage.data.values()),
        curves=str(folder / "curves.csv"),
        model=_model(plan, stage, folder),
    )


def _cell(cell: Cell, row: Row, order: int, trainings: list[str], store: Store) -> Run:
    params = {key: as_text(value) for key, value in flatten(cell.variant.config.model_dump(mode="json")).items()}
    times = _times(cell, store)
    run = _of_row(row, order, {"seed": str(row["seed"]), **params})
    stages = {"stage.score": cell.score.key if cell.score else "", "stage.time": cell.timing.key if cell.timing else ""}
    stages[TRAININGS] = as_text(" ".join(trainings))
    return replace(
        run,
        id=f"{row['scale']}/{row['data_kind']}/{cell.name}",
        name=f"{cell.variant.name} {cell.benchmark} {cell.seed}",
        tags={**run.tags, **stages},
        started=times[0],
        ended=times[1],
        uses=tuple(trainings),
    )


def _of_row(row: Row, order: int, params: Mapping[str, str]) -> Run:
    """What a run says of its row alone; its id and name are those of masks that were handed in."""
    tags = {column: as_text(row[column]) for column in COLUMNS if column not in {*NUMBERS, *HERE}}
    given = {name: row[name] for name in ("variant", "method", "benchmark", "scale", "data_kind")}
    folder = row["score_folder"]
    data: tuple[Mapping[str, Any], ...] = ()
    if row["protocol"]:
        profile = {"sequences": row["sequences"]}
        data = (_dataset(row["benchmark"], row["protocol"], row["data_root"], "evaluation", profile),)
    return Run(
        id=submitted_id(row),
        role=CELL,
        name=f"{row['variant']} {row['benchmark']}",
        status=_STATUS[row["status"]],
        tags={**tags, "order": str(order)},
        params={**given, **params},
        metrics={number: float(row[number]) for number in NUMBERS if row[number] is not None},
        datasets=data,
        files=tuple(str(Path(folder) / name) for name in SCORES if folder and (Path(folder) / name).is_file()),
        analyses=json.loads(row["analyses"]),
    )


def _times(cell: Cell, store: Store) -> tuple[float | None, float | None]:
    """When the first of the cell's own stages began, and when the last one ended."""
    manifests = (store.manifest(stage.name, stage.key) for stage in cell.targets)
    spans = [manifest.span for manifest in manifests if manifest and manifest.span]
    return (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else (None, None)


def _training_data(data: Data) -> dict[str, Any]:
    value = data.value
    profile = {"sequences": len(value), "frames": sum(map(len, value))} if isinstance(value, tuple) else {}
    return _dataset(data.name, data.digest, str(value) if isinstance(value, Path) else "", "training", profile)


def _dataset(name: str, digest: str, source: str, context: str, profile: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "digest": digest, "source": source, "context": context, "profile": dict(profile)}


def _model(plan: Plan, stage: Stage, folder: Path) -> dict[str, Any] | None:
    """What the method of the stage says of the network that it has left."""
    for name in dict.fromkeys(variant.method for variant in plan.study.variants):
        method = find_method(name, name)
        network = method.served_network(stage) if isinstance(method, ServesNetworks) else None
        if network is not None:
            missing = [file for file in network.files if not (folder / file).is_file()]
            if missing:
                message = f"{network.loader} expects {', '.join(missing)}, which {stage.label} has not left"
                raise StoreError(f"{folder}: {message}")
            words = "-".join(stage.label.replace(",", "").replace("(", "").replace(")", "").split()[1:])
            return {"name": words or stage.name, "folder": str(folder), **asdict(network)}
    return None


def _closure(cell: Cell) -> frozenset[str]:
    """Keys of the cell's stages and of all that they need."""
    seen: set[str] = set()
    work = list(cell.targets)
    while work:
        stage = work.pop()
        if stage.key not in seen:
            seen.add(stage.key)
            work += stage.needs.values()
    return frozenset(seen)


def as_text(value: Any) -> str:
    """As tags and parameters hold it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def records_file(home: Path, study: str) -> Path:
    """Where what MLflow is to show of a study is kept."""
    return home / "records" / f"{study}.json"


def keep(home: Path, study: str, runs: Collection[Run]) -> list[Run]:
    """Keeps the runs of one scale and data kind in the place of their former ones; returns all of the study.

    Raises StoreError where the home cannot be written."""
    with _changing(home, study):
        return _replace(home, study, runs)


def _replace(home: Path, study: str, runs: Collection[Run]) -> list[Run]:
    new = {_part(run) for run in runs if run.role == CELL}
    ours = {(run.role, run.id) for run in runs}
    before = kept(home, study)
    others = [run for run in before if run.role == CELL and _part(run) not in new]
    used = {key for run in others for key in run.uses}
    others += [run for run in before if run.role == TRAINING and run.id in used and (run.role, run.id) not in ours]
    everything = [*others, *runs]
    if everything != before:
        write_json(records_file(home, study), {"study": study, "runs": [asdict(run) for run in everything]})
    return everything


@contextmanager
def _changing(home: Path, study: str) -> Iterator[None]:
    """Other runs keep off the records meanwhile."""
    path = records_file(home, study)
    try:
        with locked(path):
            yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); free it or give another --home") from None


def keep_submitted(home: Path, study: str, row: Row, params: Mapping[str, str]) -> list[Run]:
    """Keeps the run of masks that were handed in beside what is kept of the study, which need not have been run.
    Returns all of the study. Raises StoreError where the home cannot be written."""
    with _changing(home, study):
        return _replace(home, study, _with_submitted(home, study, row, params))


def _with_submitted(home: Path, study: str, row: Row, params: Mapping[str, str]) -> list[Run]:
    before = kept(home, study)
    note = {"study": study, "mlflow.note.content": "Masks that were handed in, scored here."}
    top = [run for run in before if run.role == PARENT] or [Run(id=study, role=PARENT, name=study, tags=note)]
    run = _of_row(row, 0, params)
    alike = [one for one in before if one.role == CELL and _part(one) == _part(run) and one.id != run.id]
    return [*top, *alike, run]


def kept(home: Path, study: str) -> list[Run]:
    """What MLflow is to show of a study, as it was kept; nothing if the study was never run here."""
    return list(_read(read_json(records_file(home, study)) or {}))


def kept_studies(home: Path) -> list[str]:
    """Names of the studies that were run in this home."""
    return sorted(path.stem for path in (home / "records").glob("*.json"))


def digest_of(runs: Iterable[Run]) -> str:
    """SHA-256 of the runs."""
    return hashlib.sha256("".join(run.digest for run in runs).encode()).hexdigest()


def _part(run: Run) -> tuple[str, str]:
    return run.tags.get("scale", ""), run.tags.get("data_kind", "")


def _read(content: Mapping[str, Any]) -> Iterator[Run]:
    for entry in content.get("runs", []):
        if {"id", "role", "name"} <= set(entry) <= set(Run.__dataclass_fields__):  # else of a newer version
            lists = {name: tuple(entry.get(name, ())) for name in ("datasets", "files", "uses")}
            yield Run(**{**entry, **lists})
