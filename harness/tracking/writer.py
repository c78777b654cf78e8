"""Runs as `harness.tracking.run_spec` describes them → MLflow. The only file that imports MLflow."""

from __future__ import annotations

import csv
import json
import logging
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files import locked
from harness.memory import collector_paused
from harness.store.local import store_id
from harness.tracking.run_spec import CELL, PARENT, TRAINING, RunSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient

_INCOMPLETE = "incomplete"
"""Role of a run that is being written."""

_DIGEST = 36
"""Longest digest of an MLflow dataset, characters."""

_FEW = 20
"""Runs that are looked up one by one; for more, all are read."""


def tracking_uri(home: Path) -> str:
    """MLFLOW_TRACKING_URI where the user has set it, else the database in the home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.absolute() / 'mlflow.db'}"


def errors() -> tuple[type[Exception], ...]:
    """What MLflow and its back ends raise where they fail."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError  # requests raises OSErrors


class Publisher:
    """Writes runs of one study of one home into MLflow. Its methods raise MlflowException or OSError."""

    def __init__(self, home: Path, study: str) -> None:
        self.home = home.absolute()
        self.study = study
        self.client = connect(self.home)
        self.store = store_id(self.home)
        self.experiment = self._experiment()
        self.root = ""
        self.models: dict[str, str] = {}
        """Id of a training run → id of its model."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds off other processes of this home that write to MLflow."""
        with locked(self.home / "records" / "mlflow"):
            yield

    def publish(self, runs: Sequence[RunSpec], *, everything: bool = False) -> int:
        """Makes MLflow show these runs, each once; with `everything`, no others of this study and home.

        Returns how many had to be written. Only inside `locked`."""
        found = self._found(None if everything else [run.id for run in runs])
        written = 0
        for run in sorted(runs, key=lambda run: (PARENT, TRAINING, CELL).index(run.role)):
            old = found.pop((run.role, run.id), None)
            if old is not None and old.data.tags.get("digest") == run.digest:
                self._remember_model(run, old.data.tags)
                continue
            if run.role == PARENT:
                self._put_parent(run, old)
            else:
                self._delete(old)
                self._write(run)
            written += 1
        if everything:
            for old in found.values():
                self._delete(old)
            self._delete_orphans()
        return written

    def log_report(self, folder: Path) -> None:
        """See the function."""
        with self.locked():
            for run in self._search(f"tags.id = '{self.study}' and tags.role = '{PARENT}'"):
                self.client.log_artifacts(run.info.run_id, str(folder), "report")

    def _put_parent(self, run: RunSpec, old: Any) -> None:
        """The one run that is changed in place: its address is what people keep."""
        tags = {**run.tags, "digest": run.digest}
        if old is None:
            tags |= {"role": PARENT, "id": run.id, "store": self.store}
            self.root = self.client.create_run(self.experiment, run_name=run.name, tags=tags).info.run_id
        else:
            self.root = old.info.run_id
        self._log(self.root, run.metrics, {}, tags if old is not None else {})
        if run.status == "RUNNING":
            self.client.update_run(self.root, "RUNNING")
        else:
            self.client.set_terminated(self.root, run.status)

    def _write(self, run: RunSpec) -> None:
        """A new run that is there whole or not at all: until it is whole, its role says so."""
        tags = {**run.tags, "id": run.id, "store": self.store, "mlflow.parentRunId": self._root()}
        made = self.client.create_run(
            self.experiment, _milliseconds(run.started), {**tags, "role": _INCOMPLETE}, run_name=run.name
        )
        new = made.info.run_id
        self._log(new, run.metrics, run.params)
        if run.curves:
            self._log_curves(new, Path(run.curves), run)
        self._log_inputs(new, run)
        for file in run.files:
            self.client.log_artifact(new, file)
        for name, folder in run.analyses.items():
            self.client.log_artifacts(new, folder, name)
        done = {"role": run.role, "digest": run.digest}
        if run.model is not None:
            done["model"] = self.models[run.id] = self._log_model(new, run.id, run.model)
        self.client.set_terminated(new, run.status, _milliseconds(run.ended))
        self._log(new, {}, {}, done)

    def _log(
        self, run: str, numbers: Mapping[str, float], params: Mapping[str, str], tags: Mapping[str, str] | None = None
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
        pairs = [Param(name, value) for name, value in params.items()]
        marks = [RunTag(name, value) for name, value in (tags or {}).items()]
        for start in range(0, max(len(pairs), 1), 100):  # a server takes 100 at once
            first = start == 0
            part = pairs[start : start + 100]
            self.client.log_batch(run, metrics=metrics if first else [], params=part, tags=marks if first else [])

    def _log_curves(self, run: str, curves: Path, whole: RunSpec) -> None:
        """Over steps, and over the time that the training took, as if all its steps took alike."""
        from mlflow.entities import Metric

        with curves.open(newline="", encoding="utf-8") as file:
            points = [(row["name"], float(row["value"]), int(row["step"])) for row in csv.DictReader(file)]
        begin, end = whole.started or time.time(), whole.ended or time.time()
        last = max((step for *_, step in points), default=0) or 1
        metrics = [
            Metric(name, value, int(1000 * (begin + (end - begin) * step / last)), step) for name, value, step in points
        ]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[start : start + 1000])

    def _log_inputs(self, run: str, whole: RunSpec) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

        datasets = []
        for entry in whole.datasets:
            source = json.dumps({"uri": Path(entry["source"]).as_uri() if entry["source"] else ""})
            profile = json.dumps(entry["profile"])
            dataset = Dataset(entry["name"], entry["digest"][:_DIGEST], "local", source, profile=profile)
            datasets.append(DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])]))
        models = [LoggedModelInput(self.models[key]) for key in whole.uses if key in self.models]
        if datasets or models:
            self.client.log_inputs(run, datasets=datasets, models=models)

    def _log_model(self, run: str, key: str, told: Mapping[str, Any]) -> str:
        """A network as an MLflow model: its tensors as they were published, nothing pickled; returns the model's id."""
        from mlflow.entities import LoggedModelOutput

        made = self.client.create_logged_model(
            self.experiment, told["name"], run, tags={"store": self.store, "stage.key": key}, model_type=told["kind"]
        )
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "data").mkdir()
            for file in told["files"]:
                (folder / "data" / file).symlink_to(Path(told["folder"]) / file)
            (folder / "data" / "config.json").write_text(json.dumps(told["config"], indent=1))
            _write_mlmodel(folder, made.model_id, told)
            self.client.log_model_artifacts(made.model_id, str(folder))
        self.client.finalize_logged_model(made.model_id, "READY")
        self.client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
        return str(made.model_id)

    def _remember_model(self, run: RunSpec, tags: Mapping[str, str]) -> None:
        if "model" in tags:
            self.models[run.id] = tags["model"]

    def _root(self) -> str:
        if not self.root:
            found = self._search(f"tags.id = '{self.study}' and tags.role = '{PARENT}'")
            self.root = next((run.info.run_id for run in found), "")
        return self.root

    def _found(self, ids: Sequence[str] | None) -> dict[tuple[str, str], Any]:
        """Runs of this home by role and id, of these ids or all; where there are two of one id, one is deleted."""
        if ids is None or len(ids) > _FEW:
            runs = self._search("")
        else:
            runs = (run for one in ids for run in self._search(f"tags.id = '{one}'"))
        found: dict[tuple[str, str], Any] = {}
        for run in runs:
            tags = run.data.tags
            mark = tags.get("role", ""), tags.get("id", "")
            if mark in found or mark[0] == _INCOMPLETE:
                self._delete(run)
            else:
                found[mark] = run
        return found

    def _search(self, condition: str) -> Iterator[Any]:
        """Of this home only."""
        yield from search_runs(self.client, self.experiment, f"tags.store = '{self.store}'", condition)

    def _delete(self, run: Any) -> None:
        if run is None:
            return
        if "model" in run.data.tags:
            from mlflow.exceptions import MlflowException

            with suppress(MlflowException):  # somebody has deleted it already
                self.client.delete_logged_model(run.data.tags["model"])
        self.client.delete_run(run.info.run_id)

    def _delete_orphans(self) -> None:
        """Models whose writing was cut off."""
        token = None
        while True:
            page = self.client.search_logged_models([self.experiment], page_token=token)
            for model in page:
                if model.tags.get("store") == self.store and model.model_id not in self.models.values():
                    self.client.delete_logged_model(model.model_id)
            token = page.token
            if not token:
                return

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.study)
        if found is None:
            local = tracking_uri(self.home).startswith("sqlite:")
            place = (self.home / "mlartifacts" / self.study).as_uri() if local else None
            try:
                return str(self.client.create_experiment(self.study, artifact_location=place))
            except MlflowException:  # another one may have made it at this moment
                found = self.client.get_experiment_by_name(self.study)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def log_report_at(uri: str, home: Path, study: str, folder: Path, digest: str) -> None:
    """The report of a study into its parent runs of all homes, in the MLflow of that URI; those that hold a report of
    that digest are left alone."""
    client = connect(home, uri)
    found = client.get_experiment_by_name(study)
    for run in search_runs(client, found.experiment_id, f"tags.role = '{PARENT}'") if found else ():
        if run.data.tags.get("report") != digest:
            client.log_artifacts(run.info.run_id, str(folder), "report")
            client.set_tag(run.info.run_id, "report", digest)


