"""Store → MLflow: one experiment a study, in it one parent run, one run a cell, one a training stage.

The only file that imports MLflow, and the driver is the only one that calls it. MLflow is a projection: delete it,
and the same command builds it again; where it cannot be reached, the study goes on, and its rows are kept beside the
store."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.plan import Plan
from harness.reasons import flatten
from harness.rows import (
    COLUMNS,
    NUMBERS,
    Row,
    keep_rows,
    kept_rows,
    make_rows,
    masks_of,
    remember,
    remembered,
    rows_digest,
)
from harness.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT, CELL, TRAINING = "study", "cell", "training"
_TEXT = 4900
"""Longest text of a tag, characters; servers take 5,000."""

_DIGEST = 36
"""Longest digest of an MLflow dataset, characters."""

_STATUS = {"done": "FINISHED", "not scored": "FINISHED", "failed": "FAILED", "waiting": "KILLED", "left out": "KILLED"}


def tracking_uri(home: Path) -> str:
    """MLFLOW_TRACKING_URI where the user has set it, else the database in the home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.absolute() / 'mlflow.db'}"


def record(plan: Plan, store: Store) -> list[Row]:
    """Keeps the rows of a plan and brings MLflow up to date with them; returns those of this plan.

    Twice makes no doubles, and what has not changed is not written. An MLflow that fails is reported on stderr."""
    rows = make_rows(plan, store)
    everything = keep_rows(store.home, plan.study.name, rows)
    if _is_current(store.home, plan.study.name):
        return rows
    with _tolerant("the rows are kept beside the store; the same command records them when it is back"):
        client = _client(store.home)
        experiment = _experiment(client, store.home, plan.study.name)
        parent = _parent(client, experiment, plan, rows)
        _cells(client, experiment, parent, plan, rows)
        _trainings(client, experiment, parent, plan, store)
        client.set_tag(parent, "rows", rows_digest(everything))
        remember(store.home, plan.study.name, recorded_at=tracking_uri(store.home), report="")
    return rows


def read_rows(home: Path, study: str) -> pd.DataFrame:
    """One row for every cell of a study, with the columns of `harness.rows.COLUMNS`, of all scales recorded.

    Read from MLflow; where it cannot be reached or lags behind, or where its local database is known to show them, from
    the rows kept beside the store."""
    kept = kept_rows(home.absolute(), study)
    rows: list[Row] = []
    if _is_current(home.absolute(), study):
        return pd.DataFrame(kept, columns=list(COLUMNS))
    with _tolerant("the rows kept beside the store are read instead"):
        client = _client(home.absolute())
        found = client.get_experiment_by_name(study)
        if found is not None:
            rows = _recorded(client, found.experiment_id, rows_digest(kept) if kept else None)
    return pd.DataFrame(rows or kept, columns=list(COLUMNS))


def log_report(home: Path, study: str, folder: Path) -> None:
    """Puts a report (tables, contact sheets) into the artifacts of the study's parent run, over the last one."""
    home = home.absolute()
    digest = _folder_digest(folder)
    if _is_current(home, study) and remembered(home, study, "report") == digest:
        return
    with _tolerant("the report is on disk only"):
        client = _client(home)
        found = client.get_experiment_by_name(study)
        runs = _runs(client, found.experiment_id, PARENT) if found is not None else {}
        for run in runs.values():
            client.log_artifacts(run.info.run_id, str(folder), "report")
        if _is_current(home, study):
            remember(home, study, report=digest)


def _folder_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _is_current(home: Path, study: str) -> bool:
    """Whether the database in the home shows the kept rows. Of a server nobody can know without asking."""
    local = not os.environ.get("MLFLOW_TRACKING_URI") and (home / "mlflow.db").is_file()
    return local and remembered(home, study, "recorded_at") == tracking_uri(home)


def _recorded(client: MlflowClient, experiment: str, expected: str | None) -> list[Row]:
    """The rows that MLflow holds; none if they are not those that are expected."""
    parents = _runs(client, experiment, PARENT)
    if expected and expected not in {run.data.tags.get("rows") for run in parents.values()}:
        return []
    rows = []
    for run in _runs(client, experiment, CELL).values():
        tags, metrics = run.data.tags, run.data.metrics
        row: Row = {column: tags.get(column, "") for column in COLUMNS}
        row |= {number: metrics.get(number) for number in NUMBERS}
        row |= {"seed": int(tags["seed"]), "sequences": int(tags["sequences"]), "analyses": "{}"}
        row["masks"] = masks_of(row["score_folder"])
        rows.append((row["scale"], row["data_kind"], int(tags["order"]), row))
    return [row for *_, row in sorted(rows, key=lambda entry: entry[:3])]


def _client(home: Path) -> MlflowClient:
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.db", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.ERROR)
    home.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri(home))


def _experiment(client: MlflowClient, home: Path, study: str) -> str:
    found = client.get_experiment_by_name(study)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id
    local = tracking_uri(home).startswith("sqlite:")
    place = (home / "mlartifacts" / study).as_uri() if local else None
    return client.create_experiment(study, artifact_location=place)


def _runs(client: MlflowClient, experiment: str, role: str, also: str = "") -> dict[str, Any]:
    """Runs of that role by their `id` tag; where there are two of one id, the other ones are deleted."""
    found: dict[str, Any] = {}
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.role = '{role}'{also}", max_results=1000, page_token=token)
        for run in page:
            if run.data.tags.get("id", "") in found:
                client.delete_run(run.info.run_id)
            found.setdefault(run.data.tags.get("id", ""), run)
        token = page.token
        if not token:
            return found


