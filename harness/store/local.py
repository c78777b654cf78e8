"""The store of a home: one folder for every finished stage, under its key; published as a whole and never changed.

<home>/store/<stage name>/<key>/      what the stage wrote, and manifest.json: published
<home>/store/work/<key>/              folder, scratch, log.txt, progress.json of a stage that is running
<home>/store/locks/<key>.lock         held (flock) by the process that runs it; free again the moment that process dies
<home>/store/failed/<key>.json        why the last attempt failed; removed after a success
<home>/store/damaged/                 incomplete folders, moved aside"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import read_json, sha256_of, write_json
from harness.stage import Identity, Stage
from harness.store.manifest import MANIFEST, FileFacts, Manifest, read_manifest

_NOT_STAGES = {"work", "locks", "failed", "damaged", "runs"}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a stage failed."""

    key: str
    label: str
    error: str
    """Message on one line."""

    traceback: str
    log: str
    """Last lines that it printed."""

    when: float
    """Seconds since the epoch."""

    attempts: int = 1
    """Attempts in the run that gave up on it."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Files of one attempt at a stage."""

    folder: Path
    scratch: Path
    log: Path
    progress: Path
    number: int
    """1 for the first attempt."""


@dataclass(frozen=True, kw_only=True)
class StoreAddress:
    """Address of the driver's store, from which workers open it."""

    home: Path
    url: str = ""
    run: str = ""
    """Name of the driver's run at the URL."""

    driver: str = ""
    """Id of the driver's home: on another node, the same path may lead to another home."""


@dataclass(frozen=True, kw_only=True)
class Synchronized:
    """Outcome of making a home and a URL hold the same stages."""

    fetched: int = 0
    sent: int = 0
    damaged: tuple[str, ...] = ()
    """Stages that were damaged at the URL or have disappeared from it; they must be computed again."""


