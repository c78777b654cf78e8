"""One stage, run in this process: claimed, given its folders, published or its failure recorded. Knows no scheduler."""

from __future__ import annotations

import faulthandler
import io
import json
import os
import platform
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from harness.console import human_size
from harness.errors import DiskFullError, HarnessError, StoreError
from harness.files import atomic_file, disk_full, is_disk_full
from harness.hardware import describe_hardware
from harness.stage import Identity, Stage, Task, differing
from harness.store import Attempt, Failure, Store, StoreAddress, store_on_node

LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "torch", "torchvision", "ray", "mlflow")

_GPU_SWITCHES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Environment variables that say which GPUs a process may use: NVIDIA's, and two of AMD's."""

_PROGRESS_SECONDS = 0.5
"""Least time between two writes of the progress file."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stage as it travels to a worker: without the stages that it needs, but with their names and keys."""

    stage: Stage
    key: str
    identity: Identity
    needs: Mapping[str, tuple[str, str]]
    """Role → name and key."""

    store: StoreAddress
    cpus: int
    revision: str
    time_limit: float | None = None
    """Seconds for the attempt; None: no limit."""


def make_job(stage: Stage, store: Store, cpus: int, revision: str, time_limit: float | None = None) -> Job:
    """Return the job of a stage whose needs are published. `time_limit`: seconds, for a stage that has none itself."""
    own = stage.resources.time_limit
    return Job(
        stage=replace(stage, needs={}),
        key=stage.key,
        identity=stage.identity,
        needs={role: (need.name, need.key) for role, need in stage.needs.items()},
        store=store.address,
        cpus=cpus,
        revision=revision,
        time_limit=time_limit if own is None else own,
    )


def work(job: Job, *, wait: bool = True) -> bool:
    """Run the stage unless it is published by now; return whether it is published at the end.

    Without `wait`, it is not run while another home that shares the store computes it. What the stage raises is
    recorded in the store and not raised again. What it prints goes to its log. A time limit kills this process. Raises
    DiskFullError if not even a failure can be recorded."""
    store = _store(job.store)
    try:
        with store.claim(job.stage.name, job.key, wait=wait) as granted:
            return granted and (store.find(job.stage.name, job.key) is not None or _attempt(job, store))
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(disk_full(store.home)) from None
        raise


def is_stopped(job: Job) -> bool:
    """Return whether the driver wants no more stages, asked on a node that may not see the driver's home."""
    return _store(job.store).is_stopped()


def _attempt(job: Job, store: Store) -> bool:
    attempt = store.start(job.key, job.time_limit)
    started = time.time()
    try:
        needs = {role: store.require(*need) for role, need in job.needs.items()}
        _require_as_planned(job)
        with _output_to(attempt.log), _killed_after(job.time_limit):
            _run(job, attempt, needs)
        provenance = _provenance(job, attempt, started)
        store.publish(job.stage.name, job.key, job.stage.label, job.identity, provenance)
    except Exception as error:  # noqa: BLE001  a stage may raise anything: it is recorded, and other stages go on
        text, trace, log = _message(error), traceback.format_exc(), store.log_tail(job.key)
        if is_disk_full(error):
            written = sum(path.stat().st_size for path in attempt.folder.rglob("*") if path.is_file())
            shutil.rmtree(attempt.folder, ignore_errors=True)  # half a result is useless, and its record needs room
            text, trace, log = disk_full(store.home), "", f"{job.stage.label} had written {human_size(written)}"
        failure = Failure(key=job.key, label=job.stage.label, error=text, traceback=trace, log=log, when=time.time())
        store.fail(failure)
        return False
    return True


@cache
def _store(address: StoreAddress) -> Store:
    """Open the store once per worker: whether it can be written is not asked for every stage."""
    return store_on_node(address)


def _message(error: Exception) -> str:
    text = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return text.strip() or type(error).__name__


@contextmanager
def _killed_after(seconds: float | None) -> Iterator[None]:
    """Let the system end this process with SIGALRM, whatever it hangs in: no code here has to run for that."""
    if not seconds:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _require_as_planned(job: Job) -> None:
    """Raise StoreError if code or libraries differ here from what the key promises.

    A worker that started after an edit would compute something else under that key."""
    if changed := differing(job.stage.code, job.identity.code):
        raise StoreError(f"code changed while the study ran ({', '.join(changed)}); give the same command again")
    here, planned = job.stage.environment, job.identity.environment
    if changed := differing(here, planned):
        versions = ", ".join(f"{name} {here.get(name)} instead of {planned.get(name)}" for name in changed)
        raise StoreError(f"this machine has {versions}; install the same libraries as where the study was planned")


def _run(job: Job, attempt: Attempt, needs: Mapping[str, Path]) -> None:
    module, _, function = job.stage.run.partition(":")
    uses_gpu = job.stage.resources.gpus > 0
    task = Task(
        folder=attempt.folder,
        scratch=attempt.scratch,
        config=job.stage.config,
        needs=needs,
        data={role: data.value for role, data in job.stage.data.items()},
        device="cuda" if uses_gpu else "cpu",
        cpus=job.cpus,
        time_limit=job.time_limit,
        progress=_progress_writer(attempt.progress),
    )
    with nullcontext() if uses_gpu else _no_gpus():
        getattr(import_module(module), function)(task)


@contextmanager
def _no_gpus() -> Iterator[None]:
    """Hide all GPUs from this process and those that it starts: the key of the stage says that it uses none."""
    saved = {name: os.environ.get(name) for name in _GPU_SWITCHES}
    os.environ.update(dict.fromkeys(_GPU_SWITCHES, "-1"))
    try:
        yield
    finally:
        for name, value in saved.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})


def _progress_writer(path: Path) -> Callable[[float, str], None]:
    last = time.monotonic()  # short stages have nothing to report

    def progress(share: float, message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            last = now
            with atomic_file(path) as draft:
                text = "".join(filter(str.isprintable, message))
                draft.write_text(json.dumps({"share": float(share), "words": text}), encoding="utf-8")

    return progress


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Append what this process prints, and what its C libraries print, to `log`."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a narrow encoding must not fail a stage
        saved = os.dup(1), os.dup(2)
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
            for number, handle in enumerate(saved, start=1):
                os.dup2(handle, number)
                os.close(handle)


def _provenance(job: Job, attempt: Attempt, started: float) -> dict[str, Any]:
    return {
        "revision": job.revision,
        "python": platform.python_version(),
        "libraries": _versions(),
        "hardware": describe_hardware(gpu=job.stage.resources.gpus > 0),
        "data": {role: data.name for role, data in job.stage.data.items()},
        "cpus": job.cpus,
        "gpus": job.stage.resources.gpus,
        "started": started,
        "seconds": time.time() - started,
        "attempts": attempt.number,
    }


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):  # not installed, so not used
            versions[library] = metadata.version(library)
    return versions
