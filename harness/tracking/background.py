"""Writes every cell and every training to MLflow as soon as it is complete, while the study runs.

This happens in a thread of the driver, so that a slow or missing tracking server does not delay the study. What is not
written here is written at the end by `harness.tracking.sync.record`, or later by `resync`."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from harness.errors import StoreError
from harness.planning.plan import Cell, Plan
from harness.results.saved import load_fact, save_facts
from harness.stage import Stage
from harness.store.local import Store
from harness.tracking.connection import errors
from harness.tracking.records import load_runs
from harness.tracking.run_spec import RunSpec, describe_cells, describe_study, describe_training
from harness.tracking.sync import failure_message
from harness.tracking.writer import Publisher

PAUSE = 2.0
"""Seconds between two batches, so that cells that end close together are written together."""

_FIRST_RETRY, _LAST_RETRY = 10.0, 300.0
"""Seconds before a server that failed is asked again; doubled after each failure."""

_KILLED_PATIENCE = 5.0
"""Seconds that a run that was cut off waits: a scheduler kills it half a minute after its SIGTERM."""

_log = logging.getLogger(__name__)


class Recorder:
    """Follows one run of a study."""

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
        self._killed = False
        self._thread = threading.Thread(target=self._write, name="mlflow", daemon=True)
        self._thread.start()

    def watch(self, ended: Sequence[str], done: Container[str]) -> None:
        """Note what was published since the last call; cheap.

        `ended`: keys of the stages that have ended, in order. `done`: those that are published."""
        new = [key for key in ended[self._seen :] if key in done]
        self._seen = len(ended)
        for key in new:
            self._ready.put(key)
            for cell in self._cells[key]:
                self._open[cell.name] -= 1
                if not self._open[cell.name]:
                    self._ready.put(cell)

    def close(self, timeout: float, *, killed: bool = False) -> None:
        """Write nothing more; wait at most `timeout` seconds for the batch that is being written.

        `killed`: whether the run was cut off; then its parent run, if there is one, is closed as KILLED."""
        self._killed = killed
        self._closed.set()
        self._thread.join(timeout)

    def _write(self) -> None:
        pending: dict[str, RunSpec] = {}
        home, study = self._store.home, self._plan.study.name
        publisher: Publisher | None = None
        has_views = False
        retry = _FIRST_RETRY
        while not self._closed.wait(PAUSE):
            cells = list(self._drain(pending))
            here = [cell for cell in cells if self._fetch(cell.targets)]
            for run in describe_cells(self._plan, self._store, here) if here else []:
                pending[run.id] = run
            self._filled += len(cells)
            if not pending:
                continue
            parent = describe_study(self._plan, filled=self._filled, planned=self._planned, running=True)
            try:
                publisher = publisher or Publisher(home, study)
                with publisher.locked():
                    if load_fact(home, study, "recorded_at"):  # by another run of this study, which has ended
                        save_facts(home, study, recorded_at="")
                    publisher.publish([parent, *pending.values()])
                    if not has_views:
                        publisher.open_on([*load_runs(home, study), parent, *describe_cells(self._plan, self._store)])
                        has_views = True
                pending.clear()
                retry = _FIRST_RETRY
            except errors(StoreError) as error:
                if retry == _FIRST_RETRY:
                    _log.warning("%s %s", time.strftime("%H:%M:%S"), failure_message(home, study, error))
                publisher = None
                self._closed.wait(retry)
                retry = min(2 * retry, _LAST_RETRY)
        if self._killed and publisher is not None:
            parent = describe_study(self._plan, filled=self._filled, planned=self._planned, running=True)
            with suppress(*errors(StoreError)), publisher.locked():  # the next run opens it again
                publisher.publish([replace(parent, status="KILLED")])

    def _drain(self, pending: dict[str, RunSpec]) -> Iterator[Cell]:
        """Yield the cells that are complete by now; put trainings into `pending`."""
        while not self._ready.empty():
            entry = self._ready.get()
            if isinstance(entry, Cell):
                yield entry
            elif self._fetch([self._plan.items[entry].stage]) and (
                run := describe_training(self._plan, self._store, entry)
            ):
                pending[run.id] = run

    def _fetch(self, stages: Iterable[Stage]) -> bool:
        """Return whether the stages can be read here; those that cannot be fetched now are recorded at the end."""
        try:
            self._store.fetch(stages)
        except StoreError:
            return False
        return True


@contextmanager
def recording(plan: Plan, store: Store, timeout: float) -> Iterator[Recorder]:
    """Yield a recorder for the time of a run; wait at most `timeout` seconds for it afterwards."""
    recorder = Recorder(plan, store)
    try:
        yield recorder
    except BaseException:
        recorder.close(_KILLED_PATIENCE, killed=True)
        raise
    recorder.close(timeout)
