"""Files of our own: written whole or not at all, read without surprises, locked against other processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file or folder, which need not exist, against every other process that locks it; a kernel lock (flock).

    It is free again the moment this process dies. Not reentrant. Raises OSError where nothing can be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = None, durable: bool = True) -> None:
    """All of it or nothing: under another name, then renamed. `durable`: after a power cut too."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=indent))
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such file, or it is no JSON object: for a record, both mean that there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def sha256_of(path: Path) -> str:
    """Of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
