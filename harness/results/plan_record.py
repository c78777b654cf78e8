"""Which stages each study stands on: kept beside the store at every run, so that it can be explained and cleaned
without the data and without planning again.

<home>/plans/<study>.json     the newest plan of each scale and kind of data"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import locked, read_json, write_json
from harness.hardware import code_revision
from harness.planning.plan import Cell, Plan
from harness.store.local import Store


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A plan as it was run."""

    study: str
    scale: str
    data_kind: str
    data_root: str
    study_file: str
    study_text: str
    """The file's content then."""

    options: Mapping[str, Any]
    """Of `--option`."""

    revision: str
    """Of the code that planned it: with this one the stages have these keys. Empty outside a git checkout."""

    cells: Mapping[str, Mapping[str, Any]]
    """`variant/benchmark/seed` → `segment` (key by sequence), `score`, `timing`, `analyses` (key by name), `reason`."""

    stages: Mapping[str, str]
    """Key → name of every stage."""


def keep_plan(plan: Plan, store: Store, study_file: Path, options: Mapping[str, Any]) -> None:
    """Puts a plan in the place of the study's former one of the same scale and kind of data."""
    path = _file(store.home, plan.study.name)
    kept = {
        "scale": plan.study.scale.name,
        "data_kind": plan.inputs.data_kind,
        "data_root": str(plan.inputs.root),
        "study_file": str(study_file),
        "study_text": study_file.read_text(encoding="utf-8"),
        "options": dict(options),
        "revision": code_revision(),
        "cells": {cell.name: _cell(cell) for cell in plan.cells},
        "stages": {key: item.stage.name for key, item in plan.items.items()},
    }
    part = kept["scale"], kept["data_kind"]
    try:
        with locked(path):
            others = [one for one in _read(path) if (one["scale"], one["data_kind"]) != part]
            write_json(path, {"plans": [*others, kept]})
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); free it or give another --home") from None


def kept_plans(home: Path, study: str | None = None) -> Iterator[Kept]:
    """Plans of one study or of all, the oldest first. Raises StoreError for a file that cannot be read."""
    files = [_file(home, study)] if study else sorted((home / "plans").glob("*.json"))
    for path in files:
        for one in _read(path):
            yield Kept(study=path.stem, **one)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    plans = (read_json(path) or {}).get("plans")
    known = set(Kept.__dataclass_fields__) - {"study"}
    if not isinstance(plans, list) or any(set(one) != known for one in plans):
        raise StoreError(f"{path}: not a record of plans; delete it, and run its study once again")
    return plans


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "segment": {name: stage.key for name, stage in cell.segment.items()},
        "score": cell.score.key if cell.score else "",
        "timing": cell.timing.key if cell.timing else "",
        "analyses": {name: stage.key for name, stage in cell.analyses.items()},
        "reason": cell.reason,
    }


def _file(home: Path, study: str) -> Path:
    return home / "plans" / f"{study}.json"
