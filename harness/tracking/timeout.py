"""A time limit for a call to a service that may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def call_with_timeout(seconds: float | None, call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises; None waits without limit.

    Raises TimeoutError if it takes longer. The call then goes on in a thread that does not keep the process alive."""
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
