"""Who works on a stage, where machines share no locks: a lease at the URL, renewed while the work goes on.

leases/<key>/<number>     made on the condition that there is none of that name: whoever makes it has the stage, as long
                          as no higher number is there and it has not run out. Renewed by its holder alone.

A lease that has run out is taken over by making the next number, which one of all who try can do. What its former
holder publishes all the same is harmless: the first manifest counts."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import RemoteError
from harness.store.objects import ObjectStore

LASTS = 90.0
"""Seconds that a lease holds without being renewed."""

_LEASES = "leases"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One object under leases/."""

    home: str
    """Which home it is worked on in: whoever holds the stage's lock there knows that its former holder is dead."""

    run: str
    """Of which driver, whose scheduler knows which of its workers are dead."""

    token: str
    until: float
    """Seconds since the epoch, by the server's clock."""

    share: float = 0.0
    words: str = ""
    """How far the stage is."""


class Leases:
    """The leases at a URL, as one worker or driver sees them."""

    def __init__(self, remote: ObjectStore, *, home: str, run: str, lasts: float = LASTS) -> None:
        self._remote = remote
        self._home = home
        self._run = run
        self._lasts = lasts

    @contextmanager
    def held(self, key: str, progress: Callable[[], tuple[float, str]]) -> Iterator[bool]:
        """Holds a stage against all other homes; yields whether it could be had. `progress` is told to the others.

        Only for who holds the stage's lock in its home. Raises RemoteError before it yields, not afterwards."""
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
            with suppress(RemoteError):  # it runs out by itself
                self._give_back(key, *name)

    def in_force(self) -> dict[str, Lease]:
        """Key → lease of every stage that some home holds."""
        newest: dict[str, str] = {}
        for name in sorted(self._remote.sizes(_LEASES)):
            newest[name.split("/")[1]] = name
        contents = self._remote.read_many(list(newest.values()))
        now = self._remote.now()
        leases = {key: _read(contents.get(name)) for key, name in newest.items()}
        return {key: lease for key, lease in leases.items() if lease is not None and lease.until > now}

    def is_ours(self, lease: Lease) -> bool:
        """Whether it is of this home, whose locks tell who holds a stage, or of a worker of this run."""
        return self._home == lease.home or self._run == lease.run

    def run_out(self) -> list[str]:
        """Names of the objects that nobody holds a stage by."""
        held = self.in_force()
        return [name for name in self._remote.sizes(_LEASES) if name.split("/")[1] not in held]

    def _take(self, key: str) -> tuple[str, str] | None:
        """Name and token of the lease; None if another home has the stage."""
        names = sorted(self._remote.sizes(f"{_LEASES}/{key}"))
        if names:
            lease = _read(self._remote.read(names[-1]))
            if lease is not None and lease.until > self._remote.now() and not self.is_ours(lease):
                return None
        number = int(names[-1].rpartition("/")[2]) + 1 if names else 1
        name, token = f"{_LEASES}/{key}/{number:08d}", secrets.token_hex(8)
        return (name, token) if self._remote.create(name, self._content(token, (0.0, ""))) else None

    def _renew(
        self, key: str, name: str, token: str, progress: Callable[[], tuple[float, str]], done: threading.Event
    ) -> None:
        while not done.wait(self._lasts / 6):
            with suppress(RemoteError):  # it is tried again, five times before the lease runs out
                if max(self._remote.sizes(f"{_LEASES}/{key}"), default=name) > name:
                    return  # taken over: this machine was thought dead
                self._remote.replace(name, self._content(token, progress()))

    def _give_back(self, key: str, name: str, token: str) -> None:
        lease = _read(self._remote.read(name))
        if lease is not None and lease.token == token:
            self._remote.remove(sorted(one for one in self._remote.sizes(f"{_LEASES}/{key}") if one <= name))

    def _content(self, token: str, progress: tuple[float, str]) -> bytes:
        until = self._remote.now() + self._lasts
        share, words = progress
        lease = Lease(home=self._home, run=self._run, token=token, until=until, share=share, words=words)
        return json.dumps(asdict(lease)).encode()


class Watch:
    """What other machines are at, for the display of a driver: looked at in a thread, so that asking costs nothing."""

    def __init__(self, look: Callable[[], Mapping[str, Lease]], every: float = 3.0) -> None:
        self._look = look
        self._every = every
        self._leases: Mapping[str, Lease] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()

    def lease(self, key: str) -> Lease | None:
        """The one in force, if there was one when last looked at."""
        return self._leases.get(key)

    def _run(self) -> None:
        pause = 0.0
        while not self._done.wait(pause):
            pause = self._every
            begun = time.monotonic()
            try:
                self._leases = self._look()
            except RemoteError:
                self._leases = {}  # nobody knows
                pause = max(10 * self._every, time.monotonic() - begun)


def _read(content: bytes | None) -> Lease | None:
    """None where there is none, or it is not whole: nobody holds a stage by that."""
    try:
        found = json.loads(content or b"")
        return Lease(**found)
    except (ValueError, TypeError):
        return None
