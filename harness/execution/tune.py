"""A plan's missing stages on Ray Tune: one experiment, one trial per stage.

A searcher suggests stages whose needs are published and nothing else. Whether a trial succeeded is read from the store,
not from Tune: Tune's own results, checkpoints and restore are not used."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from harness.errors import DiskFullError
from harness.execution.cluster import Cluster, Node, ray_folder
from harness.execution.queue import ReadyQueue
from harness.execution.worker import Job, is_stopped, make_job, work
from harness.files import disk_full, has_no_room
from harness.memory import release_memory
from harness.stage import Stage
from harness.store import Failure, Store

RETRIES = 2
"""Retries of a trial whose worker died or was killed for its time limit. A stage that raises is not retried."""

_MAX_PENDING = "TUNE_MAX_PENDING_TRIALS_PG"


_METRIC = "none"
"""Name of the metric that Tune insists on; nothing reads it."""

_CAUSE = "cause"
"""Result of a trial that failed and could not record why."""


def run_stages(
    stages: Sequence[Stage],
    store: Store,
    *,
    cpus: int,
    cluster: Cluster | None = None,
    expected: Mapping[str, float | None] | None = None,
    revision: str = "",
    time_limit: float | None = None,
    watch: Callable[[ReadyQueue], None] = lambda queue: None,
) -> ReadyQueue:
    """Run the stages, needs first, on the Ray that is up; return the queue, which says how every one ended.

    Needs that are not among them are published. `cpus`: cores of this machine; `cluster`: where Ray runs, if that is
    not this machine alone. `expected`: key → seconds, as far as known; long chains go first. `time_limit`: seconds for
    an attempt at a stage that has no limit of its own; one that takes longer is killed.

    `watch` is called about ten times a second. The first SIGINT lets running stages finish and starts no more; the
    second raises KeyboardInterrupt at once, and so do the signals of `harness.signals`."""
    from ray import tune

    cluster = cluster or Cluster(nodes=(Node(id="", address="", cpus=cpus),), storage=ray_folder() / "tune")
    queue = ReadyQueue(
        missing={stage.key: stage for stage in stages},
        expected=expected or {},
        is_published=lambda stage: store.find(stage.name, stage.key) is not None,
        is_taken=lambda stage: store.is_taken(stage.key),
    )
    storage = cluster.storage
    stop = storage / f"stop-{time.time_ns()}"
    needs_gpu = any(stage.resources.gpus > 0 for stage in stages)
    active: dict[str, Any] = {}

    def job_of(stage: Stage) -> _Parcel:
        cpus = threads(stage, cluster.cores_for(stage.resources))
        return _Parcel(make_job(stage, store, cpus, revision, time_limit), stop)

    tuner = tune.Tuner(
        tune.with_resources(_trial, lambda config: _placement(config["job"].stage, cluster)),
        tune_config=tune.TuneConfig(
            search_alg=_searcher(queue, store, job_of, active),
            num_samples=-1,
            reuse_actors=not needs_gpu,  # a fresh process gives GPU memory back
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"run-{time.time_ns()}",
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[_watcher(queue, store, watch, active)],
        ),
    )
    try:
        with _graceful_interrupt(queue, stop), _pending_trials(max(4, cluster.cpus)):
            tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
        if queue.closed:
            store.end_run()
    watch(queue)
    return queue


@contextmanager
def _pending_trials(count: int) -> Iterator[None]:
    """Let this many trials wait in Tune's queue, unless the user has set a number.

    As many as can run at once, or some CPUs of a cluster would idle; no more, so that long chains go first."""
    if _MAX_PENDING in os.environ:
        yield
        return
    os.environ[_MAX_PENDING] = str(count)
    try:
        yield
    finally:
        del os.environ[_MAX_PENDING]


def _trial(config: dict[str, Any]) -> dict[str, Any] | None:
    parcel: _Parcel = config["job"]
    if parcel.stop.exists() or is_stopped(parcel.job):  # Tune cannot withdraw a trial that waits for its turn
        return None
    try:
        work(parcel.job, wait=False)
    except DiskFullError as error:  # another attempt would fail as well
        return {_METRIC: 0.0, _CAUSE: str(error)}
    release_memory()
    return None


class _Parcel:
    """A job that Tune can copy and print cheaply."""

    def __init__(self, job: Job, stop: Path) -> None:
        self.job = job
        self.stop = stop

    @cached_property
    def _packed(self) -> bytes:
        """The pickled job: Tune pickles a trial's config about ten times."""
        from ray import cloudpickle

        return bytes(cloudpickle.dumps(self.job))  # type: ignore[no-untyped-call]

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self._packed, self.stop)

    @property
    def stage(self) -> Stage:
        return self.job.stage

    def __deepcopy__(self, memo: dict[int, Any]) -> _Parcel:
        return self

    def __repr__(self) -> str:
        return self.job.key[:16]


def _unpack(packed: bytes, stop: Path) -> _Parcel:
    from ray import cloudpickle

    return _Parcel(cloudpickle.loads(packed), stop)


