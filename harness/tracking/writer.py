"""Writes the runs that `harness.tracking.run_spec` describes into MLflow."""

from __future__ import annotations

import csv
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files import locked
from harness.fingerprint import digest_of
from harness.memory import collector_paused
from harness.report import LOCAL
from harness.store.home_id import store_id
from harness.tracking.connection import connect, first_line, is_database, tracking_uri
from harness.tracking.run_spec import CELL, PARENT, PLACES, TRAINING, RunSpec
from harness.tracking.views import KIND, NOTE, PREFIX, View, describe_note, describe_views, parent_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_INCOMPLETE = "incomplete"
"""Role of a run whose writing has not ended."""

_NOTE_DIGEST = "mlflow.vos-harness.note"
"""Tag of an experiment: digest of the note that was written here. Another note is a user's own, and is kept."""

_DIGEST = 36
"""Longest digest of an MLflow dataset, characters."""

_FEW = 20
"""Most runs that are looked up one by one; for more, all are read."""

_without_views: set[str] = set()
"""Studies whose views were refused in this process."""

_log = logging.getLogger(__name__)


class Publisher:
    """Writes runs of one study of one home into MLflow. Its methods raise what `errors` names."""

    def __init__(self, home: Path, study: str) -> None:
        self.home = home.absolute()
        self.study = study
        self.client = connect(self.home)
        self.store = store_id(self.home)
        self.experiment = self._experiment()
        self.root = ""
        """Id of the parent run, which is the first to be published."""

        self.models: dict[str, str] = {}
        """Id of a training run → id of its model."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes of this home from writing to MLflow."""
        return locked(self.home / "records" / "mlflow")

    def publish(self, runs: Sequence[RunSpec], *, everything: bool = False) -> int:
        """Make MLflow show each of these runs once, and with `everything` no others of this study and home.

        Returns the number of runs that had to be written. Call it inside `locked` only."""
        found = self._found(None if everything else [run.id for run in runs])
        written = 0
        for run in sorted(runs, key=lambda run: (PARENT, TRAINING, CELL).index(run.role)):
            old = found.pop((run.role, run.id), None)
            if old is not None and run.role == PARENT:
                self.root = old.info.run_id
            if old is not None and old.data.tags.get("digest") == run.digest(self.home):
                if "model" in old.data.tags:
                    self.models[run.id] = old.data.tags["model"]
                now = {name: run.tags[name] for name in PLACES if name in run.tags}
                now |= self._nesting(run)
                if moved := {name: value for name, value in now.items() if value != old.data.tags.get(name)}:
                    self._log(old.info.run_id, {}, {}, moved)
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

    def open_on(self, runs: Sequence[RunSpec]) -> list[View]:
        """Make MLflow open the study on the views of these runs, which are those that it shows; return the views.

        Views of parent runs that are gone are deleted. A server that refuses that costs one warning, and has no views.
        Call it after `publish`."""
        from mlflow.exceptions import MlflowException

        views = describe_views(runs, self.root)
        try:
            experiment = self.client.get_experiment(self.experiment)
            shown = dict(experiment.tags)
            tags = {f"{PREFIX}{view.key}": view.value(self.root, experiment.creation_time or 0) for view in views}
            note = describe_note(runs, views, self.experiment)
            tags |= KIND | {_NOTE_DIGEST: digest_of(note)}
            if not shown.get(NOTE) or digest_of(shown[NOTE]) == shown.get(_NOTE_DIGEST):
                tags[NOTE] = note
            for name, value in tags.items():
                if shown.get(name) != value:
                    self.client.set_experiment_tag(self.experiment, name, value)
            parents = {name: parent_of(name, value) for name, value in shown.items() if name not in tags}
            others = {run.info.run_id for run in search_runs(self.client, self.experiment, f"tags.role = '{PARENT}'")}
            for name, parent in parents.items():
                if parent and (parent == self.root or parent not in others):
                    self.client.delete_experiment_tag(self.experiment, name)
        except MlflowException as error:
            if self.study not in _without_views:
                _without_views.add(self.study)
                _log.warning("warning: MLflow has no views of %s: %s", self.study, first_line(error))
            return []
        return views

    def log_report(self, folder: Path) -> None:
        """Put the files of a report into the artifacts of the parent run."""
        with self.locked():
            for run in self._search(f"tags.id = '{self.study}' and tags.role = '{PARENT}'"):
                log_folder(self.client, run.info.run_id, folder)

    def _put_parent(self, run: RunSpec, old: Any) -> None:
        """Create or update the parent run, the only one that is changed in place, because people keep its address."""
        if old is None:
            tags = {"role": PARENT, "id": run.id, "store": self.store}
            self.root = self.client.create_run(self.experiment, run_name=run.name, tags=tags).info.run_id
        self._log(self.root, run.metrics, {}, {**run.tags, "digest": run.digest(self.home)})
        if run.status == "RUNNING":
            self.client.update_run(self.root, "RUNNING")
        else:
            self.client.set_terminated(self.root, run.status)

    def _write(self, run: RunSpec) -> None:
        """Write a new run; until it is complete, its role says so."""
        tags = {**run.tags, "id": run.id, "store": self.store, **self._nesting(run)}
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
        done = {"role": run.role, "digest": run.digest(self.home)}
        if run.model is not None:
            done["model"] = self.models[run.id] = self._log_model(new, run.id, run.model)
        self.client.set_terminated(new, run.status, _milliseconds(run.ended))
        self._log(new, {}, {}, done)

    def _nesting(self, run: RunSpec) -> dict[str, str]:
        """Return the tags that show a run below the parent run, and unfold that, which MLflow does for evaluations."""
        if run.role == PARENT:
            return {}
        return {"mlflow.parentRunId": self.root} | ({"mlflow.runType": "evaluation"} if run.role == CELL else {})

    def _log(
        self, run: str, numbers: Mapping[str, float], params: Mapping[str, str], tags: Mapping[str, str] | None = None
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
        pairs = [Param(name, value) for name, value in params.items()]
        marks = [RunTag(name, value) for name, value in (tags or {}).items()]
        self.client.log_batch(run, metrics=metrics, tags=marks)
        for start in range(0, len(pairs), 100):  # a server takes 100 at once
            self.client.log_batch(run, params=pairs[start : start + 100])

    def _log_curves(self, run: str, curves: Path, whole: RunSpec) -> None:
        """Log curves over steps, and over time as if every step had taken equally long."""
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

    def _log_model(self, run: str, key: str, model: Mapping[str, Any]) -> str:
        """Log a network as an MLflow model and return its id: the tensors as published, nothing pickled."""
        from mlflow.entities import LoggedModelOutput

        made = self.client.create_logged_model(
            self.experiment, model["name"], run, tags={"store": self.store, "stage.key": key}, model_type=model["kind"]
        )
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "data").mkdir()
            for file in model["files"]:
                (folder / "data" / file).symlink_to(Path(model["folder"]) / file)
            (folder / "data" / "config.json").write_text(json.dumps(model["config"], indent=1), encoding="utf-8")
            _write_mlmodel(folder, made.model_id, model)
            self.client.log_model_artifacts(made.model_id, str(folder))
        self.client.finalize_logged_model(made.model_id, "READY")
        self.client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
        return str(made.model_id)

    def _found(self, ids: Sequence[str] | None) -> dict[tuple[str, str], Any]:
        """Return the runs of this home by role and id, with these ids or all; delete duplicates and incomplete runs."""
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
        """Yield the runs of this home that meet a condition."""
        yield from search_runs(self.client, self.experiment, f"tags.store = '{self.store}'", condition)

    def _delete(self, run: Any) -> None:
        if run is None:
            return
        if "model" in run.data.tags:
            from mlflow.exceptions import MlflowException

            with suppress(MlflowException):  # already deleted by someone else
                self.client.delete_logged_model(run.data.tags["model"])
        self.client.delete_run(run.info.run_id)

    def _delete_orphans(self) -> None:
        """Delete models whose writing was interrupted."""
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
            local = is_database(tracking_uri(self.home))  # a server decides itself
            place = (self.home.resolve() / "mlartifacts" / self.study).as_uri() if local else None
            try:
                return str(self.client.create_experiment(self.study, artifact_location=place))
            except MlflowException:  # another process may have made it at this moment
                found = self.client.get_experiment_by_name(self.study)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def log_report_at(uri: str, home: Path, study: str, folder: Path, digest: str) -> None:
    """Put a report into the parent runs of a study, of all homes, in the MLflow of that URI.

    Runs that hold a report with that digest are skipped."""
    client = connect(home, uri)
    found = client.get_experiment_by_name(study)
    for run in search_runs(client, found.experiment_id, f"tags.role = '{PARENT}'") if found else ():
        if run.data.tags.get("report") != digest:
            log_folder(client, run.info.run_id, folder)
            client.set_tag(run.info.run_id, "report", digest)


