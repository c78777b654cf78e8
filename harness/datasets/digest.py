"""What a sequence's files contain, as digests, with a cache by path, size and time stamp."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from harness.datasets.sequence import Sequence
from harness.errors import DataError, StoreError

SETTLED = 2.0
"""Seconds after which a time stamp is trusted: a file changed twice within one tick of the clock looks unchanged."""

BATCH = 64
"""Files that are handed to the threads at once: every one that waits takes kilobytes."""

_TABLE = """CREATE TABLE IF NOT EXISTS facts
    (kind TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, fact TEXT, PRIMARY KEY (kind, path)) WITHOUT ROWID"""


def digest(sequence: Sequence, cache: Path | None = None) -> str:
    """SHA-256, 64 hex digits, over names and contents of frames and masks, and over how the truth is read.

    Where the files lie is not in it. `cache`: an SQLite file, shared by any number of processes.
    Raises DataError naming a file that cannot be read, StoreError if the cache cannot be written."""
    return digests([sequence], cache)[0]


def digests(sequences: Iterable[Sequence], cache: Path | None = None) -> list[str]:
    """`digest` of each, on all cores."""
    sequences = tuple(sequences)
    content = _contents([path for one in sequences for path in (*one.frames, *mask_files(one))], cache)
    return [_digest(one, content, with_frames=True) for one in sequences]


def annotation_digest(sequences: Iterable[Sequence], cache: Path | None = None) -> str:
    """SHA-256 over the truth of all the sequences: names, masks, how they are read, which frames are scored.

    Raises as digest does."""
    sequences = tuple(sequences)
    content = _contents([path for one in sequences for path in mask_files(one)], cache)
    return hashlib.sha256(
        "\n".join(sorted(_digest(one, content, with_frames=False) for one in sequences)).encode()
    ).hexdigest()


def mask_files(sequence: Sequence) -> list[Path]:
    """All files of the truth, in time order."""
    files: list[Path] = []
    for mask in sequence.masks:
        files.extend([mask] if isinstance(mask, Path) else mask or ())
    return files


def cached_facts(
    kind: str,
    paths: Iterable[Path],
    cache: Path | None,
    find: Callable[[Path], str],
    done: Callable[[], object] = lambda: None,
    keep: Callable[[str], bool] = lambda fact: True,
) -> dict[Path, str]:
    """What `find` says of each file, from the cache where the file has not changed since; on all cores.

    `kind` names what is found, with its version. `done` is called once a file;
    what `keep` refuses is not cached. Raises what `find` raises, StoreError if
    the cache cannot be used."""
    found: dict[Path, str] = {}
    new: list[tuple[str, str, int, int, str]] = []
    unknown: list[tuple[Path, os.stat_result | None]] = []
    known = _load(kind, cache)
    for path in dict.fromkeys(paths):
        stamp = _stamp(path)
        old = known.get(str(path.absolute()))
        if stamp and old and old[:2] == (stamp.st_size, stamp.st_mtime_ns):
            found[path] = old[2]
            done()
        else:
            unknown.append((path, stamp))
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(unknown), BATCH):
            batch = unknown[start : start + BATCH]
            for (path, stamp), fact in zip(batch, pool.map(find, [path for path, _ in batch]), strict=True):
                found[path] = fact
                done()
                if stamp and time.time() - stamp.st_mtime > SETTLED and keep(fact):
                    new.append((kind, str(path.absolute()), stamp.st_size, stamp.st_mtime_ns, fact))
    _save(new, cache)
    return found


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _digest(sequence: Sequence, content: dict[Path, str], *, with_frames: bool) -> str:
    masks = [[content[f] for f in ([m] if isinstance(m, Path) else m or ())] for m in sequence.masks]
    identity = {
        "name": sequence.name,
        "group": sequence.group,
        "frames": [path.stem for path in sequence.frames],
        "contents": [content[path] for path in sequence.frames] if with_frames else [],
        "masks": masks,
        "object_ids": sequence.object_ids,
        "read": [sequence.binary, sequence.merged, sequence.threshold],
        "scored": sequence.scored,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _contents(paths: list[Path], cache: Path | None) -> dict[Path, str]:
    return cached_facts("sha256", paths, cache, _sha256)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore it from the dataset") from None


def _stamp(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None  # `find` will meet the same and say it


def _load(kind: str, cache: Path | None) -> dict[str, tuple[int, int, str]]:
    if cache is None or not cache.exists():
        return {}
    try:
        with closing(_open(cache)) as database:
            rows = database.execute("SELECT path, size, mtime_ns, fact FROM facts WHERE kind = ?", (kind,))
            return {path: (size, mtime_ns, fact) for path, size, mtime_ns, fact in rows}
    except sqlite3.Error as error:
        raise StoreError(f"{cache}: not a usable cache of digests ({error}); delete the file") from None


def _save(rows: list[tuple[str, str, int, int, str]], cache: Path | None) -> None:
    if cache is None or not rows:
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with closing(_open(cache)) as database, database:
            database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{cache}: the cache of digests cannot be written ({error}); choose another home") from None


def _open(cache: Path) -> sqlite3.Connection:
    database = sqlite3.connect(cache, timeout=60)  # seconds to wait for another process's write
    database.execute(_TABLE)
    return database
