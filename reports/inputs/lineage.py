"""Stages that a cell's scores were made from, found by the manifests of the store that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from harness.results import CellResult
from harness.store.manifest import Manifest, read_manifest

IDENTITIES = "identities"
"""Name of the stages that write the identity vectors of a video; the names of such analyses begin with it."""


class Lineage:
    """Stages behind cells. Every manifest is read once; stages in no store on this machine are skipped."""

    def __init__(self) -> None:
        self._read = cache(read_manifest)
        self._folders = cache(_folders)
        self._find = cache(self._search)

    def trainings(self, cells: Iterable[CellResult]) -> tuple[Manifest, ...]:
        """Return the stages behind these cells that recorded curves, sorted by label."""
        return tuple(stage for stage in self.behind(cells) if (stage.folder / "curves.csv").is_file())

    def behind(self, cells: Iterable[CellResult]) -> tuple[Manifest, ...]:
        """Return the stages that scored these cells and all that those were made from, sorted by label."""
        found: dict[tuple[Path, str], Manifest] = {}
        for score in filter(None, map(self.score, cells)):
            work = [score.key]
            while work:
                place = (_store(score), work.pop())
                if place not in found and (stage := self._find(*place)):
                    found[place] = stage
                    work += stage.identity.needs.values()
        stages = {stage.key: stage for stage in found.values()}
        return tuple(sorted(stages.values(), key=lambda stage: (stage.label, stage.key)))

    def videos(self, cell: CellResult) -> Mapping[str, Manifest]:
        """Return sequence → the stage that segmented it for this cell."""
        if (score := self.score(cell)) is None:
            return {}
        needs = sorted(score.identity.needs.items())
        return {name: stage for name, key in needs if (stage := self._find(_store(score), key))}

    def identities(self, cell: CellResult) -> tuple[Manifest, ...]:
        """Return all stages with identity vectors in the store that holds the cell's scores."""
        score = self.score(cell)
        return tuple(filter(None, map(self._read, self._folders(_store(score) / IDENTITIES)))) if score else ()

    def needs(self, stage: Manifest) -> Mapping[str, Manifest | None]:
        """Return role → stage that this one needs; None for one that is not in the same store."""
        return {role: self._find(_store(stage), key) for role, key in sorted(stage.identity.needs.items())}

    def score(self, cell: CellResult) -> Manifest | None:
        """Return the stage that scored a cell; None for submitted masks, or if it is in no store on this machine."""
        return self._read(Path(cell.score_folder)) if cell.done and cell.score_folder else None

    def _search(self, store: Path, key: str) -> Manifest | None:
        return next((stage for folder in self._folders(store) if (stage := self._read(folder / key))), None)


def _store(stage: Manifest) -> Path:
    return stage.folder.parent.parent


def _folders(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()
