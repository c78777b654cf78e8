"""What a command prints: passed on to the log without its middle if it is long, and taken apart into lines."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable

from harness.console import human_size

HEAD = TAIL = 1 << 20
"""Bytes of the beginning and of the end that are passed on."""

LAST = 15
"""Lines in the message of an error."""

_WIDTH = 200
"""Characters of such a line."""

_LONGEST = 1 << 16
"""Bytes of a line; of a longer one, the rest is ignored."""

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\x20-\x7e\t\xa0-\U0010ffff]")


class Output:
    """Output on its way to this process's own standard output: the head at once, the tail at the end.

    Never more than the tail is held in memory."""

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._left = head
        self._most = tail
        self._tail = bytearray()
        self._recent = bytearray()
        self._dropped = 0

    def add(self, printed: bytes) -> None:
        """Take what was printed."""
        self._recent += printed
        del self._recent[: -(LAST + 1) * _WIDTH * 4]
        now, later = printed[: self._left], printed[self._left :]
        self._left -= len(now)
        _pass_on(now)
        self._tail += later
        if len(self._tail) > 2 * self._most:
            self._shorten()

    def close(self) -> None:
        """Pass on the tail, after a line that says how much is left out."""
        self._shorten()
        if self._dropped:
            _pass_on(f"\n… {human_size(self._dropped)} of output left out here …\n".encode())
        _pass_on(bytes(self._tail))
        self._tail.clear()

    def last_lines(self) -> str:
        """Return the last lines that are not empty, indented, without control characters."""
        text = re.split(r"[\r\n]+", self._recent.decode("utf-8", "replace"))
        lines = [clean for line in text if (clean := _CONTROL.sub("", line).strip())]
        return "\n".join(f"  {line[:_WIDTH]}{'…' * (len(line) > _WIDTH)}" for line in lines[-LAST:])

    def _shorten(self) -> None:
        extra = max(len(self._tail) - self._most, 0)
        self._dropped += extra
        del self._tail[:extra]


class Lines:
    """Standard output taken apart into lines as it comes; a carriage return ends a line too."""

    def __init__(self, on_line: Callable[[str, float], object]) -> None:
        self._on_line = on_line
        self._rest = b""

    def add(self, printed: bytes, when: float) -> None:
        """Take what was printed; `when` it came."""
        *whole, self._rest = (self._rest + printed).replace(b"\r", b"\n").split(b"\n")
        self._rest = self._rest[:_LONGEST]
        for line in whole:
            if line:
                self._on_line(line[:_LONGEST].decode("utf-8", "replace"), when)

    def close(self, when: float) -> None:
        """Take the end of the output as the end of a line."""
        if self._rest:
            self._on_line(self._rest.decode("utf-8", "replace"), when)


def _pass_on(printed: bytes) -> None:
    sys.stdout.flush()
    while printed:
        printed = printed[os.write(1, printed) :]
