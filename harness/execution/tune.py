"""Plan → Ray Tune: one experiment, one trial for every stage that is missing.

A searcher hands out stages whose needs are published and nothing else. Whether a trial succeeded is read from the
store, not from Tune: Tune's own results, checkpoints and restore are not used."""

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

from harness.errors import RemoteError
from harness.execution.cluster import Cluster, Node, ray_folder
from harness.execution.queue import ReadyQueue
from harness.execution.worker import Job, is_stopped, make_job, work
from harness.memory import release_memory
from harness.stage import Stage
from harness.store.leases import Lease
from harness.store.local import Failure, Store
from harness.store.mirror import Mirror

RETRIES = 2
"""Of a trial whose worker process died or was killed for its time limit. What a stage raises is not retried."""

_QUEUE = "TUNE_MAX_PENDING_TRIALS_PG"


def run_stages(
    stages: Sequence[Stage],
    store: Store,
    *,
    cpus: int,
    cluster: Cluster | None = None,
    expected: Mapping[str, float | None] | None = None,
    revision: str = "",
    time_limit: float | None = None,
    mirror: Mirror | None = None,
    lease: Callable[[str], Lease | None] = lambda key: None,
    watch: Callable[[ReadyQueue], None] = lambda board: None,
) -> ReadyQueue:
    """Runs the stages, which come needs first, on the Ray that is up; returns how every one ended.

    Needs that are not among them are published. `cpus`: cores of this machine; `cluster`: where Ray runs, if that is
    elsewhere too. `expected`: key → seconds, as far as known; long chains go first. `time_limit`: seconds for an
    attempt at a stage that has no limit of its own; one that takes longer is killed. `mirror`: of the URL that the
    store is shared at, if it is; `lease`: by the key, the one that is in force there.

    `watch` is called about ten times a second. SIGINT once: what runs is finished and kept, nothing more is started;
    twice: KeyboardInterrupt, at once."""
    from ray import tune

    cluster = cluster or Cluster(nodes=(Node(id="", address="", cpus=cpus),), storage=ray_folder() / "tune")
    board = ReadyQueue(
        missing={stage.key: stage for stage in stages},
        expected=expected or {},
        is_published=lambda stage: store.find(stage.name, stage.key) is not None,
        is_held=lambda stage: store.in_work(stage.key) or _is_held_elsewhere(lease(stage.key), mirror),
    )
    storage = cluster.storage
    stop = storage / f"stop-{time.time_ns()}"
    needs_gpu = any(stage.resources.gpus > 0 for stage in stages)
    live: dict[str, Any] = {}

    def job_of(stage: Stage) -> _Parcel:
        return _Parcel(make_job(stage, store, threads(stage, cluster.cores), revision, time_limit, mirror), stop)

    tuner = tune.Tuner(
        tune.with_resources(_trial, lambda config: _placement(config["job"].stage, cluster)),
        tune_config=tune.TuneConfig(
            search_alg=_searcher(board, store, job_of, live, mirror),
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
            callbacks=[_watcher(board, store, watch, live, mirror)],
        ),
    )
    try:
        with _gentle_interrupt(board, stop), _waiting(max(4, cluster.cpus)):
            tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
        if mirror is not None and board.closed:
            mirror.forget_run()
    watch(board)
    return board


@contextmanager
def _waiting(count: int) -> Iterator[None]:
    """Lets so many stages wait in Tune's queue, if the user has not said how many: as many as can run at once, or not
    all CPUs of a cluster are used; no more, so that long chains go first."""
    if _QUEUE in os.environ:
        yield
        return
    os.environ[_QUEUE] = str(count)
    try:
        yield
    finally:
        del os.environ[_QUEUE]


def _trial(config: dict[str, Any]) -> None:
    parcel: _Parcel = config["job"]
    if not parcel.stop.exists() and not is_stopped(parcel.job):  # Tune cannot take back a trial that waits for its turn
        work(parcel.job, wait=False)
        release_memory()


class _Parcel:
    """A job that Tune may copy and print as often as it likes."""

    def __init__(self, job: Job, stop: Path) -> None:
        self.job = job
        self.stop = stop

    @cached_property
    def _packed(self) -> bytes:
        """Tune pickles a trial's config some ten times."""
        from ray import cloudpickle

        return cloudpickle.dumps(self.job)

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


