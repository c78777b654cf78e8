"""Plan → Ray Tune: one experiment, one trial for every stage that is missing. The only file that imports Ray.

A searcher hands out stages whose needs are published and nothing else. Whether a trial succeeded is read from the
store, not from Tune: Tune's own results, checkpoints and restore are not used."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from harness.board import Board
from harness.errors import ResourceError
from harness.stage import Stage
from harness.store import Failure, Store
from harness.work import Job, make_job, work

RETRIES = 2
"""Of a trial whose worker process died. What a stage raises is not retried."""

OBJECT_STORE = 200 * 1024 * 1024
"""Bytes; stages hand each other folders, so Ray carries little."""

_SOCKET_ROOM = 20
"""Longest temp folder, characters: Ray puts sockets of up to 107 characters under it."""


def check_resources(stages: Iterable[Stage], gpus: int) -> None:
    """Raises ResourceError if a stage asks for more GPUs than there are. Ray itself would wait in silence.

    CPUs beyond the machine's are no error: the stage gets what there is, and takes longer."""
    for stage in stages:
        if stage.resources.gpus > gpus:
            raise ResourceError(
                f"{stage.label} asks for {stage.resources.gpus:g} GPUs, and there are {gpus}; "
                "choose a smaller scale, or a machine that has them"
            )


@contextmanager
def local_ray(cpus: int, gpus: int) -> Iterator[None]:
    """Ray on this machine alone, started quietly; one that runs in this process already is used and left running."""
    _set_environment()
    import ray
    import ray.tune

    for name in ("ray", "ray.tune"):  # after the import, which sets levels itself
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    temp = ray_folder()
    _remove_leftovers(temp.parent)
    ray.init(
        address="local",
        num_cpus=cpus,
        num_gpus=gpus,
        object_store_memory=OBJECT_STORE,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(temp),
    )
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(temp, ignore_errors=True)


def ray_folder() -> Path:
    """Where Ray keeps sockets and logs of this process: in the system's temp folder, whose name is short and which no
    other machine shares; in `/tmp` where even that is long."""
    temp = Path(tempfile.gettempdir())
    return (temp if len(str(temp)) <= _SOCKET_ROOM else Path("/tmp")) / f"vos-ray-{os.getuid()}" / str(os.getpid())


