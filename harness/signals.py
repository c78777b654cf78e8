"""Signals that end a command in an orderly way: SIGTERM (a scheduler, `docker stop`) and SIGHUP (a closed terminal)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)

_SAME_EVENT = 1.0
"""Seconds in which a further signal belongs to the first: a closed terminal may send SIGHUP twice."""


@contextmanager
def ending_signals() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt on the first SIGTERM or SIGHUP, as Ctrl-C does, and add its number to the yielded list.

    A second one ends this process at once. A signal that was ignored stays ignored (`nohup`). Outside the main thread,
    nothing changes."""
    received: list[int] = []
    with handlers_kept():
        if threading.current_thread() is threading.main_thread():
            stop = _handler(received)
            for number in ENDING:
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, stop)
        yield received


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put back the handlers of these signals afterwards: Ray replaces that of SIGTERM by a C++ stack."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _handler(received: list[int]) -> Callable[[int, FrameType | None], None]:
    first = float("inf")

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if not received:
            first = time.monotonic()
            received.append(number)
            raise KeyboardInterrupt
        if time.monotonic() - first > _SAME_EVENT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return stop
