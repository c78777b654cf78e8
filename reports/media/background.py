"""A second process, on another core: it encodes videos and saves figures while the first one makes the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from threadpoolctl import threadpool_limits


class Here(Executor):
    """Does what it is given at once, in this process."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Raises what the work raises."""
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **options))
        return done


@contextmanager
def second_process() -> Iterator[Executor]:
    """Spawned, not forked, as threads may run here. It starts at once, so that its imports cost no time later."""
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)
    try:
        pool.submit(int)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    from reports.figures import canvas  # noqa: F401  what it will need
    from reports.media import videos  # noqa: F401

    threadpool_limits(1)
