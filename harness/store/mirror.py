"""A home's store beside a URL that homes on other machines share: each works in its own, all find what one has done.

manifests/<name>/<key>.json               a finished stage: it counts as published there if, and only if, this is there
files/<name>/<key>/<attempt>/<file>       its files, put there before; an attempt has a folder of its own, so that two
                                          who finish one stage do not mix; the first manifest counts
leases/                                   who works on what: harness/store/leases.py
failed/<key>.json                         why it failed on a machine that does not see the driver's home
damaged/                                  manifests of what was found damaged

Whatever is fetched is hashed against its manifest, and the manifest against its key, before it is put into the home."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import RemoteError, StoreError
from harness.files import sha256_of
from harness.stage import Stage, key_of
from harness.store.leases import LASTS, Leases
from harness.store.local import MANIFEST, Failure, Store, store_id
from harness.store.objects import ObjectStore

_AT_ONCE = 8
"""Stages that are sent or fetched at once."""

_AGAIN = 2.0
"""Seconds between two looks at a stage that another machine works on."""


class DamagedError(RemoteError):
    """What is published at the URL is not what was."""


@dataclass(frozen=True, kw_only=True)
class Levelled:
    """What it took to make home and URL hold the same stages."""

    fetched: int
    sent: int
    absent: tuple[str, ...]
    """In words: damaged at the URL and set aside, or gone meanwhile; they must be computed again."""


class Mirror:
    """Raises RemoteError where the URL cannot be had, StoreError where the home cannot be written."""

    def __init__(self, store: Store, remote: ObjectStore, *, run: str = "", lasts: float = LASTS) -> None:
        """`run`: of the driver that this is, or works for; `lasts`: seconds of a lease that is not renewed."""
        self.store = store
        self.url = remote.url
        self.run = run
        self.remote = remote
        home = f"{socket.gethostname()}:{store.home}:{store_id(store.home)}"  # a copied home is another one
        self.leases = Leases(remote, home=home, run=run, lasts=lasts)

    def published(self) -> set[tuple[str, str]]:
        """Name and key of every stage at the URL."""
        parts = (PurePosixPath(name) for name in self.remote.sizes("manifests") if name.endswith(".json"))
        return {(path.parent.name, path.stem) for path in parts}

    def manifests(self, stages: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any] | None]:
        """By name and key, of those stages that are at the URL; None where one is damaged."""
        wanted = {name_of(*pair): pair for pair in stages}
        found: dict[tuple[str, str], dict[str, Any] | None] = {}
        for name, content in self.remote.read_many(list(wanted)).items():
            try:
                found[wanted[name]] = _checked(content, name, wanted[name][1])
            except DamagedError:
                found[wanted[name]] = None
        return found

    def seconds(self, stages: Iterable[Stage]) -> dict[str, float]:
        """Key → seconds that it took, of those stages that are whole at the URL, as far as manifests tell."""
        there = self.published() & {(stage.name, stage.key) for stage in stages}
        whole = {key: manifest for (_, key), manifest in self.manifests(there).items() if manifest}
        return {key: float(manifest["provenance"].get("seconds") or 0.0) for key, manifest in whole.items()}

    def has(self, name: str, key: str) -> bool:
        """Whether a stage is at the URL."""
        return self.remote.read(name_of(name, key)) is not None

    def manifest(self, name: str, key: str) -> dict[str, Any] | None:
        """Of a stage at the URL, with its `attempt`; None if it is not there. Raises DamagedError."""
        content = self.remote.read(name_of(name, key))
        return None if content is None else _checked(content, name_of(name, key), key)

    def fetch(self, name: str, key: str) -> bool:
        """Puts a stage into the home unless it is there; whether it is afterwards.

        Damaged at the URL: told, set aside there, and computed again by whoever needs it."""
        with self.store.claim(key):
            if self.store.find(name, key) is not None:
                return True
            return self._fetch(name, key)

    def bring(self, stages: Iterable[Stage]) -> None:
        """Puts those of the stages into the home that are at the URL only."""
        for stage in stages:
            if not self._is_here(stage.name, stage.key):
                self.fetch(stage.name, stage.key)

    def needs(self, folders: Mapping[str, Path]) -> dict[str, Path]:
        """What a stage needs, in this home, of folders in another: fetched if need be. Raises StoreError."""
        found = {}
        for role, folder in folders.items():
            name, key = folder.parent.name, folder.name
            found[role] = self.store.folder(name, key)
            if not self._is_here(name, key) and not self.fetch(name, key):
                raise StoreError(
                    f"what it needs ({role}: {name} {key[:12]}) is neither in {self.store.home} nor whole at "
                    f"{self.url}; give the same command again, it is computed again"
                )
        return found

    def send(self, name: str, key: str, *, again: bool = False) -> dict[str, Any]:
        """Puts a stage of the home at the URL unless it is there; returns the manifest that counts.

        `again`: it was finished a while ago, and is hashed first. Raises StoreError where it is damaged."""
        folder, manifest = self.store.folder(name, key), self.store.manifest(name, key)
        problem = "its manifest is gone" if manifest is None else self.store.problem(folder, manifest, contents=again)
        if manifest is None or problem:
            raise StoreError(f"{folder}: not sent to {self.url}, as it is damaged: {problem}")
        there = None
        with suppress(DamagedError):  # it is found as such where it is needed
            there = self.manifest(name, key)
        if there is not None:
            return there
        attempt = secrets.token_hex(8)
        sent = [f"{_files(name, key, attempt)}/{file}" for file in manifest["files"]]
        for file, target in zip(manifest["files"], sent, strict=True):
            self.remote.upload(folder / file, target)
        mine = {**manifest, "attempt": attempt}
        if self.remote.create(name_of(name, key), json.dumps(mine, indent=1).encode()):
            return mine
        self.remote.remove(sent)  # another was first
        return self.manifest(name, key) or mine

    def share(
        self, name: str, key: str, attempt: Callable[[], bool], *, is_driver_s: bool = True, wait: bool = True
    ) -> bool:
        """Makes a stage published in the home and at the URL: fetched if it is there, else by `attempt`, which no other
        home makes meanwhile. Whether it is published then; without `wait` it is not if another home is at it.

        Only for who holds the claim. `is_driver_s`: whether the driver sees this home.

        A URL that cannot be reached stops nobody whose driver sees the result: it is sent at the end, or next time."""
        if self.store.find(name, key) is None:
            with ExitStack() as stack:
                try:
                    while not stack.enter_context(self.leases.held(key, lambda: self.store.progress(key))):
                        if not wait:
                            return False
                        time.sleep(_AGAIN)
                    if self._fetch(name, key):
                        return True
                except RemoteError as error:
                    print(f"no lease: {error}", file=sys.stderr)
                done = attempt()
                if done:
                    self._deliver(name, key, is_driver_s)
                elif not is_driver_s:
                    self._tell_failure(key)
            return done
        self._deliver(name, key, is_driver_s)
        return True

    def failure(self, key: str, since: float) -> None:
        """Puts why a stage failed on another machine into the home, if that is told at the URL and was not before
        `since`, in seconds since the epoch."""
        with suppress(RemoteError, ValueError, TypeError):
            failure = Failure(**json.loads(self.remote.read(f"failed/{key}.json") or b"{}"))
            if failure.when >= since:
                self.store.fail(failure)

    def level(self, stages: Iterable[Stage]) -> Levelled:
        """Fetches those of the stages that are at the URL only, and sends those that are in the home only."""
        there = self.published()
        pairs = {(stage.name, stage.key) for stage in stages}
        here = {pair for pair in pairs if self._is_here(*pair)}
        absent = sorted((pairs & there) - here)
        unsent = sorted(here - there)
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mirror")
        try:
            fetched = list(pool.map(lambda pair: self.fetch(*pair), absent))
            lacking = [f"{name} {key[:12]}" for (name, key), came in zip(absent, fetched, strict=True) if not came]
            sent = list(pool.map(lambda pair: self.send(*pair, again=True), unsent))
        finally:
            pool.shutdown(cancel_futures=True)
        return Levelled(fetched=sum(fetched), sent=len(sent), absent=tuple(lacking))

    def problem(self, name: str, key: str) -> str | None:
        """What is wrong with a stage at the URL, every byte read and hashed; None if nothing."""
        scratch = Path(tempfile.mkdtemp(prefix="verify-", dir=self.store.root / "work"))
        try:
            manifest = self.manifest(name, key)
            if manifest is None:
                return f"{name_of(name, key)}: gone"
            self._download(name, key, manifest, scratch / "files")
        except DamagedError as error:
            return str(error)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return None

    def set_aside(self, name: str, key: str) -> bool:
        """Takes a damaged stage from what is published at the URL; False if it was gone already."""
        content = self.remote.read(name_of(name, key))
        if content is not None:
            self._set_aside(name, key, content)
        return content is not None

    def _set_aside(self, name: str, key: str, content: bytes) -> None:
        """Takes a damaged stage from what is published at the URL, if its manifest still is that one."""
        if self.remote.read(name_of(name, key)) == content:
            self.remote.replace(f"damaged/{name}-{key}-{time.time_ns()}.json", content)
            self.remote.remove([name_of(name, key)])

    def stop(self) -> None:
        """Tells workers of this run on other machines to begin nothing more."""
        with suppress(RemoteError):
            self.remote.replace(f"stopped/{self.run}", b"stop")

    def is_stopped(self) -> bool:
        """Whether the driver said so. Where it cannot be asked, no."""
        try:
            return self.remote.read(f"stopped/{self.run}") is not None
        except RemoteError:
            return False

    def forget_run(self) -> None:
        """Takes away what this run has left at the URL for its own workers."""
        with suppress(RemoteError):
            self.remote.remove([f"stopped/{self.run}"])

    def keep_plans(self) -> None:
        """Tells at the URL which stages the studies of this home refer to, so that nobody prunes them there."""
        for path in sorted((self.store.home / "plans").glob("*.json")):
            self.remote.replace(f"plans/{store_id(self.store.home)}/{path.name}", path.read_bytes())

    def _is_here(self, name: str, key: str) -> bool:
        return (self.store.folder(name, key) / MANIFEST).is_file()

    def _fetch(self, name: str, key: str) -> bool:
        content = self.remote.read(name_of(name, key))
        if content is None:
            return False
        folder = self.store.root / "work" / key / "fetched"
        try:
            manifest = _checked(content, name_of(name, key), key)
            self._download(name, key, manifest, folder)
            self.store.adopt(name, key, folder, {k: fact for k, fact in manifest.items() if k != "attempt"})
        except DamagedError as error:
            print(f"damaged, set aside, to be computed again: {error}", file=sys.stderr, flush=True)
            self._set_aside(name, key, content)
            return False
        except OSError as error:
            raise StoreError(f"{self.store.home}: {name} {key[:12]} cannot be fetched into it ({error})") from None
        return True

    def _download(self, name: str, key: str, manifest: Mapping[str, Any], folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, facts in manifest["files"].items():
            source, path = f"{_files(name, key, manifest['attempt'])}/{file}", folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.remote.download(source, path):
                raise DamagedError(f"{self.url}/{source}: missing")
            if path.stat().st_size != facts["size"]:
                raise DamagedError(f"{self.url}/{source}: {path.stat().st_size} bytes, {facts['size']} expected")
            if sha256_of(path) != facts["sha256"]:
                raise DamagedError(f"{self.url}/{source}: its content has changed")

    def _deliver(self, name: str, key: str, is_driver_s: bool) -> None:
        try:
            counts = self.send(name, key)
            if counts["files"] != (self.store.manifest(name, key) or {}).get("files"):
                self._fetch(name, key)  # another home was first, and its result is not the same to the last bit
        except RemoteError as error:
            if not is_driver_s:
                raise StoreError(
                    f"finished, and kept in {self.store.home} on {socket.gethostname()}, but not sent: {error}"
                ) from None

    def _tell_failure(self, key: str) -> None:
        failure = self.store.failure(key)
        if failure is not None:
            try:
                self.remote.replace(f"failed/{key}.json", json.dumps(asdict(failure)).encode())
            except RemoteError as error:  # raised, the scheduler gets to know it at least
                raise StoreError(f"{failure.error} (on {socket.gethostname()}; {error})") from None


def name_of(name: str, key: str) -> str:
    """Of a stage's manifest at the URL."""
    return f"manifests/{name}/{key}.json"


def _files(name: str, key: str, attempt: str) -> str:
    return f"files/{name}/{key}/{attempt}"


def _checked(content: bytes, name: str, key: str) -> dict[str, Any]:
    """A manifest that is what was published under that key, as far as it can tell. Raises DamagedError."""
    try:
        manifest = json.loads(content)
        files = [PurePosixPath(file) for file in manifest["files"]]
        whole = all({"size", "sha256"} <= facts.keys() for facts in manifest["files"].values())
        whole = whole and manifest["key"] == key == key_of(manifest["identity"])
        whole = whole and isinstance(manifest["provenance"], dict)
        attempt = str(manifest["attempt"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedError(f"{name}: not a manifest") from None
    if not whole:
        raise DamagedError(f"{name}: its content is not what its key stands for")
    if not attempt.isalnum() or any(
        file.is_absolute() or ".." in file.parts or str(file) == MANIFEST for file in files
    ):
        raise DamagedError(f"{name}: names files that no stage can have written")
    return dict(manifest)