def _parent(client: MlflowClient, experiment: str, plan: Plan, rows: list[Row]) -> str:
    runs = _runs(client, experiment, PARENT)
    done = sum(row["status"] in {"done", "not scored"} for row in rows)
    tags = {
        "scale": plan.study.scale.name,
        "data_kind": plan.material.data_kind,
        "cells": f"{done}/{len(rows)}",
        "mlflow.note.content": plan.study.question,
    }
    if plan.study.name in runs:
        run = runs[plan.study.name].info.run_id
    else:
        tags |= {"role": PARENT, "id": plan.study.name, "study": plan.study.name}
        run = client.create_run(experiment, run_name=plan.study.name, tags=tags).info.run_id
    for name, value in tags.items():
        client.set_tag(run, name, value)
    client.set_terminated(run, "FINISHED" if done == len(rows) else "FAILED")
    return str(run)


def _cells(client: MlflowClient, experiment: str, parent: str, plan: Plan, rows: list[Row]) -> None:
    scale, kinds = plan.study.scale.name, {row["data_kind"] for row in rows}
    found = _runs(client, experiment, CELL, f" and tags.scale = '{scale}'")
    current = set()
    for order, (cell, row) in enumerate(zip(plan.cells, rows, strict=True)):
        name = f"{scale}/{row['data_kind']}/{cell.name}"
        current.add(name)
        digest = rows_digest([{**row, "order": order, "parent": parent}])
        if name in found:
            if found[name].data.tags.get("digest") == digest:
                continue
            client.delete_run(found[name].info.run_id)
        tags = {column: _text(row[column]) for column in COLUMNS if column not in {*NUMBERS, "masks", "analyses"}}
        tags |= {"role": CELL, "id": name, "order": str(order), "digest": digest, "mlflow.parentRunId": parent}
        tags |= {
            "stage.score": cell.score.key if cell.score else "",
            "stage.time": cell.timing.key if cell.timing else "",
        }
        params = {key: _text(value) for key, value in flatten(cell.variant.config.model_dump(mode="json")).items()}
        params = {"variant": row["variant"], "benchmark": row["benchmark"], "seed": str(row["seed"]), **params}
        with _run(client, experiment, f"{cell.variant.name} {cell.benchmark} {cell.seed}", tags, row["status"]) as run:
            _log(client, run, {number: row[number] for number in NUMBERS}, params)
            _log_dataset(client, run, row)
            for file in ("objects.csv", "sequences.csv", "total.json"):
                if row["score_folder"]:
                    client.log_artifact(run, str(Path(row["score_folder"]) / file))
    for name, run in found.items():
        if name not in current and run.data.tags.get("data_kind") in kinds:
            client.delete_run(run.info.run_id)  # of a cell that the study no longer has


def _trainings(client: MlflowClient, experiment: str, parent: str, plan: Plan, store: Store) -> None:
    """A run for every published stage that left curves."""
    found: dict[str, Any] | None = None
    for key, item in plan.items.items():
        stage = item.stage
        curves = store.folder(stage.name, key) / "curves.csv"
        if not curves.is_file():
            continue
        found = _runs(client, experiment, TRAINING) if found is None else found
        if key in found:
            continue
        manifest = store.manifest(stage.name, key) or {}
        provenance = manifest.get("provenance", {})
        tags = {"role": TRAINING, "id": key, "stage": stage.name, "scale": plan.study.scale.name}
        tags |= {"mlflow.parentRunId": parent, "study": plan.study.name, "hardware": provenance.get("hardware", "")}
        with _run(client, experiment, stage.label, tags, "done") as run:
            _log_curves(client, run, curves)
            params = {key: _text(value) for key, value in flatten(stage.identity["config"]).items()}
            _log(client, run, {"seconds": provenance.get("seconds")}, params)


@contextmanager
def _run(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str], status: str) -> Iterator[str]:
    """A new run that is there whole or not at all."""
    run = client.create_run(experiment, run_name=name, tags={**tags, "role": "incomplete"}).info.run_id
    yield run
    client.set_tag(run, "role", tags["role"])
    client.set_terminated(run, _STATUS[status])


def _log(client: MlflowClient, run: str, numbers: Mapping[str, float | None], params: Mapping[str, str]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(name, float(value), now, 0) for name, value in numbers.items() if value is not None]
    pairs = [Param(name, value) for name, value in params.items()]
    for start in range(0, max(len(pairs), 1), 100):  # a server takes 100 at once
        client.log_batch(run, metrics=metrics if start == 0 else [], params=pairs[start : start + 100])


def _log_curves(client: MlflowClient, run: str, curves: Path) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    with curves.open(newline="", encoding="utf-8") as file:
        metrics = [Metric(row["name"], float(row["value"]), now, int(row["step"])) for row in csv.DictReader(file)]
    for start in range(0, len(metrics), 1000):
        client.log_batch(run, metrics=metrics[start : start + 1000])


def _log_dataset(client: MlflowClient, run: str, row: Row) -> None:
    if not row["protocol"]:
        return
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": Path(row["data_root"]).as_uri()})
    dataset = Dataset(row["benchmark"], row["protocol"][:_DIGEST], "local", source)
    client.log_inputs(run, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "evaluation")])])


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


@contextmanager
def _tolerant(instead: str) -> Iterator[None]:
    """MLflow's failures as a line on stderr."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # requests raises OSErrors
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        print(
            f"warning: MLflow at {os.environ.get('MLFLOW_TRACKING_URI') or 'the home'}: {first}; {instead}",
            file=sys.stderr,
        )
