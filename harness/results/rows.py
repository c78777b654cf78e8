"""What a study has come to, one row a cell, from the store alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import locked, read_json, write_json
from harness.method import find_method
from harness.planning.plan import NOT_SCORED, Cell, Plan
from harness.stage import Stage
from harness.store.local import Store

MEASURES = ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay", "JF_mean")
NUMBERS = (*MEASURES, "seconds_per_frame", "timed_objects")
"""`timed_objects`: how many objects the video has that the seconds were measured on."""

COLUMNS = (
    *("study", "variant", "method", "method_label", "benchmark", "benchmark_title", "seed", "scale", "data_kind"),
    *(
        "protocol",
        "status",
        "reason",
        "left_out",
        "options",
        "sequences",
        *NUMBERS,
        "hardware",
        "score_folder",
        "masks",
        "analyses",
    ),
    *("data_root",),
)

HERE = ("masks", "analyses")
"""Columns that say where things lie on this machine: they are kept, and not shown elsewhere."""

Row = dict[str, Any]

SCORES = ("frames.csv", "objects.csv", "sequences.csv", "total.json")
"""The files of a cell's scores that MLflow shows too, so that a report can be made where the store is not."""

SUBMITTED = "submitted"
"""The `scale` of a row whose masks were handed in rather than made here: they are of their method's own size. Reports
put it beside the rows of every scale that have the same data kind and protocol."""

MASKS = "masks.json"
"""In the score folder of such a row: sequence → folder of its masks."""


def make_rows(plan: Plan, store: Store) -> list[Row]:
    """A row for every cell of the plan, in its order; numbers that are not there are None."""
    failures = {key: failure for key in store.failing() if key in plan.items and (failure := store.failure(key))}
    published = {key: store.folder(item.stage.name, key) for key, item in plan.items.items()}
    published = {key: folder for key, folder in published.items() if (folder / "manifest.json").exists()}
    failed = {key: failure.error.splitlines()[0] for key, failure in failures.items() if key not in published}
    return [_row(cell, plan, published, failed) for cell in plan.cells]


def is_filled(row: Row) -> bool:
    """Whether the cell has its scores, its seconds where its method is timed, and the analyses that it asks for."""
    return row["status"] == "done" and not row["reason"]


def is_planned(row: Row) -> bool:
    """Whether the cell is to be filled: the data at hand allows it, and its benchmark is scored or still to segment."""
    return row["status"] not in {"left out", "not scored"}


def plain(method: str) -> str:
    """A method's name by which it is found whatever its spelling: `OSVOS-S` → `osvoss`, `DIPNet*` → `dipnet*`."""
    return "".join(character for character in method.casefold() if character.isalnum() or character == "*")


def masks_of(score_folder: str) -> str:
    """JSON: sequence → folder of the masks that were scored; `{}` where there is no such score."""
    folder = Path(score_folder) if score_folder else None
    if folder is not None and (handed_in := read_json(folder / MASKS)) is not None:
        return json.dumps(handed_in)
    manifest = read_json(folder / "manifest.json") if folder else None
    if folder is None or manifest is None:
        return "{}"
    store = folder.parent.parent
    return json.dumps(
        {role: str(store / "segment" / key / "masks") for role, key in manifest["identity"]["needs"].items()}
    )


def rows_digest(rows: list[Row]) -> str:
    """SHA-256 of the rows."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def rows_file(home: Path, study: str) -> Path:
    """Where the rows of a study are kept, beside the store."""
    return home / "rows" / f"{study}.json"


def keep_rows(home: Path, study: str, rows: list[Row]) -> list[Row]:
    """Writes the rows of one scale and data kind in the place of their former ones; returns all of the study."""
    with _changing(home, study):
        return _replace(home, study, rows)


def add_submitted(home: Path, study: str, row: Row) -> None:
    """Keeps a row of submitted masks beside the others, in the place of the same method's on that benchmark."""
    with _changing(home, study):
        others = [one for one in kept_rows(home, study) if one["scale"] == SUBMITTED]
        alike = [one for one in others if one["data_kind"] == row["data_kind"]]
        _replace(home, study, [*(one for one in alike if submitted_id(one) != submitted_id(row)), row])


def submitted_id(row: Row) -> str:
    """What a row of submitted masks is known by within a study, however its method is spelt."""
    return f"{SUBMITTED}/{row['data_kind']}/{plain(row['variant'])}/{row['benchmark']}"


def kept_rows(home: Path, study: str) -> list[Row]:
    """The rows of a study as they were kept; none if it was never run here."""
    return list((read_json(rows_file(home, study)) or {}).get("rows", []))


def stored_rows(home: Path, study: str) -> list[Row]:
    """The kept rows with the numbers that their scores in the store hold now; where these are gone, they wait."""
    rows = []
    for row in kept_rows(home, study):
        folder = row["score_folder"]
        if folder and (Path(folder) / "total.json").is_file():
            rows.append({**row, **_numbers(Path(folder) / "total.json", MEASURES)})
        elif folder:
            gone = {"status": "waiting", "reason": "its scores are no longer in the store", "score_folder": ""}
            rows.append({**row, **dict.fromkeys(NUMBERS), **gone})
        else:
            rows.append(row)
    return rows


