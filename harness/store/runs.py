"""Runs in progress: each keeps the stages of its plan, even if a later plan of the same study replaces its record.

<home>/store/runs/<token>.<study>.json      held (flock) by the driver; free again the moment that process dies"""

from __future__ import annotations

import fcntl
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.files import read_json

FOLDER = "runs"


@contextmanager
def run_in_progress(root: Path, study: str, stages: Mapping[str, str]) -> Iterator[None]:
    """Keep the stages of a plan (key → name) from being pruned. Enter it under the store's planning lock."""
    path = root / FOLDER / f"{secrets.token_hex(8)}.{study}.json"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump({"plans": [{"stages": dict(stages)}]}, file)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def runs_in_progress(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file of every run that is going on, and its study; remove the files of runs that were killed.

    A run that is about to plan may be missed without the store's pruning lock."""
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if file.read(1):  # an empty one is about to be locked
                    path.unlink(missing_ok=True)
        except BlockingIOError:
            yield path, path.stem.partition(".")[2]
        except FileNotFoundError:
            continue  # ended meanwhile


def stages_in_progress(root: Path) -> Iterator[tuple[str, str]]:
    """Yield key and study of every stage of the runs that are going on."""
    for path, study in runs_in_progress(root):
        for plan in (read_json(path) or {}).get("plans", []):
            yield from ((key, study) for key in plan["stages"])
