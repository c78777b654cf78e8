"""One folder for every finished stage, under its key: claimed by one worker, published whole, never changed.

<home>/store/<stage name>/<key>/      what the stage wrote, and manifest.json: published
<home>/store/work/<key>/              folder, scratch, log.txt, progress.json of one that is being worked on
<home>/store/locks/<key>.lock         held (flock) by whoever works on it; free again the moment that process dies
<home>/store/failed/<key>.json        why the last attempt failed; gone after a success
<home>/store/damaged/                 what was found incomplete, moved aside"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import read_json, sha256_of, write_json

MANIFEST = "manifest.json"
_NOT_STAGES = {"work", "locks", "failed", "damaged"}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a stage failed."""

    key: str
    label: str
    error: str
    """One line."""

    traceback: str
    log: str
    """The end of what it printed."""

    when: float
    """Seconds since the epoch."""

    attempts: int = 1
    """In the run that gave up on it."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a claimed stage is worked on."""

    folder: Path
    scratch: Path
    log: Path
    progress: Path
    attempts: int
    """This one included."""


class Store:
    """The store of a home folder. Raises StoreError where the home cannot be written."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self.root = self.home / "store"
        try:
            for name in sorted(_NOT_STAGES):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "work" / f"probe-{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise StoreError(f"{self.home}: cannot be written ({error.strerror}); give another --home") from None

    def folder(self, name: str, key: str) -> Path:
        """Where the stage of that name and key is published; whether it is, `find` says."""
        return self.root / name / key

    def find(self, name: str, key: str) -> Path | None:
        """The published folder, if it is whole: its manifest reads, and every file is there with its size.

        A folder that is not whole is moved aside, and None returned: it will be computed again."""
        return self.folder(name, key) if self.load(name, key) is not None else None

    def load(self, name: str, key: str) -> dict[str, Any] | None:
        """The manifest of a published stage, checked as `find` does; None if there is none or it was not whole."""
        folder = self.folder(name, key)
        if not folder.exists():
            return None
        manifest = self.manifest(name, key)
        if manifest is not None and self.problem(folder, manifest) is None:
            return manifest
        with self.claim(key, wait=False) as ours:  # who works on it will move it aside when publishing
            if ours and folder.exists():
                self._move_aside(folder)
        return None

    def problem(self, folder: Path, manifest: Mapping[str, Any], *, contents: bool = False) -> str | None:
        """What is wrong with a published folder, None if nothing; with `contents` every byte is hashed again."""
        for file, facts in manifest["files"].items():
            try:
                size = os.stat(folder / file).st_size
            except OSError as error:
                return f"{folder / file}: {error.strerror}"
            if size != facts["size"]:
                return f"{folder / file}: {size} bytes found, {facts['size']} expected"
            if contents and "sha256" in facts and sha256_of(folder / file) != facts["sha256"]:
                return f"{folder / file}: its content has changed"
        return None

    def manifest(self, name: str, key: str) -> dict[str, Any] | None:
        """Identity, files and provenance of a published stage; None if there is none that reads."""
        manifest = read_json(self.folder(name, key) / MANIFEST)
        return manifest if manifest and manifest.get("key") == key and "files" in manifest else None

    def age(self, name: str, key: str) -> float:
        """Seconds since it was published."""
        try:
            return time.time() - self.folder(name, key).stat().st_mtime
        except OSError:
            return float("inf")

    def published(self, name: str | None = None) -> Iterator[tuple[str, str]]:
        """Name and key of every published folder, of one stage name or of all, not checked."""
        names = [name] if name else sorted(path.name for path in self.root.iterdir() if path.name not in _NOT_STAGES)
        for one in names:
            if (self.root / one).is_dir():
                yield from ((one, entry.name) for entry in os.scandir(self.root / one))

    @contextmanager
    def claim(self, key: str, *, wait: bool = True) -> Iterator[bool]:
        """Holds the stage against every other process on this store; yields whether it could be had."""
        with (self.root / "locks" / f"{key}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Held from looking at what is published until the plan is kept: nothing is pruned meanwhile."""
        with (self.root / "locks" / "planning.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Held while pruning: nobody plans meanwhile."""
        with (self.root / "locks" / "planning.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def in_work(self, key: str) -> bool:
        """Whether some process holds the stage just now."""
        if not (self.root / "locks" / f"{key}.lock").exists():
            return False
        with self.claim(key, wait=False) as free:
            return not free

    def start(self, key: str, time_limit: float | None = None) -> Workplace:
        """An empty folder for an attempt, with the scratch of earlier ones. Only for who holds the claim.

        `time_limit`: seconds after which whoever works on it will be killed; noted for who asks why it died."""
        place = self.root / "work" / key
        folder = place / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (place / "scratch").mkdir(exist_ok=True)
        attempts = int(self.attempt(key).get("attempts", 0)) + 1
        noted = {"attempts": attempts, "begun": time.time(), "time_limit": time_limit}
        write_json(place / "attempts.json", noted, durable=False)
        (place / "progress.json").unlink(missing_ok=True)
        return Workplace(
            folder=folder,
            scratch=place / "scratch",
            log=place / "log.txt",
            progress=place / "progress.json",
            attempts=attempts,
        )

    def attempt(self, key: str) -> dict[str, Any]:
        """Of a stage that is not published: `attempts` so far, when the last one has `begun`, its `time_limit`."""
        return read_json(self.root / "work" / key / "attempts.json") or {}

    def publish(
        self, name: str, key: str, label: str, identity: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> Path:
        """Makes the work folder the published one: manifest last, then one rename. Only for who holds the claim."""
        place = self.root / "work" / key
        folder = place / "folder"
        files = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            file = path.relative_to(folder).as_posix()
            files[file] = {"size": path.stat().st_size, "sha256": sha256_of(path)}
        if MANIFEST in files:
            raise StoreError(f"{label}: wrote a file {MANIFEST}; that name is the store's own")
        manifest = {"key": key, "label": label, "identity": identity, "provenance": provenance, "files": files}
        return self.adopt(name, key, folder, manifest)

    def adopt(self, name: str, key: str, folder: Path, manifest: Mapping[str, Any]) -> Path:
        """Makes a folder with the files that the manifest lists the published one. Only for who holds the claim."""
        target = self.folder(name, key)
        _write_json(folder / MANIFEST, manifest, indent=1)
        target.parent.mkdir(exist_ok=True)
        if target.exists():  # damaged, or it would have been found
            self._move_aside(target)
        folder.rename(target)  # what a power cut takes back is computed again
        self.failure_file(key).unlink(missing_ok=True)
        shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        return target

    def fail(self, failure: Failure) -> None:
        """Keeps why a stage failed."""
        _write_json(self.failure_file(failure.key), asdict(failure), indent=1)

    def failure(self, key: str) -> Failure | None:
        """Why the stage failed the last time; None if it did not."""
        content = read_json(self.failure_file(key))
        known = set(Failure.__dataclass_fields__)
        if content is None or not known - {"attempts"} <= set(content) <= known:
            return None
        return Failure(**content)

    def failing(self) -> frozenset[str]:
        """Keys with a failure record."""
        return frozenset(path.stem for path in (self.root / "failed").glob("*.json"))

    def failure_file(self, key: str) -> Path:
        """Where the failure of a stage is kept."""
        return self.root / "failed" / f"{key}.json"

    def log_tail(self, key: str, lines: int = 30) -> str:
        """The end of what a stage that is being worked on, or failed, has printed."""
        try:
            text = (self.root / "work" / key / "log.txt").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def progress(self, key: str) -> tuple[float, str]:
        """Share done, 0..1, and words of a stage that is being worked on."""
        content = read_json(self.root / "work" / key / "progress.json") or {}
        return float(content.get("share", 0.0)), str(content.get("words", ""))

    def set_aside(self, name: str, key: str) -> bool:
        """Moves a published folder away, so that it is computed again; False if the stage is in work."""
        with self.claim(key, wait=False) as ours:
            if ours:
                self._move_aside(self.folder(name, key))
        return ours

    def _move_aside(self, folder: Path) -> None:
        aside = self.root / "damaged" / f"{folder.parent.name}-{folder.name[:16]}-{time.time_ns()}"
        try:
            folder.rename(aside)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise StoreError(f"{folder}: damaged, and cannot be moved aside ({error})") from None


def node_home(home: Path) -> Path:
    """The home on this node of a cluster: HARNESS_NODE_HOME where it is set, else where the driver has its own."""
    return Path(os.environ.get("HARNESS_NODE_HOME") or home)


def store_id(home: Path) -> str:
    """A name of this home's store that no other one has: several homes may record into one server."""
    path = home / "store" / "id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".id.{os.getpid()}.{secrets.token_hex(4)}")
        draft.write_text(secrets.token_hex(8))
        try:
            os.link(draft, path)  # fails where another run was quicker
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content, indent=indent)