def remember(home: Path, study: str, **facts: str) -> None:
    """Keeps facts beside the rows, until the rows change: `recorded_at`, the tracking server that shows them; `report`,
    the digest of the report that it holds."""
    with _changing(home, study):
        content = read_json(rows_file(home, study)) or {}
        if any(content.get(name) != fact for name, fact in facts.items()):
            write_json(rows_file(home, study), {**content, **facts}, indent=1)


def remembered(home: Path, study: str, name: str) -> str:
    """A fact that was kept beside the rows; empty if there is none."""
    return str((read_json(rows_file(home, study)) or {}).get(name, ""))


def _replace(home: Path, study: str, rows: list[Row]) -> list[Row]:
    new = {(row["scale"], row["data_kind"]) for row in rows}
    before = kept_rows(home, study)
    everything = [*(row for row in before if (row["scale"], row["data_kind"]) not in new), *rows]
    if everything != before:
        write_json(rows_file(home, study), {"rows": everything}, indent=1)
    return everything


@contextmanager
def _changing(home: Path, study: str) -> Iterator[None]:
    """Other runs keep off the rows meanwhile."""
    path = rows_file(home, study)
    try:
        with locked(path):
            yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); free it or give another --home") from None


def _row(cell: Cell, plan: Plan, published: dict[str, Path], failed: dict[str, str]) -> Row:
    material = plan.inputs.benchmarks.get(cell.benchmark)
    row: Row = {
        "study": plan.study.name,
        "variant": cell.variant.name,
        "method": cell.variant.method,
        "method_label": find_method(cell.variant.method, cell.variant.name).label,
        "benchmark": cell.benchmark,
        "benchmark_title": material.protocol.title if material else cell.benchmark,
        "seed": cell.seed,
        "scale": plan.study.scale.name,
        "data_kind": material.data_kind if material else plan.inputs.data_kind,
        "protocol": material.fingerprint if material else "",
        "status": "left out",
        "reason": cell.reason,
        "left_out": "; ".join(cell.omitted),
        "options": json.dumps(cell.variant.options, sort_keys=True),
        "sequences": len(material.sequences) if material else 0,
        **dict.fromkeys(NUMBERS),
        "hardware": "",
        "score_folder": "",
        "masks": "{}",
        "analyses": "{}",
        "data_root": str(plan.inputs.root),
    }
    if not cell.segment:
        return row
    row |= _outcome(cell, published, failed)
    row["analyses"] = json.dumps({k: str(published[s.key]) for k, s in cell.analyses.items() if s.key in published})
    if cell.score is not None and cell.score.key in published:
        folder = published[cell.score.key]
        row |= {"score_folder": str(folder), **_numbers(folder / "total.json", MEASURES)}
    if row["score_folder"] or row["status"] == "not scored":
        row["masks"] = json.dumps(
            {name: str(published[s.key] / "masks") for name, s in cell.segment.items() if s.key in published}
        )
    if cell.timing is not None and cell.timing.key in published:
        timing = _numbers(published[cell.timing.key] / "timing.json", ("seconds_per_frame", "objects"))
        row |= {"seconds_per_frame": timing["seconds_per_frame"], "timed_objects": timing["objects"]}
        row["hardware"] = cell.timing.machine
    return row


def _outcome(cell: Cell, published: dict[str, Path], failed: dict[str, str]) -> Row:
    """Status and reason: failed where a stage of its own did, waiting where one that it needs did or has not run."""
    own = {stage.key for stage in cell.targets}
    scored = cell.score is not None and cell.score.key in published
    for stage in _open(cell, published):
        if stage.key in failed:
            words = f"{stage.label}: {failed[stage.key]}"
            status = "done" if scored else "failed" if stage.key in own else "waiting"
            return {"status": status, "reason": words if stage.key in own else f"need failed: {words}"}
    if scored:
        timed = cell.timing is None or cell.timing.key in published
        analysed = all(stage.key in published for stage in cell.analyses.values())
        return {"status": "done", "reason": "not timed yet" if not timed else "" if analysed else "not analysed yet"}
    if cell.score is None and all(key in published for key in own):
        return {"status": "not scored", "reason": NOT_SCORED}
    return {"status": "waiting", "reason": "not run yet"}


def _open(cell: Cell, published: dict[str, Path]) -> Iterator[Stage]:
    """The cell's unpublished stages, and theirs."""
    work, seen = list(cell.targets), set()
    while work:
        stage = work.pop()
        if stage.key not in seen and stage.key not in published:
            seen.add(stage.key)
            yield stage
            work += stage.needs.values()


def _numbers(path: Path, names: tuple[str, ...]) -> Row:
    content = read_json(path)
    if content is None:
        raise StoreError(f"{path}: cannot be read; delete its folder and give the same command again")
    return {name: content.get(name) for name in names}
