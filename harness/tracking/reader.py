"""MLflow → rows: what it holds of a study, read back.

What the rows stand on and lies in no store on this machine is fetched from the runs, and laid out as a store:

<home>/recorded/score/<run>/           score files of a cell; its analyses in folders of their own
<home>/recorded/train/<key>/           curves.csv of a training
each with a manifest.json that names what the store's would, as far as MLflow knows it"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.files import write_json
from harness.results.rows import COLUMNS, HERE, NUMBERS, SCORES, Row, masks_of
from harness.store.local import MANIFEST
from harness.tracking.run_spec import CELL, TRAINING, TRAININGS, as_text
from harness.tracking.writer import connect, pages

Run = Any
"""An MLflow run: this file reads it, and leaves the client to harness.tracking.writer."""

CELLS = ("scale", "data_kind", "protocol", "variant", "benchmark", "seed")
"""What tells a cell of a study from others."""


def recorded_rows(home: Path, study: str, uri: str = "", store: str = "") -> list[Row]:
    """The rows that MLflow holds of a study, of all homes that recorded it; a cell that several recorded: the last.

    `uri`: of another MLflow than that of the home. `store`: id of the one whose rows are wanted."""
    client = connect(home, uri)
    found = client.get_experiment_by_name(study)
    ours = f"tags.store = '{store}'" if store else ""
    latest: dict[tuple[Any, ...], tuple[tuple[int, str], Run]] = {}
    for run in pages(client, found.experiment_id, f"tags.role = '{CELL}'", ours) if found else ():
        cell = tuple(run.data.tags[name] for name in CELLS)
        turn = (run.info.start_time or 0, run.info.run_id)
        if cell not in latest or latest[cell][0] < turn:
            latest[cell] = (turn, run)
    files = _Files(client, home / "recorded")
    runs = [run for _, run in latest.values()]
    runs.sort(key=lambda run: (run.data.tags["scale"], run.data.tags["data_kind"], int(run.data.tags["order"])))
    return [_row(run, files) for run in runs]


def differing(kept: Sequence[Row], found: Sequence[Row]) -> int:
    """How many cells are in one of two lists of rows only, or not as in the other; of where things lie on this machine
    only the scores are compared."""
    ours, theirs = ({shown[: len(CELLS)]: shown for shown in map(_shown, rows)} for rows in (kept, found))
    return sum(ours.get(cell) != theirs.get(cell) for cell in ours.keys() | theirs.keys())


def _shown(row: Row) -> tuple[Any, ...]:
    """What MLflow shows of a row, what tells a cell from others first."""
    texts = [name for name in COLUMNS if name not in {*CELLS, *NUMBERS, *HERE}]
    words = tuple(as_text(row.get(name, "")) for name in (*CELLS, *texts))
    return (*words, *(None if row.get(name) is None else float(row[name]) for name in NUMBERS))


def _row(run: Run, files: _Files) -> Row:
    tags, metrics = run.data.tags, run.data.metrics
    row: Row = {column: tags.get(column, "") for column in COLUMNS}
    row |= {number: metrics.get(number) for number in NUMBERS}
    row |= {"seed": int(tags["seed"]), "sequences": int(tags["sequences"]), "masks": "{}", "analyses": "{}"}
    if row["score_folder"] and Path(row["score_folder"]).is_dir():
        row["masks"] = masks_of(row["score_folder"])
    elif row["score_folder"]:
        folder = files.of_cell(run)
        row["score_folder"] = str(folder or "")
        row["analyses"] = json.dumps(dict(_analyses(folder)) if folder else {})
    return row


def _analyses(folder: Path) -> Iterator[tuple[str, str]]:
    """Name → folder of a fetched cell's analyses."""
    for place in sorted({path.parent for path in folder.rglob("*/*") if path.is_file()}):
        yield place.relative_to(folder).as_posix(), str(place)


class _Files:
    """Fetches what runs hold, once: a folder that is there is whole."""

    def __init__(self, client: Any, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def of_cell(self, run: Run) -> Path | None:
        """Scores and analyses; None if the run has no scores."""
        place = self._folder / "score" / run.info.run_id
        if not place.is_dir():
            entries = self._client.list_artifacts(run.info.run_id)
            wanted = [entry.path for entry in entries if entry.is_dir or entry.path in SCORES]
            if "sequences.csv" not in wanted:
                return None
            needs = {key: key for key in run.data.tags.get(TRAININGS, "").split() if self._training(run, key)}
            draft = self._draft(place)
            for path in wanted:
                self._client.download_artifacts(run.info.run_id, path, str(draft))
            self._finish(draft, place, run, needs)
        return place

    def _training(self, cell: Run, key: str) -> bool:
        """Whether the curves of a training are there."""
        place = self._folder / "train" / key
        if not place.is_dir():
            condition = f"tags.role = '{TRAINING}' and tags.`stage.key` = '{key}'"
            run = next(pages(self._client, cell.info.experiment_id, condition), None)
            if run is None:
                return False
            names = sorted(run.data.metrics.keys() - {"seconds"})
            histories = {name: self._client.get_metric_history(run.info.run_id, name) for name in names}
            draft = self._draft(place)
            with (draft / "curves.csv").open("w", newline="", encoding="utf-8") as file:
                lines = [(one.step, name, one.value) for name, points in histories.items() for one in points]
                csv.writer(file).writerows([("step", "name", "value"), *sorted(lines)])
            self._finish(draft, place, run, {})
        return True

    def _draft(self, place: Path) -> Path:
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        return draft

    def _finish(self, draft: Path, place: Path, run: Run, needs: dict[str, str]) -> None:
        label = run.info.run_name
        write_json(draft / MANIFEST, {"key": place.name, "label": label, "identity": {"needs": needs}, "files": {}})
        try:
            draft.rename(place)
        except OSError:
            if not place.is_dir():  # else another report was quicker
                raise
            shutil.rmtree(draft)