def search_runs(client: MlflowClient, experiment: str, *conditions: str) -> Iterator[Any]:
    """The runs of an experiment that meet all conditions; empty ones are none."""
    token = None
    while True:
        condition = " and ".join(words for words in conditions if words)
        with collector_paused(), _unexpired():
            page = client.search_runs([experiment], condition, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _unexpired() -> Iterator[None]:
    """When a session ends, SQLAlchemy goes through all that it has read and marks it as out of date, in case it is used
    again; MLflow, which has copied it all by then, never does. This would take a third of the time."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    def forget(session: Session) -> None:
        if not (session.new or session.dirty or session.deleted):
            session.expunge_all()

    event.listen(Session, "before_commit", forget)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", forget)


def _write_mlmodel(folder: Path, model: str, told: Mapping[str, Any]) -> None:
    """`MLmodel`, with the signature, for `mlflow.pyfunc.load_model`: it calls `_load_pyfunc` of the method's module."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(tensors: Sequence[Mapping[str, Any]]) -> Schema:
        return Schema([TensorSpec(np.dtype(one["type"]), tuple(one["shape"]), one["name"]) for one in tensors])

    description = Model(
        model_id=model, signature=ModelSignature(schema(told["inputs"]), schema(told["outputs"])), artifact_path=None
    )
    description.add_flavor(
        "python_function", loader_module=told["loader"], data="data", python_version=sys.version.split()[0], env=None
    )
    description.save(str(folder / "MLmodel"))


def is_remote() -> bool:
    """Whether the user has named a tracking server, or a database of their own."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def connect(home: Path, uri: str = "") -> MlflowClient:
    """A client of the MLflow of that URI, else of the home's own: quiet, and soon tired of a server that does not
    answer. A new database is made by one process at a time."""
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.db", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.ERROR)
    home.mkdir(parents=True, exist_ok=True)
    uri = uri or tracking_uri(home)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        with locked(database):
            if not database.is_file():  # under another name: nobody is to meet one that is half made
                for old in database.parent.glob(f".{database.name}.draft-*"):
                    old.unlink()
                draft = database.with_name(f".{database.name}.draft-{secrets.token_hex(4)}")
                MlflowClient(f"sqlite:///{draft}").search_experiments(max_results=1)
                draft.rename(database)
    return MlflowClient(uri)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(1000 * seconds)
