from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from harness.memory import release_memory

KIB = 1024


def resident() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * KIB


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library keeps nothing")
def test_what_a_trial_has_freed_goes_back_to_the_system() -> None:
    release_memory()  # or the blocks take what earlier tests have freed
    before = resident()
    blocks = [bytes(4 * KIB) for _ in range(50_000)]
    kept = blocks[999::1000]  # some, all over: without them freed memory would go back by itself
    del blocks
    assert resident() - before > 100 * KIB * KIB
    release_memory()
    assert resident() - before < 50 * KIB * KIB
    assert len(kept) == 50
