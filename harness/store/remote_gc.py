"""Garbage collection at the URL that homes share: what is in it, what no home's study refers to."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from harness.errors import StoreError
from harness.store.gc import Entry, Garbage, entry
from harness.store.mirror import Mirror, manifest_object
from harness.store.sharing import SharedStore


def entries(store: SharedStore) -> Iterator[Entry]:
    """Yield every stage at the URL; its label is empty if its manifest is damaged."""
    mirror, users = store.mirror, referenced(store.mirror)
    for (name, key), manifest in mirror.manifests(mirror.published()).items():
        size = manifest.size if manifest else 0
        ended = manifest.span[1] if manifest and manifest.span else 0.0
        yield entry(name, key, manifest, size, ended, users)


def referenced(mirror: Mirror) -> dict[str, tuple[str, ...]]:
    """Return key → studies whose newest plans, or runs in progress, hold it, of all homes that ever ran with the URL.

    Raises StoreError for a plan that cannot be read: then it is unknown which stages it needs."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    names = [name for name in mirror.objects.sizes("plans") if name.endswith(".json")]
    for name, content in mirror.objects.read_many(names).items():
        try:
            keys = [key for plan in json.loads(content)["plans"] for key in plan["stages"]]
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{mirror.url}/{name}: not a record of plans; delete it") from None
        for key in keys:
            users[key][PurePosixPath(name).stem] = None
    return {key: tuple(studies) for key, studies in users.items()}


def garbage(store: SharedStore, older: float) -> Iterator[Garbage]:
    """Yield what no study of any home refers to, and what killed or damaged attempts have left.

    `older`: age in seconds from which anything counts. Nothing that runs is among it."""
    mirror, objects = store.mirror, store.mirror.objects
    users, held = referenced(mirror), store.leases.in_force()
    manifests = mirror.manifests(mirror.published())
    attempts: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes = objects.sizes("files")
    for file in sizes:
        _, name, key, attempt, *_ = file.split("/")
        attempts[name, key][attempt].append(file)

    def of_stage(name: str, key: str, why: str, places: list[str], *, is_published: bool = False) -> Garbage:
        size = sum(sizes.get(place, 0) for place in places)
        what = f"{name} {key[:12]}"
        return Garbage(what=what, why=why, size=size, places=tuple(places), key=key, is_published=is_published)

    for (name, key), manifest in manifests.items():
        own = attempts[name, key].pop(manifest.attempt, []) if manifest else []
        place = manifest_object(name, key)
        if key not in users and key not in held and objects.age(place) >= older:
            yield of_stage(name, key, "no study refers to it", [place, *own], is_published=True)
    for (name, key), others in attempts.items():
        for files in others.values():
            if key not in held and all(objects.age(file) >= older for file in files):
                yield of_stage(name, key, "never published", files)
    for folder, why in (("damaged", "set aside"), ("failed", "reported already"), ("stopped", "reported already")):
        for file, size in objects.sizes(folder).items():
            if objects.age(file) >= older:
                yield Garbage(what=file, why=why, size=size, places=(file,))
    for file in store.leases.expired():
        yield Garbage(what=file, why="an expired lease", size=0, places=(file,), key=file.split("/")[1])


def damage(store: SharedStore, name: str, key: str) -> str | None:
    """Return what is wrong with a stage at the URL, every byte read and hashed; None if nothing."""
    return store.mirror.find_damage(name, key, store.root / "work" / f"verify-{secrets.token_hex(4)}")


def remove(store: SharedStore, found: Iterable[Garbage]) -> Iterator[Garbage]:
    """Remove what still is garbage, and yield it. A run that plans meanwhile computes what it misses again."""
    users, held = referenced(store.mirror), store.leases.in_force()
    for one in found:
        if one.key not in held and not (one.is_published and one.key in users):
            store.mirror.objects.remove(one.places)
            yield one