class _Unpickled:
    """Base of objects that pickle as nothing: Tune pickles searcher and callbacks for a restore that is not used."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


def _searcher(queue: ReadyQueue, store: Store, job_of: Callable[[Stage], _Parcel], active: Mapping[str, Any]) -> Any:
    from ray.tune.search import Searcher

    class ReadyStages(_Unpickled, Searcher):
        """Suggest stages whose needs are published."""

        def __init__(self) -> None:
            super().__init__(metric=_METRIC, mode="max")
            self.begun: dict[str, tuple[Stage, float]] = {}

        def suggest(self, trial_id: str) -> Any:
            stage = queue.take()
            if stage is None:
                return Searcher.FINISHED if queue.finished else None
            self.begun[trial_id] = stage, time.time()
            return {"job": job_of(stage)}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            stage, begun = self.begun.pop(trial_id)
            if store.is_published(stage.name, stage.key):
                queue.finish(stage.key, published=True)
            elif store.failure(stage.key, since=begun) is not None:
                queue.finish(stage.key, published=False)
            elif (queue.closed or store.url) and not error:
                queue.release(stage.key)  # not begun: no more stages are, or another home was first
            else:
                cause = _cause(stage, store, active.get(trial_id)) if error else (result or {}).get(_CAUSE, _UNKNOWN)
                tries = RETRIES + 1 if error else 1
                cause = f"the worker process died {tries} times: {cause}" if error else cause
                if not _record_failure(stage, store, cause, tries):
                    queue.causes[stage.key] = cause
                queue.finish(stage.key, published=False)

        def save(self, checkpoint_path: str) -> None:
            """Save nothing: only the store counts."""

        def restore(self, checkpoint_path: str) -> None:
            """Restore nothing."""

    return ReadyStages()


def threads(stage: Stage, cpus: int) -> int:
    """Return how many CPU threads a stage may use on a machine with that many cores."""
    return max(1, min(int(stage.resources.cpus), cpus))


def _placement(stage: Stage, cluster: Cluster) -> Any:
    from ray import tune

    wanted = stage.resources
    bundle = {"CPU": min(wanted.cpus, float(cluster.cores_for(wanted)))}
    if wanted.exclusive:  # all cores of one known machine, so that nothing else fits on it
        bundle = {"CPU": float(cluster.largest.cpus)}
        if cluster.largest.address:
            bundle[f"node:{cluster.largest.address}"] = 0.001
    bundle |= {"GPU": wanted.gpus} if wanted.gpus else {}
    bundle |= {"memory": wanted.memory} if wanted.memory else {}
    return tune.PlacementGroupFactory([bundle])


_UNKNOWN = "it ended without a result and without a record of why"


def _cause(stage: Stage, store: Store, trial: Any) -> str:
    """Return why the worker of a stage died, as far as can be known."""
    for folder in (store.home, ray_folder().parent):
        if has_no_room(folder):
            return disk_full(folder)
    attempt = store.last_attempt(stage.key)
    limit, begun = attempt.get("time_limit"), attempt.get("begun")
    if limit and begun and time.time() - begun >= limit:
        return f"killed, as it took longer than its time limit of {limit:g} s"
    crash = re.findall(r"Fatal Python error: (.+)", store.log_tail(stage.key, lines=200))
    if crash:
        return f"crashed ({crash[-1].strip()})"
    text = ""
    if trial is not None and trial.error_file:
        with suppress(OSError):
            text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    last = text.strip().splitlines()[-1] if text.strip() else ""
    if "OutOfMemoryError" in text or "OOM kill reason" in text:
        return "out of memory, killed by Ray"
    if "node has died" in text or "node died" in text or "ActorUnavailableError" in last:
        return "its machine was lost"
    if last.startswith("harness.errors."):
        return last.partition(": ")[2]
    return "killed from outside, most often by the system for want of memory"


def _record_failure(stage: Stage, store: Store, error: str, attempts: int) -> bool:
    """Record why a stage failed and return whether that was possible: the disk may be full."""
    log = store.log_tail(stage.key)
    failure = Failure(
        key=stage.key, label=stage.label, error=error, traceback="", log=log, when=time.time(), attempts=attempts
    )
    try:
        store.fail(failure)
    except OSError:
        return False
    return True


def _watcher(queue: ReadyQueue, store: Store, watch: Callable[[ReadyQueue], None], active: dict[str, Any]) -> Any:
    from ray.tune.progress_reporter import TrialProgressCallback

    class Watcher(_Unpickled, TrialProgressCallback):
        """Update the display, and replace Tune's own lines, which `verbose=0` does not stop."""

        stopped = False

        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch(queue)
            if queue.closed and not self.stopped:
                self.stopped = True
                store.stop()

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            active[trial.trial_id] = trial

        def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            active[trial.trial_id] = trial  # it may have died before it started
            stage = queue.missing[trial.config["job"].job.key]
            queue.retried.append((stage.key, _cause(stage, store, trial)))

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            active.pop(trial.trial_id, None)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            active.pop(trial.trial_id, None)

        def log_result(self, *_: Any, **__: Any) -> None:
            """Print nothing: the display does."""

        def _print(self, msg: str) -> None:
            """Print nothing."""

    return Watcher()


@contextmanager
def _graceful_interrupt(queue: ReadyQueue, stop: Path) -> Iterator[None]:
    """Let the first SIGINT close the queue and make the file `stop`, and the next one interrupt.

    That holds even if SIGINT was ignored, as it is in what a shell script starts in the background."""
    before = signal.getsignal(signal.SIGINT)
    interrupt = before if callable(before) else signal.default_int_handler

    def close(_number: int, _frame: FrameType | None) -> None:
        queue.closed = True
        stop.parent.mkdir(parents=True, exist_ok=True)
        stop.touch()
        signal.signal(signal.SIGINT, interrupt)

    try:
        signal.signal(signal.SIGINT, close)
    except ValueError:  # not the main thread: its caller handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
