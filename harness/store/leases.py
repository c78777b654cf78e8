"""Leases: who works on a stage, for homes that share no locks. An object at the URL, renewed while the stage runs.

leases/<key>/<number>     created only if no object of that name exists: whoever creates it holds the stage, as long as
                          there is no higher number and it has not expired. Only its holder renews it.

An expired lease is taken over by creating the next number, in which one of all contenders succeeds. Should its former
holder publish after all, that does no harm: the first manifest counts."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harness.errors import RemoteError
from harness.store.objects import ObjectStore

LASTS = 90.0
"""Seconds that a lease holds without being renewed."""

_LEASES = "leases"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One object under leases/."""

    home: str
    """Home that the stage runs in: whoever holds the stage's lock there knows that the former holder is dead."""

    run: str
    """Run of the driver, whose scheduler knows which of its workers are dead."""

    token: str
    until: float
    """Seconds since the epoch, by the server's clock."""

    share: float = 0.0
    """How far the stage is, 0..1."""

    message: str = ""


class Leases:
    """The leases at a URL, as one worker or driver sees them."""

    def __init__(self, objects: ObjectStore, *, home: str, run: str, lasts: float = LASTS) -> None:
        self._objects = objects
        self._home = home
        self._run = run
        self._lasts = lasts

    @contextmanager
    def held(self, key: str, progress: Callable[[], tuple[float, str]]) -> Iterator[bool]:
        """Hold a stage against all other homes; yield whether it was free. `progress` is shown to the others.

        Requires the stage's lock in this home. Raises RemoteError before it yields, not afterwards."""
        name = self._take(key)
        if name is None:
            yield False
            return
        done = threading.Event()
        beat = threading.Thread(target=self._renew, args=(key, *name, progress, done), name="lease", daemon=True)
        beat.start()
        try:
            yield True
        finally:
            done.set()
            beat.join()
            with suppress(RemoteError):  # it expires by itself
                self._give_back(key, *name)

    def in_force(self) -> dict[str, Lease]:
        """Return key → lease of every stage that some home holds."""
        newest: dict[str, str] = {}
        for name in sorted(self._objects.sizes(_LEASES)):
            newest[name.split("/")[1]] = name
        contents = self._objects.read_many(list(newest.values()))
        now = self._objects.now()
        leases = {key: _read(contents.get(name)) for key, name in newest.items()}
        return {key: lease for key, lease in leases.items() if lease is not None and lease.until > now}

    def is_ours(self, lease: Lease) -> bool:
        """Return whether it belongs to this home, whose locks say who holds a stage, or to a worker of this run."""
        return self._home == lease.home or self._run == lease.run

    def expired(self) -> list[str]:
        """Return the names of the objects by which nobody holds a stage any more."""
        held = self.in_force()
        return [name for name in self._objects.sizes(_LEASES) if name.split("/")[1] not in held]

    def _take(self, key: str) -> tuple[str, str] | None:
        """Return name and token of a new lease; None if another home holds the stage."""
        names = sorted(self._objects.sizes(f"{_LEASES}/{key}"))
        if names:
            lease = _read(self._objects.read(names[-1]))
            if lease is not None and lease.until > self._objects.now() and not self.is_ours(lease):
                return None
        number = int(names[-1].rpartition("/")[2]) + 1 if names else 1
        name, token = f"{_LEASES}/{key}/{number:08d}", secrets.token_hex(8)
        return (name, token) if self._objects.create(name, self._content(token, (0.0, ""))) else None

    def _renew(
        self, key: str, name: str, token: str, progress: Callable[[], tuple[float, str]], done: threading.Event
    ) -> None:
        while not done.wait(self._lasts / 6):
            with suppress(RemoteError):  # retried five times before the lease expires
                if max(self._objects.sizes(f"{_LEASES}/{key}"), default=name) > name:
                    return  # taken over: this machine was presumed dead
                self._objects.replace(name, self._content(token, progress()))

    def _give_back(self, key: str, name: str, token: str) -> None:
        lease = _read(self._objects.read(name))
        if lease is not None and lease.token == token:
            self._objects.remove(sorted(one for one in self._objects.sizes(f"{_LEASES}/{key}") if one <= name))

    def _content(self, token: str, progress: tuple[float, str]) -> bytes:
        until = self._objects.now() + self._lasts
        share, message = progress
        fields = {"home": self._home, "run": self._run, "token": token, "until": until, "share": share}
        return json.dumps({**fields, "words": message}).encode()


class LeaseMonitor:
    """The leases in force, read in a thread of a driver, so that asking for one costs nothing."""

    def __init__(self, read: Callable[[], Mapping[str, Lease]], interval: float = 3.0) -> None:
        self._read = read
        self._interval = interval
        self._leases: Mapping[str, Lease] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read the leases every `interval` seconds."""
        done = threading.Event()
        threading.Thread(target=self._follow, args=(done,), name="leases", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def lease(self, key: str) -> Lease | None:
        """Return the lease that was in force at the last reading, or None."""
        return self._leases.get(key)

    def _follow(self, done: threading.Event) -> None:
        pause = 0.0
        while not done.wait(pause):
            pause = self._interval
            begun = time.monotonic()
            try:
                self._leases = self._read()
            except RemoteError:
                self._leases = {}  # unknown
                pause = max(10 * self._interval, time.monotonic() - begun)


def _read(content: bytes | None) -> Lease | None:
    """Return a lease; None if there is none, or it is incomplete: nobody holds a stage by that."""
    try:
        fields = json.loads(content or b"")
        return Lease(message=fields.pop("words", ""), **fields)
    except (ValueError, TypeError, AttributeError):
        return None
