"""What is going on, for people: live on a terminal, elsewhere plain lines with the time."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.console import duration, say
from harness.execution.queue import ReadyQueue
from harness.execution.timing import TimeLeft
from harness.planning import Plan
from harness.store import Store

_REFRESH = 0.5
"""Seconds between two updates of the live display."""

_HEARTBEAT = 30.0
"""Seconds after which plain output reports what runs if nothing has ended since."""

_LOG_LINES = 12

_Running = Mapping[str, tuple[float, str]]
"""Key of a stage that runs → share that is done, and a message."""


def failure_lines(queue: ReadyQueue, store: Store) -> Iterator[str]:
    """Yield every cause of failed stages with these, the end of a log, and how many others wait for them."""
    waiting = Counter(queue.skipped.values())
    groups: dict[str, list[str]] = defaultdict(list)
    for key in (key for key in queue.ended if key in queue.failed):
        groups[_failure_text(queue, store, key)].append(key)
    for text, keys in groups.items():
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        yield f"failed: {queue.missing[keys[0]].label}{more}: {text}"
        if failure := store.failure(keys[0]):
            record = "\n".join(part for part in (failure.log.strip(), failure.traceback.strip()) if part)
            yield from (f"    {line}" for line in record.splitlines()[-_LOG_LINES:])
        if count := sum(waiting[key] for key in keys):
            yield f"    {count} stages wait for {'it' if len(keys) == 1 else 'them'}"
        if failure:
            yield f"    full record: {store.failure_file(keys[0])}"


def _failure_text(queue: ReadyQueue, store: Store, key: str) -> str:
    failure = store.failure(key)
    if failure is None:
        return queue.causes.get(key, "no record of why")
    return failure.error + (f" (tried {failure.attempts} times)" if failure.attempts > 1 else "")


class Progress:
    """Display of one run."""

    def __init__(self, plan: Plan, store: Store, cpus: int, live: Live | None) -> None:
        self._plan = plan
        self._store = store
        self._live = live
        self._cached = len(plan.items) - len(plan.missing)
        self._time_left = TimeLeft({key: item.seconds for key, item in plan.items.items()}, cpus)
        self._begun: dict[str, float] = {}
        self._ended = 0
        self._retried = 0
        self._closed = False
        self._next_update = 0.0
        self._next_heartbeat = time.monotonic() + _HEARTBEAT

    def watch(self, queue: ReadyQueue) -> None:
        """Show what has changed in the queue."""
        now = time.monotonic()
        if queue.closed and not self._closed:
            self._closed = True
            self._print("stopping: what runs is finished and kept; Ctrl-C once more stops at once")
        for key in queue.running:
            if key not in self._begun and self._store.is_running(key):
                self._begun[key] = now  # others wait in Tune's queue for a core
        for key, cause in queue.retried[self._retried :]:
            self._print(f"tried again: {queue.missing[key].label}: {cause}")
        self._retried = len(queue.retried)
        for key in queue.ended[self._ended :]:
            self._end(queue, key, now)
        if self._live is not None and now >= self._next_update:
            self._next_update = now + _REFRESH
            self._live.update(self._table(queue, now))
        elif self._live is None and now >= self._next_heartbeat and queue.running:
            self._next_heartbeat = now + _HEARTBEAT
            running = self._running(queue)
            lines = ", ".join(self._lines(queue, running, now)) or "nothing yet"
            say(f"{self._head(queue, running, now)}; running: {lines}")

    def _print(self, line: str) -> None:
        if self._live is None:
            say(line)
        else:
            self._live.console.print(line, style="red", markup=False)

    def _end(self, queue: ReadyQueue, key: str, now: float) -> None:
        self._ended += 1
        stage = queue.missing[key]
        manifest = self._store.manifest(stage.name, key) if key in queue.done else None
        seconds = manifest.seconds if manifest else None
        seconds = now - self._begun.get(key, now) if seconds is None else seconds
        self._time_left.add(stage, seconds)
        status = "done" if key in queue.done else "FAILED"
        line = f"{self._ended}/{len(queue.missing)} {status}: {stage.label} ({duration(seconds)})"
        if key in queue.failed:
            line += f": {_failure_text(queue, self._store, key)}"
        self._next_heartbeat = now + _HEARTBEAT
        if self._live is None or key in queue.failed:
            self._print(line)

    def _head(self, queue: ReadyQueue, running: _Running, now: float) -> str:
        parts = [f"{self._cached} cached", f"{len(queue.done)} done", f"{queue.left} left"]
        parts += [f"{len(queue.failed)} failed"] if queue.failed else []
        parts += [f"{len(queue.skipped)} wait for a failed one"] if queue.skipped else []
        shares = {key: share for key, (share, _) in running.items()}
        left = self._time_left.seconds(queue, shares, self._begun, now)
        parts += [f"about {duration(left)} to go"] if left is not None else []
        return ", ".join(parts) + (" (stopping: what runs is finished first)" if queue.closed else "")

    def _running(self, queue: ReadyQueue) -> _Running:
        return {key: self._store.progress(key) for key in queue.running if key in self._begun}

    def _lines(self, queue: ReadyQueue, running: _Running, now: float) -> Iterator[str]:
        for key, (share, message) in running.items():
            about = (f" {share:.0%}" if share else "") + (f" {message}" if message else "")
            yield f"{queue.running[key].label}{about} ({duration(now - self._begun[key])})"

    def _table(self, queue: ReadyQueue, now: float) -> Table:
        running = self._running(queue)
        table = Table.grid(padding=(0, 1))
        table.add_row(Text(f"{self._plan.study.name}: {self._head(queue, running, now)}", style="bold"))
        for line in self._lines(queue, running, now):
            table.add_row(Text(f"  ▸ {line}"))
        return table


@contextmanager
def progress(plan: Plan, store: Store, cpus: int) -> Iterator[Progress]:
    """Yield a display of the run of a plan: live if stdout is a terminal."""
    if not sys.stdout.isatty():
        yield Progress(plan, store, cpus, None)
        return
    with Live(console=Console(), refresh_per_second=4, transient=True) as live:
        yield Progress(plan, store, cpus, live)
