"""A store that shares its stages with other homes at a URL (`--store URL`), and how the right store is opened."""

from __future__ import annotations

import json
import logging
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from harness.errors import HarnessError, RemoteError, StoreError
from harness.stage import Stage
from harness.store.leases import LASTS, LeaseMonitor, Leases
from harness.store.local import (
    Failure,
    Store,
    StoreAddress,
    Synchronized,
    failure_from,
    find_damage,
    node_home,
    store_id,
)
from harness.store.mirror import DamagedError, Mirror
from harness.store.objects import ObjectStore
from harness.store.runs import runs_in_progress

NONE = "none"
"""Value of `--store` that ends the sharing."""

_TRANSFERS = 8
"""Stages that are sent or fetched at the same time."""

_RETRY_SECONDS = 2.0
"""Pause before another look at a stage that another home computes."""

_log = logging.getLogger(__name__)


class SharedStore(Store):
    """A home that shares its stages: what another home has computed is fetched, what is computed here is sent.

    A URL that cannot be reached stops no work whose result the driver sees: it is sent at the end, or next time."""

    def __init__(self, home: Path, objects: ObjectStore, *, run: str, driver: str = "", lasts: float = LASTS) -> None:
        """Open a home. `run`: name of the driver's run; `driver`: id of the driver's home, if it is another one.

        `lasts`: seconds of a lease that is not renewed. Raises StoreError if the home cannot be written."""
        super().__init__(home)
        own = store_id(self.home)
        self.url = objects.url
        self.mirror = Mirror(objects)
        self.leases = Leases(objects, home=f"{socket.gethostname()}:{self.home}:{own}", run=run, lasts=lasts)
        self.address = StoreAddress(home=self.home, url=self.url, run=run, driver=driver or own)
        self._is_drivers = self.address.driver == own
        self._monitor = LeaseMonitor(self.leases.in_force)

    def is_published(self, name: str, key: str) -> bool:
        """Return whether the stage is finished, here or at the URL, as far as that can be reached."""
        if super().is_published(name, key):
            return True
        with suppress(RemoteError):
            return self.mirror.read(name, key) is not None
        return False

    @contextmanager
    def claim(self, name: str, key: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the right to compute a stage against all homes; yield whether it was granted.

        It may be published by then. What is published or has failed at the end is sent to the URL. Raises StoreError
        if the driver cannot get to know the outcome."""
        with self.lock(key), ExitStack() as stack:
            fetched = False
            if self.find(name, key) is None:
                try:
                    while not stack.enter_context(self.leases.held(key, lambda: Store.progress(self, key))):
                        if not wait:
                            yield False
                            return
                        time.sleep(_RETRY_SECONDS)
                    fetched = self._fetch(name, key)
                except RemoteError as error:
                    _log.warning("no lease: %s", error)
            yield True
            if fetched:
                return
            if self._has(name, key):
                self._deliver(name, key)
            elif not self._is_drivers:
                self._send_failure(key)

    def is_running(self, key: str) -> bool:
        """Return whether some process works on the stage, here or in another home."""
        return super().is_running(key) or self._monitor.lease(key) is not None

    def is_taken(self, key: str) -> bool:
        """Return whether a process that is not a worker of this run may be working on the stage."""
        lease = self._monitor.lease(key)
        return super().is_running(key) or (lease is not None and not self.leases.is_ours(lease))

    def failure(self, key: str, since: float = 0.0) -> Failure | None:
        """Return why the last attempt failed. With `since`, a worker that cannot see this home may have sent it."""
        failure = super().failure(key, since)
        if failure is None and since:
            with suppress(RemoteError, ValueError, TypeError):
                sent = failure_from(json.loads(self.mirror.objects.read(f"failed/{key}.json") or b"{}"))
                if sent is not None and sent.when >= since:
                    self.fail(sent)
                    return sent
        return failure

    def progress(self, key: str) -> tuple[float, str]:
        """Return how far a running stage is, here or in another home: share in 0..1, and a message."""
        share, message = super().progress(key)
        lease = None if share else self._monitor.lease(key)
        return (share, message) if lease is None else (lease.share, lease.message)

    def fetch(self, stages: Iterable[Stage]) -> None:
        """Bring those of the stages into the home that are at the URL only. Raises StoreError."""
        for stage in stages:
            if not self._has(stage.name, stage.key):
                self._bring(stage.name, stage.key)

    def elsewhere(self, stages: Iterable[Stage]) -> Mapping[str, float]:
        """Return key → seconds of those stages that are at the URL."""
        return self.mirror.seconds(stages)

    def synchronize(self, stages: Iterable[Stage]) -> Synchronized:
        """Fetch those of the stages that are at the URL only, and send those that are in the home only.

        The plans of this home are sent too, so that nobody prunes what they refer to. Raises StoreError."""
        self._send_plans()
        there = self.mirror.published()
        pairs = {(stage.name, stage.key) for stage in stages}
        here = {pair for pair in pairs if self._has(*pair)}
        absent, unsent = sorted((pairs & there) - here), sorted(here - there)
        pool = ThreadPoolExecutor(_TRANSFERS, thread_name_prefix="mirror")
        try:
            fetched = list(pool.map(lambda pair: self._bring(*pair), absent))
            sent = list(pool.map(lambda pair: self._send(*pair, contents=True), unsent))
        finally:
            pool.shutdown(cancel_futures=True)
        damaged = [f"{name} {key[:12]}" for (name, key), came in zip(absent, fetched, strict=True) if not came]
        return Synchronized(fetched=sum(fetched), sent=len(sent), damaged=tuple(damaged))

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow the leases of other homes while a study runs."""
        with self._monitor.running():
            yield

    def stop(self) -> None:
        """Tell the workers of this run on other machines to begin no more stages."""
        with suppress(RemoteError):
            self.mirror.objects.replace(self._stop_object, b"stop")

    def end_run(self) -> None:
        """Remove what `stop` has left at the URL."""
        with suppress(RemoteError):
            self.mirror.objects.remove([self._stop_object])

    def is_stopped(self) -> bool:
        """Return whether a driver whose home is not seen here wants no more stages; False if it cannot be asked."""
        if not self._is_drivers:
            with suppress(RemoteError):
                return self.mirror.objects.read(self._stop_object) is not None
        return False

    @property
    def _stop_object(self) -> str:
        return f"stopped/{self.address.run}"

    def _send_plans(self) -> None:
        """Make the URL hold the newest plans of this home's studies, and the plans of its runs in progress."""
        folder = f"plans/{store_id(self.home)}"
        running = {f"{folder}/{path.stem.replace('.', '/', 1)}.json": path for path, _ in runs_in_progress(self.root)}
        plans = {f"{folder}/{path.name}": path for path in sorted((self.home / "plans").glob("*.json"))}
        for name, path in (plans | running).items():
            with suppress(FileNotFoundError):  # a run that has ended meanwhile
                self.mirror.objects.replace(name, path.read_bytes())
        ended = [name for name in self.mirror.objects.sizes(folder) if name.count("/") > 2 and name not in running]
        self.mirror.objects.remove(ended)

    def _bring(self, name: str, key: str) -> bool:
        """Bring a stage into the home unless it is there; return whether it is there afterwards."""
        with self.lock(key):
            return self.find(name, key) is not None or self._fetch(name, key)

    def _fetch(self, name: str, key: str) -> bool:
        """Bring a stage into the home if it is at the URL; a damaged one is set aside there. Requires the lock."""
        content = self.mirror.read(name, key)
        if content is None:
            return False
        folder = self.root / "work" / key / "fetched"
        try:
            manifest = self.mirror.download(name, key, content, folder)
            self.adopt(name, key, folder, replace(manifest, attempt=""))
        except DamagedError as error:
            _log.warning("damaged, set aside, to be computed again: %s", error)
            self.mirror.set_aside(name, key, content)
            return False
        except OSError as error:
            raise StoreError(f"{self.home}: {name} {key[:12]} cannot be fetched into it ({error})") from None
        return True

    def _send(self, name: str, key: str, *, contents: bool = False) -> bool:
        """Send a stage unless it is at the URL; return whether what counts there has the same files.

        With `contents`, the files are hashed first. Raises StoreError if they are damaged."""
        manifest = self.manifest(name, key)
        damage = "its manifest is gone" if manifest is None else find_damage(manifest, contents=contents)
        if manifest is None or damage:
            raise StoreError(f"{self.folder(name, key)}: not sent to {self.url}, as it is damaged: {damage}")
        return self.mirror.send(manifest).files == manifest.files

    def _deliver(self, name: str, key: str) -> None:
        try:
            if not self._send(name, key):
                self._fetch(name, key)  # another home was first, and its result differs in some bits
        except RemoteError as error:
            if not self._is_drivers:
                raise StoreError(
                    f"finished, and kept in {self.home} on {socket.gethostname()}, but not sent: {error}"
                ) from None

    def _send_failure(self, key: str) -> None:
        failure = super().failure(key)
        if failure is not None:
            try:
                self.mirror.objects.replace(f"failed/{key}.json", json.dumps(asdict(failure)).encode())
            except RemoteError as error:  # raised, it reaches the scheduler at least
                raise StoreError(f"{failure.error} (on {socket.gethostname()}; {error})") from None


def open_store(home: Path, url: str | None = None) -> Store:
    """Open the store of a home: shared at the URL, or at the one of its last run; local if there is neither.

    `url`: `NONE` ends the sharing. A URL is tried and then remembered. Raises RemoteError if it cannot be written, or
    if two machines could compute one stage there; StoreError if the home cannot be written."""
    store = Store(home)
    chosen = url_of(store.home) if url is None else "" if url == NONE else url
    if not chosen:
        if url == NONE:
            _url_file(store.home).unlink(missing_ok=True)
        return store
    objects = ObjectStore(chosen)
    try:
        objects.check()
    except RemoteError as error:
        hint = f"; --store {NONE} goes on without it" if url is None else ""
        raise RemoteError(f"{error}{hint}") from None
    if chosen != url_of(store.home):
        _url_file(store.home).write_text(chosen + "\n", encoding="utf-8")
    return SharedStore(home, objects, run=secrets.token_hex(8))


def send_results(store: Store, stages: Iterable[Stage]) -> bool:
    """Synchronize after a run; return whether home and URL hold the same. What is wrong is logged."""
    try:
        damaged = store.synchronize(stages).damaged
    except StoreError as error:
        _log.warning("warning: not everything was sent: %s; the results are in the home, run again to send them", error)
        return False
    if damaged:
        _log.warning("warning: damaged at %s and set aside: %s; run again", store.url, ", ".join(damaged))
    return not damaged


def store_on_node(address: StoreAddress) -> Store:
    """Open the driver's store in a worker; if it is shared, a node may have a home of its own."""
    if not address.url:
        return Store(address.home)
    objects = ObjectStore(address.url)
    with suppress(RemoteError):  # only for its clock; if it is down, that is reported where it is needed
        objects.check()
    return SharedStore(node_home(address.home), objects, run=address.run, driver=address.driver)


def check_node(address: StoreAddress, probe: str) -> str:
    """Return what keeps this node from the driver's store; empty if nothing does. The driver holds the lock `probe`."""
    if address.url:
        try:
            Store(node_home(address.home))
            ObjectStore(address.url).check()
        except HarnessError as error:
            return str(error)
        return ""
    if not (address.home / "store" / "locks" / f"{probe}.lock").exists():
        return f"does not see {address.home}; give a --home on a file system that all nodes share"
    if not Store(address.home).is_running(probe):
        return f"file locks in {address.home} do not hold between nodes; mount it with them (NFS 4; Lustre: flock)"
    return ""


def url_of(home: Path) -> str:
    """Return the URL at which the last run of a home shared its stages; empty if it did not."""
    try:
        return _url_file(home).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"{_url_file(home)}: cannot be read ({error.strerror})") from None


def _url_file(home: Path) -> Path:
    return home / "store" / "url"