class _Unkept:
    """Tune pickles what it is given, for a restore that is never used: of this, nothing."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


def _is_held_elsewhere(lease: Lease | None, mirror: Mirror | None) -> bool:
    return lease is not None and mirror is not None and not mirror.leases.is_ours(lease)


def _is_published(stage: Stage, store: Store, mirror: Mirror | None) -> bool:
    """In the home, or at the URL, where a node that does not see this home has put it."""
    if store.find(stage.name, stage.key) is not None:
        return True
    if mirror is None:
        return False
    with suppress(RemoteError):
        return mirror.has(stage.name, stage.key)
    return False


def _searcher(
    board: ReadyQueue, store: Store, job_of: Callable[[Stage], _Parcel], live: Mapping[str, Any], mirror: Mirror | None
) -> Any:
    from ray.tune.search import Searcher

    class ReadyStages(_Unkept, Searcher):
        """Suggests stages whose needs are published."""

        def __init__(self) -> None:
            super().__init__(metric="none", mode="max")
            self.begun: dict[str, tuple[Stage, float]] = {}

        def suggest(self, trial_id: str) -> Any:
            stage = board.take()
            if stage is None:
                return Searcher.FINISHED if board.finished else None
            self.begun[trial_id] = stage, time.time()
            return {"job": job_of(stage)}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:  # noqa: ARG002
            stage, begun = self.begun.pop(trial_id)
            if _is_published(stage, store, mirror):
                board.finish(stage.key, published=True)
                return
            failure = store.failure(stage.key)
            if mirror is not None and (failure is None or failure.when < begun):
                mirror.failure(stage.key, begun)
                failure = store.failure(stage.key)
            fresh = failure is not None and failure.when >= begun
            if (board.closed or mirror is not None) and not error and not fresh:
                board.release(stage.key)  # it was not begun: no more is, or another home was quicker
                return
            if not fresh:
                cause = _cause(stage, store, live.get(trial_id)) if error else _UNKNOWN
                tries = RETRIES + 1 if error else 1
                _keep(stage, store, f"the worker process died {tries} times: {cause}" if error else cause, tries)
            board.finish(stage.key, published=False)

        def save(self, checkpoint_path: str) -> None:
            """Nothing: the store is the truth."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing."""

    return ReadyStages()


def threads(stage: Stage, cpus: int) -> int:
    """CPU threads that a stage may use on a machine with that many cores."""
    return max(1, min(int(stage.resources.cpus), cpus))


def _placement(stage: Stage, cluster: Cluster) -> Any:
    from ray import tune

    wanted = stage.resources
    bundle = {"CPU": min(wanted.cpus, float(cluster.cores))}
    if wanted.exclusive:  # all cores of one known machine, so that nothing else fits beside it
        bundle = {"CPU": float(cluster.largest.cpus)}
        if cluster.largest.address:
            bundle[f"node:{cluster.largest.address}"] = 0.001
    bundle |= {"GPU": wanted.gpus} if wanted.gpus else {}
    bundle |= {"memory": wanted.memory} if wanted.memory else {}
    return tune.PlacementGroupFactory([bundle])


_UNKNOWN = "it ended without a result, and left no record of why: is the disk full?"


def _cause(stage: Stage, store: Store, trial: Any) -> str:
    """Why the worker of a stage died, as far as it can be told."""
    attempt = store.attempt(stage.key)
    limit, begun = attempt.get("time_limit"), attempt.get("begun")
    if limit and begun and time.time() - begun >= limit:
        return f"killed, as it took longer than its time limit of {limit:g} s"
    crash = re.findall(r"Fatal Python error: (.+)", store.log_tail(stage.key, lines=200))
    if crash:
        return f"crashed ({crash[-1].strip()})"
    text = ""
    if trial is not None and trial.error_file:
        with suppress(OSError):
            text = Path(trial.error_file).read_text(errors="replace")
    last = text.strip().splitlines()[-1] if text.strip() else ""
    if "OutOfMemoryError" in text or "OOM kill reason" in text:
        return "out of memory, killed by Ray"
    if "node has died" in text or "node died" in text or "ActorUnavailableError" in last:
        return "its machine was lost"
    if last.startswith("harness.errors."):
        return last.partition(": ")[2]
    return "killed from outside, most often by the system for want of memory"


def _keep(stage: Stage, store: Store, error: str, attempts: int) -> None:
    log = store.log_tail(stage.key)
    failure = Failure(
        key=stage.key, label=stage.label, error=error, traceback="", log=log, when=time.time(), attempts=attempts
    )
    with suppress(OSError):  # the disk may be full: the cell says then that it was not run
        store.fail(failure)


def _watcher(
    board: ReadyQueue, store: Store, watch: Callable[[ReadyQueue], None], live: dict[str, Any], mirror: Mirror | None
) -> Any:
    from ray.tune.progress_reporter import TrialProgressCallback

    class Watcher(_Unkept, TrialProgressCallback):
        """Lets the display follow, and is in the place of Tune's own lines, which `verbose=0` does not stop."""

        told = False

        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch(board)
            if board.closed and mirror is not None and not self.told:
                self.told = True
                mirror.stop()

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            live[trial.trial_id] = trial

        def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            live[trial.trial_id] = trial  # it may have died before it started
            stage = board.missing[trial.config["job"].job.key]
            board.retried.append((stage.key, _cause(stage, store, trial)))

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            live.pop(trial.trial_id, None)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
            live.pop(trial.trial_id, None)

        def log_result(self, *_: Any, **__: Any) -> None:
            """Nothing: the display says it."""

        def _print(self, msg: str) -> None:
            """Nothing."""

    return Watcher()


@contextmanager
def _gentle_interrupt(board: ReadyQueue, stop: Path) -> Iterator[None]:
    """The first SIGINT closes the board and makes the file `stop`, the next one interrupts.

    Also where SIGINT was ignored, as it is in what a shell script starts in the background."""
    before = signal.getsignal(signal.SIGINT)
    interrupt = before if callable(before) else signal.default_int_handler

    def close(_number: int, _frame: FrameType | None) -> None:
        board.closed = True
        stop.parent.mkdir(parents=True, exist_ok=True)
        stop.touch()
        signal.signal(signal.SIGINT, interrupt)

    try:
        signal.signal(signal.SIGINT, close)
    except ValueError:  # not the main thread: whoever runs this there catches signals itself
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
