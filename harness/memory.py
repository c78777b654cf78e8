"""Memory of this process: returned to the system, and kept from the garbage collector while much is built."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager


def release_memory() -> None:
    """Return freed memory that the C library keeps for later to the system.

    Tune runs every trial in a thread of its own, and glibc keeps an arena for each of many threads: a worker that tunes
    one network after the other would keep all their peaks, gigabytes after an hour. Other C libraries need no call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Run no garbage collection: for code that builds very many objects, all of which are kept."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
