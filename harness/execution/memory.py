"""Giving memory back between the trials of one worker process."""

from __future__ import annotations

import ctypes


def give_memory_back() -> None:
    """Returns to the system what the C library keeps for later of memory that was freed.

    Tune runs every trial in a thread of its own, and glibc keeps an arena for each of many threads: a worker that tunes
    one network after the other would keep all their peaks, gigabytes after an hour. Other C libraries do without."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
