"""Several runs may work in one home at once: what one of them reads, changes and writes again, others keep off."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds a file or folder, which need not be there yet, against every other process that asks for it likewise;
    free again the moment this process dies. Not twice in one process. Raises OSError where nothing can be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