def _remove_leftovers(folder: Path) -> None:
    """What killed runs of this user have left there."""
    for place in folder.glob("[0-9]*"):
        try:
            os.kill(int(place.name), 0)
        except ProcessLookupError:
            shutil.rmtree(place, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # another user's, or not ours at all


def run_stages(
    stages: Sequence[Stage],
    store: Store,
    *,
    cpus: int,
    expected: Mapping[str, float | None] | None = None,
    revision: str = "",
    watch: Callable[[Board], None] = lambda board: None,
) -> Board:
    """Runs the stages, which come needs first, on the Ray that is up; returns how every one ended.

    Needs that are not among them are published. `expected`: key → seconds, as far as known; long chains go first.

    `watch` is called about ten times a second. SIGINT once: what runs is finished and kept, nothing more is started;
    twice: KeyboardInterrupt, at once."""
    from ray import tune

    board = Board(
        missing={stage.key: stage for stage in stages},
        expected=expected or {},
        is_published=lambda stage: store.find(stage.name, stage.key) is not None,
        is_held=lambda stage: store.in_work(stage.key),
    )
    storage = ray_folder() / "tune"
    stop = storage / f"stop-{time.time_ns()}"
    needs_gpu = any(stage.resources.gpus > 0 for stage in stages)
    tuner = tune.Tuner(
        tune.with_resources(_trial, lambda config: _placement(config["job"].stage, cpus)),
        tune_config=tune.TuneConfig(
            search_alg=_searcher(board, store, cpus, revision, stop),
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
            callbacks=[_watcher(board, watch)],
        ),
    )
    try:
        with _gentle_interrupt(board, stop):
            tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    watch(board)
    return board


def _trial(config: dict[str, Any]) -> None:
    parcel: _Parcel = config["job"]
    if not parcel.stop.exists():  # Tune cannot take back a trial that waits for its turn
        work(parcel.job)


class _Parcel:
    """A job that Tune may copy and print as often as it likes."""

    def __init__(self, job: Job, stop: Path) -> None:
        self.job = job
        self.stop = stop

    @property
    def stage(self) -> Stage:
        return self.job.stage

    def __deepcopy__(self, memo: dict[int, Any]) -> _Parcel:
        return self

    def __repr__(self) -> str:
        return self.job.key[:16]


def _searcher(board: Board, store: Store, cpus: int, revision: str, stop: Path) -> Any:
    from ray.tune.search import Searcher

    class ReadyStages(Searcher):
        """Suggests stages whose needs are published."""

        def __init__(self) -> None:
            super().__init__(metric="none", mode="max")
            self.trials: dict[str, tuple[Stage, float]] = {}

        def suggest(self, trial_id: str) -> Any:
            stage = board.take()
            if stage is None:
                return Searcher.FINISHED if board.finished else None
            self.trials[trial_id] = stage, time.time()
            return {"job": _Parcel(make_job(stage, store, threads(stage, cpus), revision), stop)}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:  # noqa: ARG002
            stage, begun = self.trials.pop(trial_id)
            failure = store.failure(stage.key)
            if store.find(stage.name, stage.key) is not None:
                board.finish(stage.key, published=True)
            elif error:
                store.fail(_death(stage, store))
                board.finish(stage.key, published=False)
            elif board.closed and (failure is None or failure.when < begun):
                board.release(stage.key)
            else:
                board.finish(stage.key, published=False)

        def save(self, checkpoint_path: str) -> None:
            """Nothing: the store is the truth."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing."""

    return ReadyStages()


def threads(stage: Stage, cpus: int) -> int:
    """CPU threads that a stage may use on a machine with that many cores."""
    return max(1, min(int(stage.resources.cpus), cpus))


def _placement(stage: Stage, cpus: int) -> Any:
    from ray import tune

    share = float(cpus) if stage.resources.exclusive else min(stage.resources.cpus, float(cpus))
    bundle = {"CPU": share} | ({"GPU": stage.resources.gpus} if stage.resources.gpus else {})
    return tune.PlacementGroupFactory([bundle])


def _death(stage: Stage, store: Store) -> Failure:
    return Failure(
        key=stage.key,
        label=stage.label,
        error=f"the worker process died {RETRIES + 1} times (killed, out of memory, or crashed)",
        traceback="",
        log=store.log_tail(stage.key),
        when=time.time(),
    )


def _watcher(board: Board, watch: Callable[[Board], None]) -> Any:
    from ray.tune.progress_reporter import TrialProgressCallback

    class Watcher(TrialProgressCallback):
        """Lets the display follow, and is in the place of Tune's own lines, which `verbose=0` does not stop."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch(board)

        def log_result(self, *_: Any, **__: Any) -> None:
            """Nothing: the display says it."""

        def _print(self, msg: str) -> None:
            """Nothing."""

    return Watcher()


@contextmanager
def _gentle_interrupt(board: Board, stop: Path) -> Iterator[None]:
    """The first SIGINT closes the board and makes the file `stop`, the next one interrupts."""
    before = signal.getsignal(signal.SIGINT)

    def close(_number: int, _frame: FrameType | None) -> None:
        board.closed = True
        stop.parent.mkdir(parents=True, exist_ok=True)
        stop.touch()
        signal.signal(signal.SIGINT, before)

    try:
        signal.signal(signal.SIGINT, close)
    except ValueError:  # not the main thread: whoever runs this there catches signals itself
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _set_environment() -> None:
    """Ray reads these when it is imported or started; what the user has set stays."""
    quiet = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TQDM": "0",
        "RAY_DEDUP_LOGS": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_WARN_THRESHOLD_S": "60",
        "TUNE_GLOBAL_CHECKPOINT_S": "3600",
        # More stages wait in Tune's queue than run, or starts would be one at a time; few, so that the order holds.
        "TUNE_MAX_PENDING_TRIALS_PG": "4",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_MODE" not in os.environ:  # a secret of this run's own, so that no other user can send it work
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
