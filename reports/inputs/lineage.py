"""What a cell's scores were made from, by the manifests of the store that they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import read_json
from harness.store.local import MANIFEST
from reports.inputs.cells import Row

IDENTITIES = "identities"
"""Name of the stages that write the identity vectors of a video, and what the names of such analyses begin with."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A published stage."""

    key: str
    name: str
    label: str
    folder: Path
    needs: Mapping[str, str]
    """Role → key."""

    data: Mapping[str, str]
    """Role → digest."""

    config: Mapping[str, Any]


class Lineage:
    """The stages behind cells; every manifest is read once. What is not in the store on this machine is left out."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], Made | None] = {}
        self._names: dict[Path, tuple[str, ...]] = {}
        self._stages: dict[Path, Made | None] = {}
        self._identities: dict[Path, tuple[Made, ...]] = {}

    def trainings(self, rows: Iterable[Row]) -> tuple[Made, ...]:
        """The stages behind these cells that left curves, by label."""
        found = {made.key: made for row in rows for made in self._behind(row) if (made.folder / "curves.csv").is_file()}
        return tuple(sorted(found.values(), key=lambda made: (made.label, made.key)))

    def videos(self, row: Row) -> Mapping[str, Made]:
        """Sequence → the stage that segmented it for this cell."""
        score = self._score(row)
        if score is None:
            return {}
        store = score.folder.parent.parent
        found = {name: self._find(store, key) for name, key in score.needs.items()}
        return {name: made for name, made in sorted(found.items()) if made is not None}

    def identities(self, row: Row) -> tuple[Made, ...]:
        """All stages with identity vectors in the store that the cell's scores lie in."""
        score = self._score(row)
        folder = score.folder.parent.parent / IDENTITIES if score else None
        if folder is None or not folder.is_dir():
            return ()
        if folder not in self._identities:
            found = (self._read(path) for path in sorted(folder.iterdir()))
            self._identities[folder] = tuple(made for made in found if made is not None)
        return self._identities[folder]

    def _score(self, row: Row) -> Made | None:
        return self._read(Path(row.score_folder)) if row.done and row.score_folder else None

    def _behind(self, row: Row) -> Iterable[Made]:
        score = self._score(row)
        if score is None:
            return
        store, seen, work = score.folder.parent.parent, set(), list(score.needs.values())
        while work:
            key = work.pop()
            if key not in seen:
                seen.add(key)
                made = self._find(store, key)
                if made is not None:
                    yield made
                    work += made.needs.values()

    def _find(self, store: Path, key: str) -> Made | None:
        if (store, key) not in self._known:
            if store not in self._names:
                self._names[store] = tuple(sorted(path.name for path in store.iterdir()))
            folders = (store / name / key for name in self._names[store])
            self._known[store, key] = next((self._read(one) for one in folders if (one / MANIFEST).is_file()), None)
        return self._known[store, key]

    def _read(self, folder: Path) -> Made | None:
        if folder not in self._stages:
            self._stages[folder] = read_stage(folder)
        return self._stages[folder]


def read_stage(folder: Path) -> Made | None:
    """By its manifest; None without one."""
    manifest = read_json(folder / MANIFEST)
    identity = (manifest or {}).get("identity")
    if manifest is None or not isinstance(identity, dict):
        return None
    return Made(
        key=folder.name,
        name=folder.parent.name,
        label=str(manifest.get("label", "")),
        folder=folder,
        needs=identity.get("needs", {}),
        data=identity.get("data", {}),
        config=identity.get("config", {}),
    )
