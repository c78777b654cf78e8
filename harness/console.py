"""What the commands print for people: lines with the time, notes on standard error, durations."""

from __future__ import annotations

import sys
import time


def say(words: str) -> None:
    """A line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def note(words: str) -> None:
    """A line on stderr: for what is said while stdout holds data."""
    print(words, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """`41 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
