"""What is going on, for people: live on a terminal, plain lines with the time elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.console import duration, say
from harness.execution.queue import ReadyQueue
from harness.planning.estimate import Pace
from harness.planning.plan import Plan
from harness.stage import Stage
from harness.store.leases import Lease
from harness.store.local import Store

_REFRESH = 0.5
"""Seconds between two looks at what runs."""

_HEARTBEAT = 30.0
"""Seconds after which plain output says what runs, where nothing has ended since."""

_LOG_LINES = 12

_Said = dict[str, tuple[float, str]]
"""Key of a stage that runs → share of it that is done, and words."""


def print_failures(board: ReadyQueue, store: Store) -> None:
    """Every failed stage with its cause and the end of its log; how many others wait for it."""
    waiting = Counter(board.skipped.values())
    for key in sorted(board.failed):
        failure = store.failure(key)
        if failure is None:
            print(f"failed: {board.missing[key].label} (no record of why)")
            continue
        tries = f" (tried {failure.attempts} times)" if failure.attempts > 1 else ""
        print(f"failed: {failure.label}: {failure.error}{tries}")
        text = "\n".join(part for part in (failure.log.strip(), failure.traceback.strip()) if part)
        for line in text.splitlines()[-_LOG_LINES:]:
            print(f"    {line}")
        if waiting[key]:
            print(f"    {waiting[key]} stages wait for it")
        print(f"    all of it: {store.failure_file(key)}")


class Progress:
    """Follows a board; made for one run."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        cpus: int,
        live: Live | None,
        lease: Callable[[str], Lease | None] = lambda key: None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._cpus = cpus
        self._live = live
        self._lease = lease
        self._cached = len(plan.items) - len(plan.missing)
        self._begun: dict[str, float] = {}
        self._paces: dict[str, Pace] = {}
        self._ended: set[str] = set()
        self._retried = 0
        self._closed = False
        self._took: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._next = self._beat = time.monotonic() + _HEARTBEAT

    def watch(self, board: ReadyQueue) -> None:
        """Looks at the board, and shows what has changed."""
        now = time.monotonic()
        if board.closed and not self._closed:
            self._closed = True
            self._tell("stopping: what runs is finished and kept; Ctrl-C once more stops at once")
        for key in board.running:
            if key not in self._begun and (self._store.in_work(key) or self._lease(key)):
                self._begun[key] = now  # others wait in Tune's queue for a core
        for key, cause in board.retried[self._retried :]:
            self._tell(f"tried again: {board.missing[key].label}: {cause}")
        self._retried = len(board.retried)
        for key in board.ended[len(self._ended) :]:
            self._end(board, key, now)
        if self._live is not None and now >= self._next - _HEARTBEAT:
            self._next = now + _HEARTBEAT + _REFRESH
            self._live.update(self._table(board, now))
        elif self._live is None and now >= self._beat and board.running:
            self._beat = now + _HEARTBEAT
            said = self._said(board)
            running = ", ".join(self._running(board, said, now)) or "nothing yet"
            say(f"{self._head(board, said, now)}; running: {running}")

    def _tell(self, line: str) -> None:
        if self._live is None:
            say(line)
        else:
            self._live.console.print(line, style="red", markup=False)

    def _end(self, board: ReadyQueue, key: str, now: float) -> None:
        self._ended.add(key)
        stage = board.missing[key]
        manifest = self._store.manifest(stage.name, key) if key in board.done else None
        seconds = manifest["provenance"]["seconds"] if manifest else now - self._begun.get(key, now)
        self._took[_kind(stage)].append(seconds)
        words = "done" if key in board.done else "FAILED"
        line = f"{len(self._ended)}/{len(board.missing)} {words}: {stage.label} ({duration(seconds)})"
        if key in board.failed:
            failure = self._store.failure(key)
            line += f": {failure.error}" if failure else ""
        self._beat = now + _HEARTBEAT
        if self._live is None or key in board.failed:
            self._tell(line)

    def _head(self, board: ReadyQueue, said: _Said, now: float) -> str:
        parts = [f"{self._cached} cached", f"{len(board.done)} done", f"{board.left} left"]
        parts += [f"{len(board.failed)} failed"] if board.failed else []
        parts += [f"{len(board.skipped)} wait for a failed one"] if board.skipped else []
        left = self._seconds_left(board, said, now)
        parts += [f"about {duration(left)} to go"] if left is not None else []
        return ", ".join(parts) + (" (stopping: what runs is finished first)" if board.closed else "")

    def _seconds_left(self, board: ReadyQueue, said: _Said, now: float) -> float | None:
        """None until every kind of stage that is left has been seen once."""
        total = longest = 0.0
        for key, stage in board.missing.items():
            if key in self._ended or key in board.skipped:
                continue
            seen = self._took.get(_kind(stage))
            rest = fmean(seen) if seen else self._plan.items[key].seconds
            if key in said:
                rest = self._rest(key, said[key][0], rest, now)
            if rest is None:
                return None
            total += rest * (self._cpus if stage.resources.exclusive else stage.resources.cpus)
            longest = max(longest, rest)
        return max(total / self._cpus, longest)

    def _rest(self, key: str, share: float, expected: float | None, now: float) -> float | None:
        """Seconds that a running stage still takes: by its pace, or until that tells something by earlier ones."""
        rest = self._paces.setdefault(key, Pace(now, share)).rest(now, share) if share else None
        if rest is not None or expected is None:
            return rest
        return max(expected - (now - self._begun[key]), 0.0)

    def _said(self, board: ReadyQueue) -> _Said:
        """Share and words of every stage that runs."""
        said = {}
        for key in board.running:
            if key not in self._begun:
                continue
            share, words = self._store.progress(key)
            if not share and (lease := self._lease(key)):  # it runs where this home is not seen
                share, words = lease.share, lease.words
            said[key] = share, words
        return said

    def _running(self, board: ReadyQueue, said: _Said, now: float) -> list[str]:
        lines = []
        for key, (share, words) in said.items():
            about = f" {share:.0%}" if share else ""
            about += f" {words}" if words else ""
            lines.append(f"{board.running[key].label}{about} ({duration(now - self._begun[key])})")
        return lines

    def _table(self, board: ReadyQueue, now: float) -> Table:
        said = self._said(board)
        table = Table.grid(padding=(0, 1))
        table.add_row(Text(f"{self._plan.study.name}: {self._head(board, said, now)}", style="bold"))
        for line in self._running(board, said, now):
            table.add_row(Text(f"  ▸ {line}"))
        return table


@contextmanager
def progress(
    plan: Plan, store: Store, cpus: int, lease: Callable[[str], Lease | None] = lambda key: None
) -> Iterator[Progress]:
    """A display of the run of a plan: live where stdout is a terminal. `lease`: by the key, if others have one."""
    if not sys.stdout.isatty():
        yield Progress(plan, store, cpus, None, lease)
        return
    with Live(console=Console(), refresh_per_second=4, transient=True) as live:
        yield Progress(plan, store, cpus, live, lease)


def _kind(stage: Stage) -> tuple[str, str]:
    return stage.name, stage.run
