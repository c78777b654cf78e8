"""Where a home shares its stages with others (`--store URL`): opened, remembered in the home, levelled with it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import RemoteError, StoreError
from harness.planning.plan import Plan
from harness.store.leases import Lease, Watch
from harness.store.local import Store
from harness.store.mirror import Mirror
from harness.store.objects import ObjectStore

NONE = "none"
"""As `--store`: the home shares no more."""


def url_of(home: Path) -> str:
    """The URL that the home's last run shared its stages at; empty if it did not."""
    try:
        return _file(home).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"{_file(home)}: cannot be read ({error.strerror})") from None


def open_mirror(store: Store, given: str | None) -> Mirror | None:
    """Of the URL that is given, or else remembered; None if there is neither. It is tried, then remembered.

    Raises RemoteError where it cannot be written, or two machines could do one stage there."""
    url = url_of(store.home) if given is None else "" if given == NONE else given
    if not url:
        if given == NONE:
            _file(store.home).unlink(missing_ok=True)
        return None
    remote = ObjectStore(url)
    try:
        remote.check()
    except RemoteError as error:
        hint = f"; --store {NONE} goes on without it" if given is None else ""
        raise RemoteError(f"{error}{hint}") from None
    if url != url_of(store.home):
        _file(store.home).write_text(url + "\n", encoding="utf-8")
    return Mirror(store, remote, run=secrets.token_hex(8))


def level_first(mirror: Mirror, plan: Plan, say: Callable[[str], None]) -> bool:
    """Fetches what the plan counts as cached and the home has not, and sends what only the home has. False if some of
    it was damaged at the URL, so that it must be planned again. Raises RemoteError or StoreError."""
    mirror.keep_plans()
    cached = [item.stage for item in plan.items.values() if item.state == "cached"]
    done = mirror.level(cached)
    if done.fetched or done.sent:
        say(f"{mirror.url}: {done.fetched} finished stages fetched, {done.sent} sent")
    return not done.absent


def level_last(mirror: Mirror, plan: Plan) -> bool:
    """The same after a run, for all stages of the plan; whether home and URL hold the same. What is wrong is said."""
    try:
        done = mirror.level([item.stage for item in plan.items.values()])
    except StoreError as error:
        unsent = "what was computed is kept in the home; the same command sends it"
        print(f"warning: the store is not level: {error}; {unsent}", file=sys.stderr)
        return False
    if done.absent:
        print(f"damaged at {mirror.url}, and set aside: {', '.join(done.absent)}; run again", file=sys.stderr)
    return not done.absent


@contextmanager
def leases_at(mirror: Mirror | None) -> Iterator[Callable[[str], Lease | None]]:
    """While a study runs: by the key, the lease that is in force at the URL; none without one."""
    if mirror is None:
        yield lambda key: None
        return
    with Watch(mirror.leases.in_force) as others:
        yield others.lease


def _file(home: Path) -> Path:
    return home / "store" / "url"
