"""Which stages each study is based on, recorded at every run, so that explaining and pruning need no data and no plan.

`<home>/plans/<study>.json` holds the newest plan of each scale and data kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.hardware import code_revision
from harness.planning.plan import Cell, Plan
from harness.results.saved import load_results
from harness.results.study_file import Content, StudyFile, studies_in
from harness.store import Store, stages_in_progress
from harness.yaml_file import parse_yaml

FOLDER = "plans"


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """A plan as it was run."""

    study: str
    scale: str
    data_kind: str
    data_root: str
    study_file: str
    study_text: str
    """Content of the file at that time."""

    options: Mapping[str, Any]
    """Values of `--option`."""

    revision: str
    """Git revision that planned it: with that code the stages have these keys. Empty outside a git checkout."""

    cells: Mapping[str, Mapping[str, Any]]
    """`variant/benchmark/seed` → `segment` (key by sequence), `score`, `timing`, `analyses` (key by name), `reason`."""

    stages: Mapping[str, str]
    """Key → name of every stage."""


def save_plan(plan: Plan, store: Store, study_file: Path, options: Mapping[str, Any]) -> PlanRecord:
    """Record a plan in place of the study's former one of the same scale and data kind, and return the record."""
    study = plan.study.name
    record = PlanRecord(
        study=study,
        scale=plan.study.scale.name,
        data_kind=plan.inputs.data_kind,
        data_root=str(plan.inputs.root),
        study_file=str(study_file),
        study_text=study_file.read_text(encoding="utf-8"),
        options=dict(options),
        revision=code_revision(),
        cells={cell.name: _keys(cell) for cell in plan.cells},
        stages={key: item.stage.name for key, item in plan.items.items()},
    )

    def change(content: Content) -> Content:
        group = record.scale, record.data_kind
        others = [one for one in content.get("plans", []) if (one["scale"], one["data_kind"]) != group]
        return {"plans": [*others, asdict(record)]}

    StudyFile(store.home, FOLDER, study).update(change)
    return record


def load_plans(home: Path, study: str | None = None) -> Iterator[PlanRecord]:
    """Yield the recorded plans of one study or of all, the oldest first. Raises StoreError for a damaged file."""
    for name in [study] if study else studies_in(home, FOLDER):
        file = StudyFile(home, FOLDER, name)
        try:
            yield from [PlanRecord(**document) for document in file.load().get("plans", [])]
        except TypeError:
            raise StoreError(f"{file.path}: not a record of plans; delete it and run its study again") from None


def study_question(home: Path, study: str) -> str:
    """Return the question in the study's file when it was run last; empty if it has none or was never run here.

    Raises StoreError for a damaged record."""
    plans = [*load_plans(home, study)]
    content = parse_yaml(plans[-1].study_text, f"{study}: the recorded study") if plans else None
    return str(content.get("question") or "").strip() if isinstance(content, dict) else ""


def referenced_stages(home: Path) -> dict[str, tuple[str, ...]]:
    """Return key → studies whose recorded plans contain the stage, or whose runs in progress do.

    Raises StoreError if a study was run here without a record of its plan: nobody knows what it is based on then."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    for record in load_plans(home):
        for key in record.stages:
            users[key][record.study] = None
    for key, study in stages_in_progress(home / "store"):
        users[key][study] = None
    results = {study: load_results(home, study) for study in studies_in(home, "rows")}
    measured = {study for study, own in results.items() if not (own and all(one.submitted for one in own))}
    if unknown := sorted(measured - set(studies_in(home, FOLDER))):
        raise StoreError(
            f"{home}: studies without a record of their stages: {', '.join(unknown)}; "
            f"run them again, or delete {home / 'rows'}/<study>.json of those that are no longer needed"
        )
    return {key: tuple(studies) for key, studies in users.items()}


def _keys(cell: Cell) -> dict[str, Any]:
    return {
        "segment": {name: stage.key for name, stage in cell.segment.items()},
        "score": cell.score.key if cell.score else "",
        "timing": cell.timing.key if cell.timing else "",
        "analyses": {name: stage.key for name, stage in cell.analyses.items()},
        "reason": cell.reason,
    }
