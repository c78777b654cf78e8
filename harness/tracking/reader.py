"""Reads the results of a study back from MLflow.

Files of a result that lie in no store on this machine are fetched from its run, and laid out like a store:

<home>/recorded/score/<run>/           score files of a cell; its analyses in folders of their own
<home>/recorded/train/<key>/           curves.csv of a training
each with a manifest.json that holds what MLflow knows about the store's"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import ResourceError, StoreError
from harness.files import atomic_folder, write_json
from harness.results.cell import CellResult
from harness.results.collect import SCORE_FILES
from harness.results.submission import find_masks
from harness.stage import Identity
from harness.store.manifest import MANIFEST, Manifest
from harness.tracking.connection import connect
from harness.tracking.run_spec import (
    CELL,
    GROUP,
    NUMBERS,
    OF_A_TRAINING,
    TAGS,
    TRAINING,
    TRAININGS,
    metrics_of,
    tags_of,
)
from harness.tracking.writer import search_runs

_JSON = {"seed", "omitted", "options", "sequences", "measures"}
"""Tags that hold JSON; the others are texts."""


def fetch_results(home: Path, study: str, uri: str = "", store: str = "") -> list[CellResult]:
    """Return the results of a study that MLflow holds, of all homes; the last one if a cell was recorded several times.

    `uri`: an MLflow other than the home's own. `store`: id of the only store whose results are wanted. Raises what
    `errors` names, and ResourceError for a run that cannot be understood."""
    client = connect(home, uri)
    found = client.get_experiment_by_name(study)
    of_store = f"tags.store = '{store}'" if store else ""
    runs = list(search_runs(client, found.experiment_id, f"tags.role = '{CELL}'", of_store)) if found else []
    runs.sort(key=lambda run: (run.info.start_time or 0, run.info.run_id))
    latest = {(run.data.tags["id"], run.data.tags.get("protocol", "")): run for run in runs}
    files = _Files(client, home / "recorded")
    return [_result(run, files) for run in sorted(latest.values(), key=_order)]


def count_differences(saved: Sequence[CellResult], shown: Sequence[CellResult]) -> int:
    """Return how many cells are in only one of two lists, or differ in what MLflow shows of them."""
    ours, theirs = (
        {(one.id, one.protocol): (tags_of(one), metrics_of(one)) for one in results} for results in (saved, shown)
    )
    return sum(ours.get(cell) != theirs.get(cell) for cell in ours.keys() | theirs.keys())


def _order(run: Any) -> tuple[list[str], int]:
    return [run.data.tags.get(name, "") for name in GROUP], int(run.data.tags["order"])


def _result(run: Any, files: _Files) -> CellResult:
    tags, metrics = {"measures": "[]", **run.data.tags}, run.data.metrics
    try:
        document = {name: json.loads(tags[name]) if name in _JSON else tags[name] for name in TAGS}
        document |= {name: metrics.get(name) for name in NUMBERS}
        if document["timed_objects"] is not None:
            document["timed_objects"] = int(document["timed_objects"])
        values = {name: value for name, value in metrics.items() if name not in NUMBERS}
        document |= {"values": values, "masks": {}, "analyses": {}}
        folder = document["score_folder"]
        if folder and Path(folder).is_dir():
            document["masks"] = find_masks(Path(folder))
        elif folder:
            fetched = files.fetch_cell(run)
            document["score_folder"] = str(fetched or "")
            document["analyses"] = _analyses(fetched) if fetched else {}
        return CellResult.from_dict(document)
    except (KeyError, ValueError, StoreError) as error:
        raise ResourceError(
            f"MLflow run {run.info.run_id}: not a cell of this version, or its options were too long for a tag "
            f"({type(error).__name__}: {error}); run the study again, or read --from-store"
        ) from None


def _analyses(folder: Path) -> dict[str, str]:
    """Return name → folder of a fetched cell's analyses."""
    places = sorted({path.parent for path in folder.rglob("*/*") if path.is_file()})
    return {place.relative_to(folder).as_posix(): str(place) for place in places}


class _Files:
    """Fetches the files of runs, each once: a folder that exists is complete."""

    def __init__(self, client: Any, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def fetch_cell(self, run: Any) -> Path | None:
        """Return the folder with the scores and analyses of a run; None if the run has no scores."""
        place: Path = self._folder / "score" / run.info.run_id
        if not place.is_dir():
            entries = self._client.list_artifacts(run.info.run_id)
            wanted = [entry.path for entry in entries if entry.is_dir or entry.path in SCORE_FILES]
            if "sequences.csv" not in wanted:
                return None
            needs = {key: key for key in run.data.tags.get(TRAININGS, "").split() if self._fetch_training(run, key)}
            with atomic_folder(place) as draft:
                for path in wanted:
                    self._client.download_artifacts(run.info.run_id, path, str(draft))
                _write_manifest(draft, place, run, needs)
        return place

    def _fetch_training(self, cell: Any, key: str) -> bool:
        """Fetch the curves of a training; return whether there are any."""
        place = self._folder / "train" / key
        if not place.is_dir():
            condition = f"tags.role = '{TRAINING}' and tags.`stage.key` = '{key}'"
            run = next(search_runs(self._client, cell.info.experiment_id, condition), None)
            if run is None:
                return False
            names = sorted(run.data.metrics.keys() - OF_A_TRAINING)
            histories = {name: self._client.get_metric_history(run.info.run_id, name) for name in names}
            lines = [(one.step, name, one.value) for name, points in histories.items() for one in points]
            with atomic_folder(place) as draft:
                with (draft / "curves.csv").open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows([("step", "name", "value"), *sorted(lines)])
                _write_manifest(draft, place, run, {})
        return True


def _write_manifest(draft: Path, place: Path, run: Any, needs: dict[str, str]) -> None:
    identity = Identity(name=place.parent.name, needs=needs)
    manifest = Manifest(key=place.name, label=run.info.run_name, identity=identity, provenance={}, files={})
    write_json(draft / MANIFEST, manifest.to_dict())
