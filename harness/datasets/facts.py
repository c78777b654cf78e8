"""Facts about files, computed once: a cache by path, size and time stamp, in an SQLite file for all processes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from harness.errors import DiskFullError, StoreError
from harness.files import disk_full, is_disk_full
from harness.hardware import cores

SETTLED = 2.0
"""Seconds after which a time stamp is trusted: a file changed twice within one clock tick looks unchanged."""

BATCH = 64
"""Files that are passed to the threads at once: each one in the queue takes kilobytes."""

_TABLE = """CREATE TABLE IF NOT EXISTS facts
    (kind TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, fact TEXT, PRIMARY KEY (kind, path)) WITHOUT ROWID"""


def file_facts(
    kind: str,
    paths: Iterable[Path],
    cache: Path | None,
    compute: Callable[[Path], str],
    done: Callable[[], object] = lambda: None,
    keep: Callable[[str], bool] = lambda fact: True,
) -> dict[Path, str]:
    """Return what `compute` says about each file, from the cache if the file has not changed; uses all cores.

    `kind` names the fact with its version. `done` is called once per file; a fact that `keep` rejects is not cached.
    Raises what `compute` raises, and StoreError if the cache cannot be used."""
    facts: dict[Path, str] = {}
    new: list[tuple[str, str, int, int, str]] = []
    unknown: list[tuple[Path, os.stat_result | None]] = []
    known = _load(kind, cache)
    for path in dict.fromkeys(paths):
        stamp = _stamp(path)
        old = known.get(str(path.absolute()))
        if stamp and old and old[:2] == (stamp.st_size, stamp.st_mtime_ns):
            facts[path] = old[2]
            done()
        else:
            unknown.append((path, stamp))
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(unknown), BATCH):
            batch = unknown[start : start + BATCH]
            for (path, stamp), fact in zip(batch, pool.map(compute, [path for path, _ in batch]), strict=True):
                facts[path] = fact
                done()
                if stamp and time.time() - stamp.st_mtime > SETTLED and keep(fact):
                    new.append((kind, str(path.absolute()), stamp.st_size, stamp.st_mtime_ns, fact))
    _save(new, cache)
    return facts


def _stamp(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None  # `compute` will report it


def _load(kind: str, cache: Path | None) -> dict[str, tuple[int, int, str]]:
    if cache is None or not cache.exists():
        return {}
    try:
        with closing(_open(cache)) as database:
            rows = database.execute("SELECT path, size, mtime_ns, fact FROM facts WHERE kind = ?", (kind,))
            return {path: (size, mtime_ns, fact) for path, size, mtime_ns, fact in rows}
    except sqlite3.Error as error:
        raise StoreError(f"{cache}: not a usable cache of file facts ({error}); delete the file") from None


def _save(rows: list[tuple[str, str, int, int, str]], cache: Path | None) -> None:
    if cache is None or not rows:
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with closing(_open(cache)) as database, database:
            database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)
    except (OSError, sqlite3.Error) as error:
        if is_disk_full(error):
            raise DiskFullError(f"{cache}: {disk_full(cache)}") from None
        raise StoreError(f"{cache}: the cache of file facts cannot be written ({error}); choose another home") from None


def _open(cache: Path) -> sqlite3.Connection:
    database = sqlite3.connect(cache, timeout=60)  # seconds to wait for another process's write
    database.execute(_TABLE)
    return database
