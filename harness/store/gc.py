"""Garbage collection of a home's store: what is in it, what no study refers to, what is damaged."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.store.local import Store, find_damage
from harness.store.manifest import MANIFEST, Manifest

_DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A published stage in a listing."""

    name: str
    key: str
    label: str
    """Label of the stage; empty if its manifest is damaged."""

    size: int
    """Bytes."""

    published: float
    """Seconds since the epoch."""

    seconds: float
    """Wall-clock seconds that the stage took."""

    studies: tuple[str, ...]
    """Studies that refer to it."""


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Something that can be removed."""

    what: str
    why: str
    size: int
    """Bytes."""

    places: tuple[str, ...]
    """Paths in the store, or objects at the URL, in the order of removal: a manifest before its files."""

    key: str = ""
    """Key of the stage that must not be running; empty if that does not matter."""

    is_published: bool = False
    """Whether it is a finished stage, which is kept if a study has come to refer to it."""


def entries(store: Store, referenced: Mapping[str, tuple[str, ...]]) -> Iterator[Entry]:
    """Yield every published stage. `referenced`: key → studies whose newest plans hold it."""
    for name, key in store.published():
        size, published = size_of(store.folder(name, key)), time.time() - store.age(name, key)
        yield entry(name, key, store.manifest(name, key), size, published, referenced)


def entry(
    name: str,
    key: str,
    manifest: Manifest | None,
    size: int,
    published: float,
    referenced: Mapping[str, tuple[str, ...]],
) -> Entry:
    """Return the line of a listing. `manifest`: None if it is damaged."""
    return Entry(
        name=name,
        key=key,
        label=manifest.label if manifest else "",
        size=size,
        published=published,
        seconds=(manifest.seconds if manifest else None) or 0.0,
        studies=referenced.get(key, ()),
    )


def garbage(store: Store, referenced: Collection[str], older: float) -> Iterator[Garbage]:
    """Yield what none of the `referenced` keys holds, and abandoned attempts and folders set aside.

    `older`: age in seconds from which attempts and folders set aside count. Nothing that runs is among it."""
    for name, key in store.published():
        if key not in referenced and not store.is_running(key):
            path = store.folder(name, key)
            yield _garbage(store, path, "no study refers to it", key=key, is_published=True)
    for path in sorted((store.root / "work").iterdir()):
        if path.is_dir() and not store.is_running(path.name) and (idle := _idle(path)) >= older:
            yield _garbage(store, path, f"an attempt given up on {idle / _DAY:.0f} days ago", key=path.name)
    for path in sorted((store.root / "failed").glob("*.json")):
        if path.stem not in referenced:
            yield _garbage(store, path, "failure of a stage that no study refers to")
    for path in sorted((store.root / "damaged").iterdir()):
        if (idle := _idle(path)) >= older:
            yield _garbage(store, path, f"set aside {idle / _DAY:.0f} days ago")


def remove(store: Store, found: Iterable[Garbage], referenced: Collection[str]) -> Iterator[Garbage]:
    """Remove what still is garbage, and yield it. Requires the pruning lock, from reading `referenced` on."""
    for one in found:
        if one.is_published and one.key in referenced:
            continue  # a run that was planned since then needs it
        with store.lock(one.key, wait=False) if one.key else nullcontext(True) as free:
            if free:
                for place in one.places:
                    _delete(store, store.root / place)
                yield one


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def damage(store: Store, name: str, key: str) -> str | None:
    """Return what is wrong with a published folder, every byte hashed again; None if nothing."""
    manifest = store.manifest(name, key)
    if manifest is None:
        return f"{store.folder(name, key) / MANIFEST}: missing, or not a manifest of this stage"
    return find_damage(manifest, contents=True)


def _garbage(store: Store, path: Path, why: str, *, key: str = "", is_published: bool = False) -> Garbage:
    place = str(path.relative_to(store.root))
    return Garbage(what=place, why=why, size=size_of(path), places=(place,), key=key, is_published=is_published)


def _idle(place: Path) -> float:
    """Return the seconds since anything in a folder was written."""
    return time.time() - max(path.lstat().st_mtime for path in (place, *place.rglob("*")))


def _delete(store: Store, path: Path) -> None:
    """Delete a file or folder. A folder is moved away first, so that nobody finds half of it."""
    if path.is_file():
        path.unlink(missing_ok=True)
        return
    away = store.root / "damaged" / f"pruned-{time.time_ns()}"
    try:
        path.rename(away)
    except FileNotFoundError:
        return
    shutil.rmtree(away, ignore_errors=True)
