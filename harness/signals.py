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


class Stopped(KeyboardInterrupt):  # noqa: N818  it is no error
    """Arrival of SIGTERM or SIGHUP. It takes the way of Ctrl-C, which no `except Exception` stops."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def ending_signals() -> Iterator[None]:
    """Raise Stopped on the first SIGTERM or SIGHUP; a second one ends this process at once.

    A signal that was ignored stays ignored (`nohup`). Outside the main thread, nothing changes."""
    with handlers_kept():
        if threading.current_thread() is threading.main_thread():
            stop = _handler()
            for number in ENDING:
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, stop)
        yield


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put back the handlers of these signals afterwards: Ray replaces that of SIGTERM by one that prints a C++ stack."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _handler() -> Callable[[int, FrameType | None], None]:
    first = float("inf")

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if first > now:
            first = now
            raise Stopped(number)
        if now - first > _SAME_EVENT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return stop
