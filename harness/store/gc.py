"""Care of a store: what is in it, what nothing refers to any more, what is damaged."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreError
from harness.results.plan_record import load_plans
from harness.results.saved import load_results
from harness.store.local import MANIFEST, Store


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A published folder."""

    name: str
    key: str
    label: str
    """Empty if the manifest does not read."""

    size: int
    """Bytes."""

    published: float
    """Seconds since the epoch."""

    seconds: float
    """That it took."""

    studies: tuple[str, ...]
    """That refer to it."""


@dataclass(frozen=True, kw_only=True)
class Waste:
    """Something that can go."""

    path: Path
    why: str
    size: int
    key: str = ""
    """Of the stage that must not be in work; empty where that does not matter."""


def entries(store: Store) -> Iterator[Entry]:
    """Every published folder. Raises StoreError as load_plans does."""
    users = referred(store.home)
    for name, key in store.published():
        manifest = store.manifest(name, key) or {}
        provenance = manifest.get("provenance", {})
        yield Entry(
            name=name,
            key=key,
            label=manifest.get("label", ""),
            size=size_of(store.folder(name, key)),
            published=time.time() - store.age(name, key),
            seconds=float(provenance.get("seconds", 0.0)),
            studies=users.get(key, ()),
        )


def referred(home: Path) -> dict[str, tuple[str, ...]]:
    """Key → studies whose newest plans hold it.

    Raises StoreError if a study was run here and its plan was not kept: nobody knows then what it stands on."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    known = set()
    for kept in load_plans(home):
        known.add(kept.study)
        for key in kept.stages:
            users[key][kept.study] = None
    run = {path.stem for path in (home / "rows").glob("*.json") if _was_run(home, path.stem)}
    unknown = sorted(run - known)
    if unknown:
        raise StoreError(
            f"{home}: studies without a record of their stages: {', '.join(unknown)}; "
            f"give their run command once again, or delete {home / 'rows'}/<study>.json of those that can go"
        )
    return {key: tuple(studies) for key, studies in users.items()}


def _was_run(home: Path, study: str) -> bool:
    """Not where all its rows are of masks that were handed in: these stand on no stage."""
    results = load_results(home, study)
    return not results or any(not one.submitted for one in results)


def waste(store: Store, older: float) -> Iterator[Waste]:
    """What no study refers to; attempts that were given up on, and folders set aside, `older` seconds ago or more.

    Never what is in work."""
    users = referred(store.home)
    for name, key in store.published():
        if key not in users and not store.in_work(key):
            folder = store.folder(name, key)
            yield Waste(path=folder, why="no study refers to it", size=size_of(folder), key=key)
    for place in sorted((store.root / "work").iterdir()):
        if place.is_dir() and not store.in_work(place.name) and (days := _idle(place)) >= older:
            why = f"an attempt given up on {days / 86400:.0f} days ago"
            yield Waste(path=place, why=why, size=size_of(place), key=place.name)
    for record in sorted((store.root / "failed").glob("*.json")):
        if record.stem not in users:
            yield Waste(path=record, why="failure of a stage that no study refers to", size=size_of(record))
    for place in sorted((store.root / "damaged").iterdir()):
        if (days := _idle(place)) >= older:
            yield Waste(path=place, why=f"set aside {days / 86400:.0f} days ago", size=size_of(place))


def remove(store: Store, found: list[Waste]) -> Iterator[Waste]:
    """Removes what still is waste, and yields it. Waits for runs that are planning, and lets none plan meanwhile."""
    with store.alone():
        users = referred(store.home)
        for one in found:
            if one.key and not _is_attempt(store, one) and one.key in users:
                continue  # a run that was planned since then needs it
            if not one.key:
                _delete(store, one.path)
                yield one
                continue
            with store.claim(one.key, wait=False) as ours:
                if ours:
                    _delete(store, one.path)
            if ours:
                yield one


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def damage(store: Store, name: str, key: str) -> str | None:
    """What is wrong with a published folder, every byte hashed again; None if nothing."""
    folder = store.folder(name, key)
    manifest = store.manifest(name, key)
    if manifest is None:
        return f"{folder / MANIFEST}: missing, or not a manifest of this stage"
    return store.problem(folder, manifest, contents=True)


def _is_attempt(store: Store, one: Waste) -> bool:
    return one.path.parent == store.root / "work"


def _idle(place: Path) -> float:
    """Seconds since anything in it was written."""
    times = [path.lstat().st_mtime for path in (place, *place.rglob("*"))]
    return time.time() - max(times)


def _delete(store: Store, path: Path) -> None:
    """A folder leaves its place whole, so that nobody finds half of it."""
    if path.is_file():
        path.unlink(missing_ok=True)
        return
    away = store.root / "damaged" / f"pruned-{time.time_ns()}"
    try:
        path.rename(away)
    except FileNotFoundError:
        return
    shutil.rmtree(away, ignore_errors=True)
