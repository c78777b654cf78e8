"""Small homes made by hand for the tests of `vos-harness diff`: rows, score files and manifests of stages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.fingerprint import digest_of
from harness.results import CellResult, save_results
from reports.diff import COMPARER
from reports.diff.compare import Compared
from reports.diff.pair import Pair
from tests.report_cells import cell

VALUES = {f"s{index}": 0.5 + 0.04 * index for index in range(8)}
"""Sequence → score: eight sequences, enough for an interval."""

LIBRARIES = {"torch": "2.6.0", "numpy": "2.1.0"}


def stage(store: Path, name: str, key: str, label: str = "", provenance: Mapping[str, Any] | None = None,
          **identity: Any) -> Path:  # fmt: skip
    """Write the manifest of a stage and return its folder. `identity`: fields of its identity."""
    folder = store / name / key
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"revision": "abc", "hardware": "a machine", "python": "3.11.0", "libraries": LIBRARIES}
    facts |= provenance or {}
    files = identity.pop("files", {})
    whole = {"name": name, "run": f"toy:{name}", "scheme": 2, **identity}
    content = {"key": key, "label": label or name, "identity": whole, "provenance": facts, "files": files}
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def scored(
    home: Path,
    made: CellResult,
    values: Mapping[str, float] = VALUES,
    *,
    frames: Mapping[str, int] | None = None,
    objects: Mapping[str, int] | None = None,
    data: Mapping[str, str] | None = None,
    segment: Mapping[str, Any] | None = None,
    score: Mapping[str, Any] | None = None,
) -> CellResult:
    """Return a cell with the scores and the stages behind it in a home: every frame of a sequence has its value.

    `frames`, `objects`: sequence → number, 4 and 1 by default. `data`: sequence → digest. `segment`, `score`: arguments
    of `stage`. A cell of submitted masks gets no stages."""
    frames, objects = frames or {}, objects or {}
    key = f"{made.variant}-{made.benchmark}-{made.seed}-{made.scale}"
    key += f"-{digest_of([segment, score])[:8]}" if segment or score else ""  # other stages have other keys
    digests = {name: (data or {}).get(name, f"digest of {name}") for name in values}
    needs = {name: f"{key}-{name}" for name in values}
    folder = home / "submitted" / key
    if made.submitted:
        folder.mkdir(parents=True)
    else:
        for name in values:
            options = {"label": f"segment {name}", **(segment or {}), "data": {"video": digests[name]}}
            stage(home / "store", "segment", needs[name], **options)
        folder = stage(home / "store", "score", key, "score it", needs=needs, data=digests, **(score or {}))
    lines = [f"{name},{objects.get(name, 1)},{frames.get(name, 4)},{value},{value}" for name, value in values.items()]
    (folder / "sequences.csv").write_text("\n".join(["sequence,objects,frames,J_mean,F_mean", *lines]) + "\n")
    rows = [
        f"{name},{number},{frame:05d},{value},{value}"
        for name, value in values.items()
        for number in range(1, objects.get(name, 1) + 1)
        for frame in range(1, frames.get(name, 4) + 1)
    ]
    (folder / "frames.csv").write_text("\n".join(["sequence,object,frame,J,F", *rows]) + "\n")
    mean = sum(values.values()) / len(values)
    return replace(
        made,
        score_folder=str(folder.absolute()),
        status="done",
        sequences=len(values),
        values={"J_mean": mean, "F_mean": mean},
    )


def save(home: Path, *cells: CellResult, study: str = "s") -> Path:
    """Save cells as the results of a study and return the home."""
    save_results(home, study, [replace(one, study=study) for one in cells])
    return home


def pair_of(home: Path, *cells: CellResult, names: tuple[str, str] = ("one", "two"), **options: Any) -> Pair:
    """Return the comparison of two cells that are saved in a home, by their names."""
    save(home, *cells)
    compared = COMPARER.compare(*names, home, **options)
    assert isinstance(compared, Compared)
    (pair,) = compared.pairs
    return pair


def two(home: Path, *, one: Mapping[str, Any] | None = None, two: Mapping[str, Any] | None = None) -> Pair:
    """Return the comparison of the variants `one` and `two`: arguments of `scored`, or changes of the cell."""
    cells = []
    for variant, given in (("one", one or {}), ("two", two or {})):
        own = {name: given[name] for name in given.keys() & _SCORED}
        change = {name: given[name] for name in given.keys() - _SCORED}
        cells.append(scored(home, cell(variant, 0.5, **{"method_label": "toy", **change}), **own))
    return pair_of(home, *cells)


_SCORED = {"values", "frames", "objects", "data", "segment", "score"}


def texts(pair: Pair, topic: str = "") -> list[str]:
    """Return the texts of what differs, of one topic or of all."""
    return [one.text for one in pair.differs if topic in {"", one.topic}]