class Store:
    """The finished stages of one home, and the locks on those that run.

    `harness.store.sharing.SharedStore` is the same store for a home that shares its stages with others. Where sharing
    makes a difference, the methods of this class do what is right for a home on its own."""

    url: str = ""
    """URL at which the home shares its stages; empty for a home on its own."""

    address: StoreAddress
    """Address from which `store_on_node` opens the store in a worker."""

    def __init__(self, home: Path) -> None:
        """Make the folders. Raises StoreError if the home cannot be written."""
        self.home = home.absolute()
        self.root = self.home / "store"
        self.address = StoreAddress(home=self.home)
        try:
            for name in sorted(_NOT_STAGES):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "work" / f"probe-{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise StoreError(f"{self.home}: cannot be written ({error.strerror}); give another --home") from None

    def folder(self, name: str, key: str) -> Path:
        """Return the folder that a stage is published in, whether it is there or not."""
        return self.root / name / key

    def find(self, name: str, key: str) -> Path | None:
        """Return the folder of a published stage, or None. It is checked as `load` does."""
        return self.folder(name, key) if self.load(name, key) is not None else None

    def load(self, name: str, key: str) -> Manifest | None:
        """Return the manifest of a published stage whose files are all there with their sizes, or None.

        A damaged folder is moved aside: the stage is computed again."""
        folder = self.folder(name, key)
        if not folder.exists():
            return None
        manifest = read_manifest(folder)
        if manifest is not None and find_damage(manifest) is None:
            return manifest
        self.set_aside(name, key)  # while it runs, its process moves the folder aside when it publishes
        return None

    def manifest(self, name: str, key: str) -> Manifest | None:
        """Return the manifest of a published stage, or None; its files are not checked."""
        return read_manifest(self.folder(name, key))

    def is_published(self, name: str, key: str) -> bool:
        """Return whether the stage is finished, here or where the home shares its stages."""
        return self.find(name, key) is not None

    def age(self, name: str, key: str) -> float:
        """Return the seconds since the stage was published; infinity if it is not."""
        try:
            return time.time() - self.folder(name, key).stat().st_mtime
        except OSError:
            return float("inf")

    def published(self, name: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield name and key of every published folder, of one stage name or of all; they are not checked."""
        names = [name] if name else sorted(path.name for path in self.root.iterdir() if path.name not in _NOT_STAGES)
        for one in names:
            if (self.root / one).is_dir():
                yield from ((one, entry.name) for entry in os.scandir(self.root / one))

    @contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of a stage against every other process on this home; yield whether it was free."""
        with (self.root / "locks" / f"{key}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def claim(self, name: str, key: str, *, wait: bool = True) -> Iterator[bool]:  # noqa: ARG002  SharedStore needs them
        """Hold the right to compute a stage; yield whether it was granted. It may be published by then.

        Without `wait`, it is not granted while another home computes the stage."""
        with self.lock(key):
            yield True

    @contextmanager
    def planning_lock(self) -> Iterator[None]:
        """Keep others from pruning, from looking at what is published until the plan is recorded."""
        with (self.root / "locks" / "planning.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    @contextmanager
    def pruning_lock(self) -> Iterator[None]:
        """Keep others from planning."""
        with (self.root / "locks" / "planning.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_running(self, key: str) -> bool:
        """Return whether some process works on the stage now."""
        if not (self.root / "locks" / f"{key}.lock").exists():
            return False
        with self.lock(key, wait=False) as free:
            return not free

    def is_taken(self, key: str) -> bool:
        """Return whether a process that is not a worker of this run may be working on the stage."""
        return self.is_running(key)

    def start(self, key: str, time_limit: float | None = None) -> Attempt:
        """Return an empty folder for an attempt, with the scratch folder of earlier ones. Requires the lock.

        `time_limit`: seconds after which the worker will be killed; recorded to explain why it died."""
        place = self.root / "work" / key
        folder = place / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (place / "scratch").mkdir(exist_ok=True)
        number = int(self.last_attempt(key).get("attempts", 0)) + 1
        record = {"attempts": number, "begun": time.time(), "time_limit": time_limit}
        write_json(place / "attempts.json", record, durable=False)
        (place / "progress.json").unlink(missing_ok=True)
        return Attempt(
            folder=folder,
            scratch=place / "scratch",
            log=place / "log.txt",
            progress=place / "progress.json",
            number=number,
        )

    def last_attempt(self, key: str) -> dict[str, Any]:
        """Return `attempts` so far of an unpublished stage, when the last one has `begun`, and its `time_limit`."""
        return read_json(self.root / "work" / key / "attempts.json") or {}

    def publish(self, name: str, key: str, label: str, identity: Identity, provenance: Mapping[str, Any]) -> Path:
        """Make the work folder the published one: the manifest last, then one rename. Requires the lock."""
        folder = self.root / "work" / key / "folder"
        files: dict[str, FileFacts] = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": sha256_of(path)}
        if MANIFEST in files:
            raise StoreError(f"{label}: wrote a file {MANIFEST}; that name is the store's own")
        manifest = Manifest(key=key, label=label, identity=identity, provenance=provenance, files=files)
        return self.adopt(name, key, folder, manifest)

    def adopt(self, name: str, key: str, folder: Path, manifest: Manifest) -> Path:
        """Make a folder with the files that the manifest lists the published one. Requires the lock."""
        target = self.folder(name, key)
        write_json(folder / MANIFEST, manifest.to_dict(), indent=1)
        target.parent.mkdir(exist_ok=True)
        if target.exists():  # damaged, or it would have been found
            self._move_aside(target)
        folder.rename(target)  # a power cut may undo this; then the stage is computed again
        self.failure_file(key).unlink(missing_ok=True)
        shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        return target

    def fail(self, failure: Failure) -> None:
        """Record why a stage failed."""
        write_json(self.failure_file(failure.key), asdict(failure), indent=1)

    def failure(self, key: str, since: float = 0.0) -> Failure | None:
        """Return why the last attempt failed; None if it did not, or not since that time (seconds since the epoch)."""
        content = read_json(self.failure_file(key))
        failure = None if content is None else failure_from(content)
        return failure if failure is not None and failure.when >= since else None

    def failed_keys(self) -> frozenset[str]:
        """Return the keys of all stages whose last attempt failed."""
        return frozenset(path.stem for path in (self.root / "failed").glob("*.json"))

    def failure_file(self, key: str) -> Path:
        """Return the file that records why a stage failed."""
        return self.root / "failed" / f"{key}.json"

    def log_tail(self, key: str, lines: int = 30) -> str:
        """Return the last lines that a running or failed stage has printed."""
        try:
            text = (self.root / "work" / key / "log.txt").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def progress(self, key: str) -> tuple[float, str]:
        """Return how far a running stage is: share in 0..1, and a message."""
        content = read_json(self.root / "work" / key / "progress.json") or {}
        return float(content.get("share", 0.0)), str(content.get("words", ""))

    def set_aside(self, name: str, key: str) -> bool:
        """Move a published folder away, so that it is computed again; False if the stage is running."""
        with self.lock(key, wait=False) as free:
            if free:
                self._move_aside(self.folder(name, key))
        return free

    def require(self, name: str, key: str) -> Path:
        """Return the folder of a stage that another one needs, fetched if need be. Raises StoreError if it is gone."""
        if not self._has(name, key) and not self._bring(name, key):
            place = f"neither in {self.home} nor undamaged at {self.url}" if self.url else f"no longer in {self.home}"
            hint = "give the same command again to compute it again"
            raise StoreError(f"{name} {key[:12]}, which it needs, is {place}; {hint}")
        return self.folder(name, key)

    def fetch(self, stages: Iterable[Stage]) -> None:
        """Bring finished stages into the home that other homes have computed. Raises StoreError."""

    def elsewhere(self, stages: Iterable[Stage]) -> Mapping[str, float]:  # noqa: ARG002  SharedStore needs them
        """Return key → seconds of those stages that can be fetched instead of computed."""
        return {}

    def synchronize(self, stages: Iterable[Stage]) -> Synchronized:  # noqa: ARG002  SharedStore needs them
        """Make the home and the URL that it shares its stages at hold the same ones of these. Raises StoreError."""
        return Synchronized()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow what other homes work on while a study runs."""
        yield

    def stop(self) -> None:
        """Tell workers that cannot see this home to begin no more stages."""

    def end_run(self) -> None:
        """Remove what `stop` has left."""

    def is_stopped(self) -> bool:
        """Return whether a driver whose home is not seen here wants no more stages."""
        return False

    def _has(self, name: str, key: str) -> bool:
        return (self.folder(name, key) / MANIFEST).is_file()

    def _bring(self, name: str, key: str) -> bool:  # noqa: ARG002  SharedStore needs them
        """Bring a stage into the home unless it is there; return whether it is there afterwards."""
        return False

    def _move_aside(self, folder: Path) -> None:
        aside = self.root / "damaged" / f"{folder.parent.name}-{folder.name[:16]}-{time.time_ns()}"
        try:
            folder.rename(aside)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise StoreError(f"{folder}: damaged, and cannot be moved aside ({error})") from None


def find_damage(manifest: Manifest, *, contents: bool = False) -> str | None:
    """Return what is wrong with a published folder, or None; with `contents`, every byte is hashed again."""
    for file, facts in manifest.files.items():
        path = manifest.folder / file
        try:
            size = path.stat().st_size
        except OSError as error:
            return f"{path}: {error.strerror}"
        if size != facts["size"]:
            return f"{path}: {size} bytes found, {facts['size']} expected"
        if contents and "sha256" in facts and sha256_of(path) != facts["sha256"]:
            return f"{path}: its content has changed"
    return None


def failure_from(content: Mapping[str, Any]) -> Failure | None:
    """Return the failure with these fields; None if they are not those of a failure."""
    known = set(Failure.__dataclass_fields__)
    return Failure(**content) if known - {"attempts"} <= set(content) <= known else None


def node_home(home: Path) -> Path:
    """Return the home on this node of a cluster: HARNESS_NODE_HOME if it is set, else the driver's path."""
    return Path(os.environ.get("HARNESS_NODE_HOME") or home)


def store_id(home: Path) -> str:
    """Return a name of this home's store that no other one has: several homes may record into one server."""
    path = home / "store" / "id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".id.{os.getpid()}.{secrets.token_hex(4)}")
        draft.write_text(secrets.token_hex(8))
        try:
            path.hardlink_to(draft)  # fails if another run was quicker
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
