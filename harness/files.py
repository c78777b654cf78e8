"""Files that the harness writes: complete or absent, read without surprises, locked against other processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.console import human_size
from harness.errors import DiskFullError, StoreError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a kernel lock (flock) on a file or folder, which need not exist, against every other process.

    It is free again the moment this process dies. Not reentrant. Raises OSError if nothing can be written there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def atomic_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a draft next to `path` to write to; rename it to `path` afterwards, or remove it after an exception.

    A reader finds the former file or the whole new one. With `durable`, that also holds after a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield draft
        if durable:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield an empty draft folder next to `path`; rename it to `path` afterwards, or remove it after an exception.

    It replaces a folder of that name; without `replace`, an empty one only. Raises OSError if it cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.mkdir(parents=True)
    try:
        yield draft
        if replace:
            shutil.rmtree(path, ignore_errors=True)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that is never changed a second name; copy it where links cannot be made."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = None, durable: bool = True) -> None:
    """Write a JSON object in full or not at all; with `durable`, that also holds after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, durable=durable) as draft:
        draft.write_text(json.dumps(content, indent=indent), encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is no such file, or something else is in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 over the names and contents of files, 64 hex digits; their order counts."""
    total = hashlib.sha256()
    for name, path in files.items():
        total.update(f"{name}\0".encode() + bytes.fromhex(sha256_of(path)))
    return total.hexdigest()


def write_error(path: Path, error: OSError, advice: str = "give another --home") -> StoreError:
    """Return the named error for a file or folder that cannot be written: DiskFullError if there is no room."""
    if is_disk_full(error):
        return DiskFullError(f"{path}: {disk_full(path)}")
    return StoreError(f"{path}: cannot be written ({error.strerror or error}); {advice}")


def is_disk_full(error: BaseException) -> bool:
    """Return whether a write failed because a file system, or the user's quota on it, has no room left."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(path: Path) -> str:
    """Return a message that names the full file system that a path, which need not exist, is on."""
    place = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists() and one.is_mount())
    total = human_size(shutil.disk_usage(place).total)
    return f"the disk is full: no room at {place} ({total} in all); make some there and give the same command again"


def has_no_room(path: Path, least: int = 1 << 20) -> bool:
    """Return whether the file system of a folder has less than that many bytes left."""
    try:
        return shutil.disk_usage(path).free < least
    except OSError:
        return False
