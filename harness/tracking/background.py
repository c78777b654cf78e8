"""MLflow while a study runs: every cell and every training is written as soon as it is complete.

In a thread of the driver, so that a tracking server that is slow or gone costs the study nothing: what is not written
here, `harness.tracking.sync.record` writes at the end, or `resync` later."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from harness.errors import StoreError
from harness.execution.queue import ReadyQueue
from harness.planning.plan import Cell, Plan
from harness.results.rows import remember, remembered
from harness.stage import Stage
from harness.store.local import Store
from harness.tracking.run_spec import Run, parent_run, project, project_training
from harness.tracking.sync import complaint
from harness.tracking.writer import Publisher, errors

PAUSE = 2.0
"""Seconds between two batches: what ends close together is written together."""

_FIRST_RETRY, _LAST_RETRY = 10.0, 300.0
"""Seconds after which a server that failed is asked again; doubled each time."""


class Recorder:
    """Follows a board; made for one run of a study."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan = plan
        self._store = store
        self._seen = 0
        self._open: dict[str, int] = {}
        self._cells: dict[str, list[Cell]] = defaultdict(list)
        for cell in plan.cells:
            missing = {stage.key for stage in cell.targets if plan.items[stage.key].state != "cached"}
            self._open[cell.name] = len(missing)
            for key in missing:
                self._cells[key].append(cell)
        self._planned = sum(1 for cell in plan.cells if cell.targets)
        self._filled = sum(1 for cell in plan.cells if cell.targets and not self._open[cell.name])
        self._ready: queue.SimpleQueue[Cell | str] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write, name="mlflow", daemon=True)
        self._thread.start()

    def watch(self, board: ReadyQueue) -> None:
        """Notes what is done since the last look; costs next to nothing."""
        new = [key for key in board.ended[self._seen :] if key in board.done]
        self._seen = len(board.ended)
        for key in new:
            self._ready.put(key)
            for cell in self._cells[key]:
                self._open[cell.name] -= 1
                if not self._open[cell.name]:
                    self._ready.put(cell)

    def close(self, patience: float) -> None:
        """Writes no more; waits for the batch that is being written, `patience` seconds at most."""
        self._closed.set()
        self._thread.join(patience)

    def _write(self) -> None:
        pending: dict[str, Run] = {}
        home, study = self._store.home, self._plan.study.name
        publisher: Publisher | None = None
        retry = _FIRST_RETRY
        while not self._closed.wait(PAUSE):
            cells = list(self._drain(pending))
            here = [cell for cell in cells if self._bring(cell.targets)]
            for run in project(self._plan, self._store, here) if here else []:
                pending[run.id] = run
            self._filled += len(cells)
            if not pending:
                continue
            root = parent_run(self._plan, filled=self._filled, planned=self._planned, running=True)
            try:
                publisher = publisher or Publisher(home, study)
                with publisher.alone():
                    if remembered(home, study, "recorded_at"):  # by another run of this study, which has ended
                        remember(home, study, recorded_at="")
                    publisher.publish([root, *pending.values()])
                pending.clear()
                retry = _FIRST_RETRY
            except _failures() as error:
                if retry == _FIRST_RETRY:
                    words = complaint(home, study, error)
                    print(time.strftime("%H:%M:%S"), words, file=sys.stderr, flush=True)
                publisher = None
                self._closed.wait(retry)
                retry = min(2 * retry, _LAST_RETRY)

    def _drain(self, pending: dict[str, Run]) -> Iterator[Cell]:
        """The cells that are complete by now; trainings go to `pending`."""
        while not self._ready.empty():
            entry = self._ready.get()
            if isinstance(entry, Cell):
                yield entry
            elif self._bring([self._plan.items[entry].stage]) and (
                run := project_training(self._plan, self._store, entry)
            ):
                pending[run.id] = run

    def _bring(self, stages: Iterable[Stage]) -> bool:
        """Whether the stages can be read; those that cannot be had now are recorded at the end."""
        try:
            self._store.fetch(stages)
        except StoreError:
            return False
        return True


def _failures() -> tuple[type[Exception], ...]:
    return (*errors(), StoreError)


@contextmanager
def recording(plan: Plan, store: Store, patience: float) -> Iterator[Recorder]:
    """A recorder while a study runs."""
    recorder = Recorder(plan, store)
    try:
        yield recorder
    except BaseException:
        recorder.close(0.0)  # interrupted or broken: nobody waits for a server
        raise
    recorder.close(patience)
