"""The runs of a study as a home keeps them next to the store: `<home>/records/<study>.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from harness.results.study_file import Content, StudyFile, studies_in
from harness.tracking.run_spec import CELL, PARENT, TRAINING, RunSpec

FOLDER = "records"


def save_runs(home: Path, study: str, runs: Iterable[RunSpec]) -> list[RunSpec]:
    """Save runs in place of former ones, by the rule of `save_results`; return all runs of the study.

    A study whose results are all submitted gets a parent run of its own. Raises StoreError."""
    new = list(runs)

    def change(content: Content) -> Content:
        before = [RunSpec.from_dict(document) for document in content.get("runs", [])]
        after = [*_others(before, new, study), *new]
        return content if after == before else {"runs": [asdict(run) for run in after]}

    content = StudyFile(home, FOLDER, study).update(change)
    return [RunSpec.from_dict(document) for document in content["runs"]]


def load_runs(home: Path, study: str) -> list[RunSpec]:
    """Return the saved runs of a study; none if it was never run here. Raises StoreError."""
    return [RunSpec.from_dict(document) for document in StudyFile(home, FOLDER, study).load().get("runs", [])]


def recorded_studies(home: Path) -> list[str]:
    """Return the names of the studies that were run in this home."""
    return studies_in(home, FOLDER)


def _others(before: list[RunSpec], new: list[RunSpec], study: str) -> Iterator[RunSpec]:
    """Yield the former runs to keep: parent, cells of other groups, and the trainings that those use."""
    groups = {run.group for run in new if run.role == CELL and run.tags["origin"] == "measured"}
    replaced = {(run.role, run.id) for run in new}
    others = [run for run in before if (run.role, run.id) not in replaced and run.group not in groups]
    cells = [run for run in others if run.role == CELL]
    used = {key for run in cells for key in run.uses}
    if not any(run.role == PARENT for run in (*others, *new)):
        tags = {"study": study, "mlflow.note.content": "Submitted masks, scored here."}
        yield RunSpec(id=study, role=PARENT, name=study, tags=tags)
    for run in others:
        if run.role != TRAINING or run.id in used:
            yield run
