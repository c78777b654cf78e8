"""Waiting for a service that may hang, but not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float | None, call: Callable[[], T]) -> T:
    """What `call` returns or raises, if that takes no longer; TimeoutError otherwise, and the call goes on by itself in
    a thread that does not keep the process alive. None: as long as it takes."""
    if seconds is None:
        return call()
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(call())
        except BaseException as raised:  # noqa: BLE001  raised again below, in the thread that waits
            error.append(raised)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if error:
        raise error[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return result[0]