def log_folder(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Put the files of a report into the artifacts of a run, without the folders that hold a file `LOCAL`."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            client.log_artifact(run_id, str(path), "report")
        elif not (path / LOCAL).is_file():
            client.log_artifacts(run_id, str(path), f"report/{path.name}")


def search_runs(client: MlflowClient, experiment: str, *conditions: str) -> Iterator[Any]:
    """Yield the runs of an experiment that meet all conditions; empty ones are ignored."""
    token = None
    while True:
        condition = " and ".join(one for one in conditions if one)
        with collector_paused():  # a run is hundreds of objects; this halves the time for 1,000 runs
            page = client.search_runs([experiment], condition, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _write_mlmodel(folder: Path, model_id: str, model: Mapping[str, Any]) -> None:
    """Write `MLmodel` with the signature; `mlflow.pyfunc.load_model` calls `_load_pyfunc` of the method's module."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(tensors: Sequence[Mapping[str, Any]]) -> Schema:
        return Schema([TensorSpec(np.dtype(one["type"]), tuple(one["shape"]), one["name"]) for one in tensors])

    description = Model(
        model_id=model_id,
        signature=ModelSignature(schema(model["inputs"]), schema(model["outputs"])),
        artifact_path=None,
    )
    description.add_flavor(
        "python_function", loader_module=model["loader"], data="data", python_version=sys.version.split()[0], env=None
    )
    description.save(str(folder / "MLmodel"))


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(1000 * seconds)
