"""JSON files of a home with one file per study: plan records, results and MLflow records.

Paths inside the home are written relative to it (`<home>/store/…`), so that they hold after it was moved or copied."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError, StudyError
from harness.files import locked, read_json, write_error, write_json

VERSION = 2
"""Version of the content; files of another version are refused."""

FOLDERS = ("plans", "rows", "records")
"""Folders of a home with a file per study."""

Content = dict[str, Any]

_HOME = "<home>"


@dataclass(frozen=True)
class StudyFile:
    """What a home holds about a study, `<home>/<folder>/<study>.json`; one process at a time changes it."""

    home: Path
    folder: str
    study: str

    @property
    def path(self) -> Path:
        """Place of the file, which need not exist."""
        return self.home / self.folder / f"{self.study}.json"

    def load(self) -> Content:
        """Return the content, empty if there is no file. Raises StoreError if it is damaged or of another version."""
        if not self.path.exists():
            return {}
        content = read_json(self.path)
        if content is None or content.pop("version", None) != VERSION:
            files = [str(self.home / folder / self.path.name) for folder in FOLDERS]
            raise StoreError(
                f"{self.path}: damaged, or written by another version; delete the study's files (stages in the store "
                f"are kept) and run it again: {shlex.join(['rm', '-f', *files])}"
            )
        return {name: _with_prefix(value, _HOME, str(self.home.absolute())) for name, value in content.items()}

    def update(self, change: Callable[[Content], Content]) -> Content:
        """Replace the content by what `change` makes of it, and return that. Raises StoreError as `load` does."""
        try:
            with locked(self.path):
                before = self.load()
                after = change(before)
                if after != before:
                    write_json(self.path, {"version": VERSION, **portable(after, self.home)}, indent=1)
        except OSError as error:
            raise write_error(self.path, error, "free it or give another --home") from None
        return after


def portable(content: Content, home: Path) -> Content:
    """Return JSON in which every path inside a home begins with `<home>`: equal wherever the home lies."""
    return {name: _with_prefix(value, str(home.absolute()), _HOME) for name, value in content.items()}


def check_study_files(home: Path, study: str) -> None:
    """Raise StoreError if a file of the study is damaged or of another version."""
    for folder in FOLDERS:
        StudyFile(home, folder, study).load()


def studies_in(home: Path, folder: str) -> list[str]:
    """Return the names of the studies that have a file in this folder of a home."""
    return sorted(path.stem for path in (home / folder).glob("*.json"))


def known_studies(home: Path) -> list[str]:
    """Return the names of all studies of a home: those that were run there or got submitted masks."""
    return sorted({study for folder in FOLDERS for study in studies_in(home, folder)})


def require_studies(home: Path, *studies: str) -> None:
    """Raise StudyError if there is no such home, or it has no study, or none of one of these names."""
    if not home.is_dir():
        raise StudyError(f"{home}: no such folder; give --home the folder that a run was given")
    known = known_studies(home)
    if not known:
        raise StudyError(f"{home}: no study was run there; give --home the folder that a run was given")
    for study in studies:
        if study not in known:
            meant = did_you_mean(study, known)
            raise StudyError(f"study {study!r} was not run in {home}{meant}; studies there: {', '.join(known)}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean NAME?)` with the known name that is most like the word; empty if none is."""
    names = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), names, n=1)
    return f" (did you mean {names[close[0]]}?)" if close else ""


def _with_prefix(value: Any, old: str, new: str) -> Any:
    """Return JSON in which texts that are the path `old`, or one below it, begin with `new` instead."""
    if isinstance(value, str):
        return new + value[len(old) :] if value == old or value.startswith(f"{old}/") else value
    if isinstance(value, dict):
        return {name: _with_prefix(one, old, new) for name, one in value.items()}
    return [_with_prefix(one, old, new) for one in value] if isinstance(value, list | tuple) else value
