"""The results of a study as a home keeps them next to the store: `<home>/rows/<study>.json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.results.cell import CellResult
from harness.results.collect import read_values
from harness.results.study_file import Content, StudyFile

FOLDER = "rows"


def save_results(home: Path, study: str, results: Iterable[CellResult]) -> None:
    """Save results in place of former ones: measured results replace their whole group, submitted ones themselves.

    Facts that were saved about the former results are dropped if anything changes. Raises StoreError."""
    new = list(results)
    groups = {one.group for one in new if not one.submitted}
    ids = {one.id for one in new}

    def change(content: Content) -> Content:
        before = content.get("results", [])
        others = (CellResult.from_dict(document) for document in before)
        kept = [one for one in others if one.group not in groups and one.id not in ids]
        after = [one.to_dict() for one in (*kept, *new)]
        return content if after == before else {"results": after}

    StudyFile(home, FOLDER, study).update(change)


def load_results(home: Path, study: str, *, from_store: bool = False) -> list[CellResult]:
    """Return the saved results of a study; none if it was never run here. Raises StoreError for a damaged file.

    With `from_store`, the values are read from the score files again; a cell whose scores are gone is waiting."""
    documents = StudyFile(home, FOLDER, study).load().get("results", [])
    results = [CellResult.from_dict(document) for document in documents]
    return [_reread(one) for one in results] if from_store else results


def save_facts(home: Path, study: str, **facts: str) -> None:
    """Save facts that hold until the results change.

    `recorded_at`: the tracking server that shows them; `report`: digest of the report that it holds; `pages`: addresses
    of its views."""
    StudyFile(home, FOLDER, study).update(lambda content: content | facts)


def load_fact(home: Path, study: str, name: str) -> str:
    """Return a fact that was saved, or an empty text."""
    return str(StudyFile(home, FOLDER, study).load().get(name, ""))


def _reread(result: CellResult) -> CellResult:
    if not result.score_folder:
        return result
    folder = Path(result.score_folder)
    if (folder / "total.json").is_file():
        return replace(result, values=read_values(folder))
    return replace(
        result,
        status="waiting",
        reason="its scores are no longer in the store",
        values={},
        seconds_per_frame=None,
        timed_objects=None,
        score_folder="",
    )
