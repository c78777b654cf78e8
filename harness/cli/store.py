"""`python -m harness.store list|size|prune|verify [--home DIR] [--remote]`: looks after the finished stages of a home,
or of the URL that it shares them at.

Exit status 0; 1 if `verify` finds damage; 2 for a named error."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from harness.errors import HarnessError, StoreError
from harness.results.references import referenced_stages
from harness.store import SharedStore, Store, open_store, remote_gc
from harness.store.gc import Entry, damage, entries, garbage, remove, size_of

_DAY = 86400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(arguments)
    home: Path = options.home.absolute()
    try:
        if not (home / "store").is_dir():
            raise StoreError(f"{home}: no home of runs; give --home the folder that runs were given")
        status: int = options.do(_shared(home) if options.remote else Store(home), options)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status


def _shared(home: Path) -> SharedStore:
    store = open_store(home)
    if not isinstance(store, SharedStore):
        raise StoreError(f"{home}: --remote: it shares nothing at a URL; a run with --store URL does")
    return store


def _entries(store: Store) -> Iterator[Entry]:
    """Yield the stages at the URL of a shared store, else those of the home."""
    if isinstance(store, SharedStore):
        return remote_gc.entries(store)
    return entries(store, referenced_stages(store.home))


def show(store: Store, options: argparse.Namespace) -> int:
    """A line for every finished stage, or all of it as JSON."""
    found = [entry for entry in _entries(store) if options.kind in (None, entry.name)]
    if options.json:
        print(json.dumps([asdict(entry) for entry in found]))
        return 0
    for entry in sorted(found, key=lambda entry: entry.published):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.published))
        used = ", ".join(entry.studies) or "no study"
        print(
            f"{entry.key[:12]}  {entry.name:<10} {when}  {human(entry.size):>9}  {entry.label or 'damaged'}  [{used}]"
        )
    return 0


def size(store: Store, _options: argparse.Namespace) -> int:
    """Bytes by kind of stage, and of what is not a finished stage."""
    counts: dict[str, list[int]] = {}
    unused = [0, 0]
    for entry in _entries(store):
        for total in (counts.setdefault(entry.name, [0, 0]), *([] if entry.studies else [unused])):
            total[0] += 1
            total[1] += entry.size
    for name, (count, bytes_) in counts.items():
        print(f"{name:<22} {count:>7} {human(bytes_):>10}")
    for name, words in (("work", "in work, or given up on"), ("damaged", "set aside as damaged")):
        places = [] if store.url else list((store.root / name).iterdir())
        if places:
            print(f"{words:<22} {len(places):>7} {human(sum(map(size_of, places))):>10}")
    total_count, total_bytes = sum(count for count, _ in counts.values()), sum(bytes_ for _, bytes_ in counts.values())
    print(f"{'finished stages':<22} {total_count:>7} {human(total_bytes):>10}")
    print(f"{'  that no study needs':<22} {unused[0]:>7} {human(unused[1]):>10}")
    return 0


def prune(store: Store, options: argparse.Namespace) -> int:
    """Shows what can go; removes it where the user says so."""
    older = options.older_than * _DAY
    if isinstance(store, SharedStore):
        found = list(remote_gc.garbage(store, older))
    else:
        found = list(garbage(store, referenced_stages(store.home), older))
    at = f" at {store.url}" if store.url else ""
    for one in found:
        print(f"{human(one.size):>10}  {one.what}  ({one.why})")
    if not options.yes:
        print(f"{len(found)} would be removed{at}, {human(sum(one.size for one in found))}; --yes removes them")
        return 0
    if isinstance(store, SharedStore):
        removed = list(remote_gc.remove(store, found))
    else:
        with store.pruning_lock():  # waits for runs that are planning, and lets none plan meanwhile
            removed = list(remove(store, found, referenced_stages(store.home)))
    print(f"{len(removed)} removed{at}, {human(sum(one.size for one in removed))}")
    if len(removed) < len(found):
        print(f"{len(found) - len(removed)} kept: in use by now")
    return 0


def verify(store: Store, options: argparse.Namespace) -> int:
    """Hashes every byte again; says what is damaged."""
    checked = bad = 0
    shared = store if isinstance(store, SharedStore) else None
    for name, key in sorted(shared.mirror.published()) if shared else store.published():
        checked += 1
        problem = remote_gc.damage(shared, name, key) if shared else damage(store, name, key)
        if problem is None:
            continue
        bad += 1
        set_aside = shared.mirror.set_aside if shared else store.set_aside
        aside = " (set aside)" if options.set_aside and set_aside(name, key) else ""
        print(f"damaged: {name} {key[:12]}: {problem}{aside}")
    print(f"{checked} finished stages checked, {bad} damaged")
    if bad and not options.set_aside:
        print("--set-aside moves them away; the next run of their study computes them again")
    return 1 if bad else 0


def human(count: float) -> str:
    """`1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.store", description="Look after finished stages.")
    commands = parser.add_subparsers(required=True, metavar="list|size|prune|verify")
    asked = {
        "list": (show, "every finished stage, and the studies that refer to it"),
        "size": (size, "bytes by kind of stage"),
        "prune": (prune, "show what no study refers to, and what killed attempts left; --yes removes it"),
        "verify": (verify, "hash every finished stage again"),
    }
    for name, (do, words) in asked.items():
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(do=do)
        command.add_argument("--home", metavar="DIR", type=Path, default=Path("runs"))
        command.add_argument(
            "--remote", action="store_true", help="not of the home, but at the URL that it shares with"
        )
        if name == "list":
            command.add_argument("--kind", help="of one kind only: train, segment, …")
            command.add_argument("--json", action="store_true")
        if name == "prune":
            command.add_argument("--yes", action="store_true", help="remove it")
            command.add_argument(
                "--older-than",
                metavar="DAYS",
                type=float,
                default=7.0,
                help="of attempts and damaged folders, with --remote of everything; default 7",
            )
        if name == "verify":
            command.add_argument("--set-aside", action="store_true", help="move damaged folders away")
    return parser
