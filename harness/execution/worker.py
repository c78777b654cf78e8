"""One stage, run in this process: claimed, given its folders, published or its failure kept. Knows no scheduler."""

from __future__ import annotations

import errno
import faulthandler
import os
import platform
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, RemoteError, StoreError
from harness.hardware import describe_hardware
from harness.stage import Stage, Task
from harness.store.local import Failure, Store, Workplace, node_home, store_id

if TYPE_CHECKING:
    from harness.store.mirror import Mirror

LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "torch", "torchvision", "ray", "mlflow")
_PROGRESS_EVERY = 0.5
"""Seconds between two writes of the progress file."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stage as it travels to a worker: without what it needs, but with where that lies."""

    stage: Stage
    key: str
    identity: dict[str, Any]
    needs: Mapping[str, Path]
    home: Path
    cpus: int
    revision: str
    time_limit: float | None = None
    url: str = ""
    """Where homes share what they have; empty if they do not."""

    run: str = ""
    """Of the driver, at the URL."""

    home_id: str = ""
    """Of the driver's home, where there is a URL: on another node the folder of that name may be another one."""


def make_job(
    stage: Stage,
    store: Store,
    cpus: int,
    revision: str,
    time_limit: float | None = None,
    mirror: Mirror | None = None,
) -> Job:
    """The job of a stage whose needs are published. `time_limit`: seconds, for a stage that has none of its own."""
    own = stage.resources.time_limit
    return Job(
        stage=replace(stage, needs={}),
        key=stage.key,
        identity=stage.identity,
        needs={role: store.folder(need.name, need.key) for role, need in stage.needs.items()},
        home=store.home,
        cpus=cpus,
        revision=revision,
        time_limit=time_limit if own is None else own,
        url=mirror.url if mirror else "",
        run=mirror.run if mirror else "",
        home_id=store_id(store.home) if mirror else "",
    )


def work(job: Job, *, wait: bool = True) -> bool:
    """Runs the stage unless it is published by now; whether it is published at the end. Without `wait` it is left alone
    if another home that shares the URL is at it.

    What the stage raises is kept in the store and not raised again. What it prints goes to its log. With a time limit
    this process is killed when it is over."""
    store = _store(job.home, job.url)
    with store.claim(job.key):
        if job.url:
            mirror = _mirror(job.home, job.url, job.run)
            is_driver_s = store_id(store.home) == job.home_id
            attempt = partial(_attempt, job, store, mirror)
            return mirror.share(job.stage.name, job.key, attempt, is_driver_s=is_driver_s, wait=wait)
        if store.find(job.stage.name, job.key) is not None:
            return True
        return _attempt(job, store)


def is_stopped(job: Job) -> bool:
    """Whether the driver wants no more stages, asked on a node that may not see the driver's home."""
    if not job.url or store_id(_store(job.home, job.url).home) == job.home_id:
        return False
    return _mirror(job.home, job.url, job.run).is_stopped()


def _attempt(job: Job, store: Store, mirror: Mirror | None = None) -> bool:
    place = store.start(job.key, job.time_limit)
    started = time.time()
    try:
        if mirror is not None:
            job = replace(job, needs=mirror.needs(job.needs))
        with _printing_to(place.log), _killed_after(job.time_limit):
            _run(job, place)
        provenance = _provenance(job, place, started)
        store.publish(job.stage.name, job.key, job.stage.label, job.identity, provenance)
    except Exception as error:  # noqa: BLE001  a stage may raise anything: it is kept, and others go on
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full:
            shutil.rmtree(place.folder, ignore_errors=True)  # half a result is no use, and its record needs room
        store.fail(
            Failure(
                key=job.key,
                label=job.stage.label,
                error=f"the disk is full ({error}); free some space, the same command goes on"
                if full
                else _words(error),
                traceback=traceback.format_exc(),
                log=store.log_tail(job.key),
                when=time.time(),
            )
        )
        return False
    return True


@cache
def _store(home: Path, url: str) -> Store:
    """Whether the home can be written is asked once in a worker. With a URL a node may have a home of its own."""
    return Store(node_home(home) if url else home)


@cache
def _mirror(home: Path, url: str, run: str) -> Mirror:
    from harness.store.mirror import Mirror
    from harness.store.objects import ObjectStore

    remote = ObjectStore(url)
    with suppress(RemoteError):  # its clock; where it is down, that is told when it is needed
        remote.check()
    return Mirror(_store(home, url), remote, run=run)


def _words(error: Exception) -> str:
    words = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return words.strip() or type(error).__name__


@contextmanager
def _killed_after(seconds: float | None) -> Iterator[None]:
    """The system ends this process with SIGALRM, whatever it hangs in: nothing here has to run for it."""
    if not seconds:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _run(job: Job, place: Workplace) -> None:
    # The key promises this code; a worker that started after an edit would compute something else under it.
    if job.stage.code != job.identity["code"]:
        now, then = job.stage.code, job.identity["code"]
        changed = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
        raise StoreError(f"code changed while the study ran ({', '.join(changed)}); give the same command again")
    module, _, function = job.stage.run.partition(":")
    run = getattr(import_module(module), function)
    progress = _progress_writer(place.progress)
    run(
        Task(
            folder=place.folder,
            scratch=place.scratch,
            config=job.stage.config,
            needs=job.needs,
            data={role: data.value for role, data in job.stage.data.items()},
            device="cuda" if job.stage.resources.gpus > 0 else "cpu",
            cpus=job.cpus,
            progress=progress,
        )
    )


def _progress_writer(path: Path) -> Callable[[float, str], None]:
    last = time.monotonic()  # short stages have nothing to tell

    def progress(share: float, words: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_EVERY:
            last = now
            draft = path.with_name(".progress")
            draft.write_text(f'{{"share": {float(share)}, "words": {_quoted(words)}}}')
            draft.replace(path)

    return progress


def _quoted(words: str) -> str:
    return '"' + "".join(c for c in words if c.isprintable() and c not in '"\\') + '"'


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Sends what this process prints, and what its libraries in C print, to the end of `log`."""
    with log.open("ab") as file:
        sys.stdout.flush()
        sys.stderr.flush()
        kept = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        ours = not faulthandler.is_enabled()  # Ray's workers have it, on the handle that is replaced here
        if ours:
            faulthandler.enable(2, all_threads=False)
        try:
            yield
        finally:
            if ours:
                faulthandler.disable()
            sys.stdout.flush()
            sys.stderr.flush()
            for number, handle in enumerate(kept, start=1):
                os.dup2(handle, number)
                os.close(handle)


def _provenance(job: Job, place: Workplace, started: float) -> dict[str, Any]:
    return {
        "revision": job.revision,
        "python": platform.python_version(),
        "libraries": _versions(),
        "hardware": describe_hardware(gpu=job.stage.resources.gpus > 0),
        "cpus": job.cpus,
        "gpus": job.stage.resources.gpus,
        "started": started,
        "seconds": time.time() - started,
        "attempts": place.attempts,
    }


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue  # not installed, so not used
    return versions
