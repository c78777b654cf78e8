"""The id of a home: kept when the home is moved, given anew to a copy of it.

`<home>/store/id` holds the id with the place that it is for, and the ids and places that the home had before."""

from __future__ import annotations

import errno
import logging
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.files import locked, read_json, write_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HomeId:
    """A home's id with the place that it is for."""

    id: str
    home: str = ""
    """Path of the home, without symbolic links; empty if it was never noted."""

    inode: int = 0
    """Inode of its folder `store`, which renaming and mounting elsewhere keep and copying does not."""

    host: str = ""
    former: tuple[tuple[str, str], ...] = ()
    """(id, home) before it was copied or moved, the oldest first."""


def store_id(home: Path) -> str:
    """Return a name of this home's store that no other one has: several homes may record into one server."""
    return home_id(home).id


def home_id(home: Path) -> HomeId:
    """Return the id of a home, made or adapted to its place if need be; a copy gets its own, and a line says so.

    A home that cannot be written has the id that it holds. Raises StoreError if it cannot be written and holds none."""
    store = home.resolve() / "store"
    noted = _read(store)
    if noted is not None and noted.home == str(store.parent) and noted.inode == store.stat().st_ino:
        return noted
    try:
        store.mkdir(parents=True, exist_ok=True)
        with locked(store / "id"):
            noted = _read(store)
            current = _at_this_place(noted, store)
            if current != noted:
                write_json(store / "id", asdict(current), indent=1)
    except OSError as error:
        if noted is not None and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return noted
        raise StoreError(f"{store}: cannot be written ({error.strerror}); give another --home") from None
    return current


def _at_this_place(noted: HomeId | None, store: Path) -> HomeId:
    own = HomeId(secrets.token_hex(8), str(store.parent), store.stat().st_ino, socket.gethostname())
    if noted is None:
        return own
    if not noted.home:
        return replace(own, id=noted.id)
    old = Path(noted.home) / "store"
    is_there = old != store and (read_json(old / "id") or {}).get("id") == noted.id
    if is_there and _is_same_folder(old, store):
        return noted  # under another name
    former = (*noted.former, (noted.id, noted.home))
    if is_there:
        _log.warning("%s: a copy of %s; MLflow shows its runs as those of another home", store.parent, noted.home)
        return replace(own, former=former)
    if own.inode == noted.inode or (own.host == noted.host and (old == store or _is_elsewhere(old, store))):
        return replace(own, id=noted.id, former=former if old != store else noted.former)
    _log.warning(
        "%s: a copy of %s:%s, or moved from there; MLflow shows its runs as those of another home. If it was moved, "
        "delete those with the tag store = %s in MLflow",
        *(store.parent, noted.host, noted.home, noted.id),
    )
    return replace(own, former=former)


def _is_same_folder(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one folder; device numbers differ between mounts, inodes agree in snapshots."""
    probe = other / f".{secrets.token_hex(8)}"
    probe.touch()
    try:
        return (one / probe.name).exists()
    finally:
        probe.unlink()


def _is_elsewhere(old: Path, store: Path) -> bool:
    """Return whether a folder that is gone lay on another file system: moving it within one keeps the inode."""
    for folder in old.parents:
        with suppress(OSError):
            return folder.stat().st_dev != store.stat().st_dev
    return False


def _read(store: Path) -> HomeId | None:
    path = store / "id"
    content: dict[str, Any] | None = read_json(path)
    try:
        if content is not None:
            return HomeId(**{**content, "former": tuple((one, place) for one, place in content["former"])})
        # a bare id, of a home that has not been used since places are noted
        return HomeId(path.read_text(encoding="utf-8").strip()) if path.exists() else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path}: not the id of a home ({error}); delete it") from None
