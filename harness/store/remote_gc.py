"""Care of what homes share at a URL: what is in it, what no home's study refers to, what is damaged."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreError
from harness.store.gc import Entry
from harness.store.mirror import Mirror, name_of


@dataclass(frozen=True, kw_only=True)
class Litter:
    """Objects that can go together."""

    what: str
    why: str
    names: tuple[str, ...]
    """In the order in which they must go: a manifest before its files."""

    size: int
    key: str = ""
    """Of the stage that must not be in work; empty where that does not matter."""


def entries(mirror: Mirror) -> Iterator[Entry]:
    """Every stage at the URL; without a label where its manifest is damaged."""
    users = referred(mirror)
    for (name, key), manifest in mirror.manifests(mirror.published()).items():
        provenance = manifest["provenance"] if manifest else {}
        yield Entry(
            name=name,
            key=key,
            label=str(manifest["label"]) if manifest else "",
            size=sum(facts["size"] for facts in manifest["files"].values()) if manifest else 0,
            published=provenance.get("started", 0.0) + provenance.get("seconds", 0.0),
            seconds=float(provenance.get("seconds", 0.0)),
            studies=users.get(key, ()),
        )


def referred(mirror: Mirror) -> dict[str, tuple[str, ...]]:
    """Key → studies whose newest plans hold it, of all homes that ever ran with the URL. Raises StoreError for a plan
    that cannot be read: nobody knows then what it stands on."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    names = [name for name in mirror.remote.sizes("plans") if name.endswith(".json")]
    for name, content in mirror.remote.read_many(names).items():
        try:
            keys = [key for plan in json.loads(content)["plans"] for key in plan["stages"]]
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{mirror.url}/{name}: not a record of plans; delete it") from None
        for key in keys:
            users[key][Path(name).stem] = None
    return {key: tuple(studies) for key, studies in users.items()}


def litter(mirror: Mirror, older: float) -> Iterator[Litter]:
    """What no study of any home refers to, and what killed or damaged attempts have left, written `older` seconds ago
    or more. Never what is in work."""
    remote = mirror.remote
    users, held = referred(mirror), mirror.leases.in_force()
    manifests = mirror.manifests(mirror.published())
    attempts: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes = remote.sizes("files")
    for file in sizes:
        _, name, key, attempt, *_ = file.split("/")
        attempts[name, key][attempt].append(file)
    for (name, key), manifest in manifests.items():
        own = attempts[name, key].pop(manifest["attempt"], []) if manifest else []
        if key not in users and key not in held and remote.age(at := name_of(name, key)) >= older:
            size = sum(sizes[file] for file in own)
            yield Litter(what=f"{name} {key[:12]}", why="no study refers to it", names=(at, *own), size=size, key=key)
    for (name, key), others in attempts.items():
        for files in others.values():
            if key not in held and all(remote.age(file) >= older for file in files):
                size = sum(sizes[file] for file in files)
                yield Litter(what=f"{name} {key[:12]}", why="never published", names=tuple(files), size=size, key=key)
    for folder, why in (("damaged", "set aside"), ("failed", "told already"), ("stopped", "told already")):
        for file, size in remote.sizes(folder).items():
            if remote.age(file) >= older:
                yield Litter(what=file, why=why, names=(file,), size=size)
    for file in mirror.leases.run_out():
        yield Litter(what=file, why="a lease that has run out", names=(file,), size=0, key=file.split("/")[1])


def remove(mirror: Mirror, found: list[Litter]) -> Iterator[Litter]:
    """Removes what still is litter, and yields it. A run that is planning meanwhile computes again what it misses."""
    users, held = referred(mirror), mirror.leases.in_force()
    for one in found:
        if one.key in held or (one.key in users and one.names[0].startswith("manifests/")):
            continue
        mirror.remote.remove(one.names)
        yield one
