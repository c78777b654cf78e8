"""`vos-harness store list|size|prune|verify`: the finished stages of a home, or of the URL that it shares them at."""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict

from harness.cli.arguments import add_home, add_subcommands, finite_number
from harness.console import human_size
from harness.errors import StoreError
from harness.results import referenced_stages
from harness.store import SharedStore, Store, gc, open_store, remote_gc
from harness.store.gc import Entry

EPILOG = """\
Exits with status 0, 1 if `verify` finds damage, and 2 for a named error.

examples:
  %(prog)s list --kind segment
  %(prog)s prune --yes"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = add_subcommands(
        parser,
        ("list", show, "List every finished stage and the studies that refer to it."),
        ("size", size, "Add up bytes per kind of stage."),
        ("prune", prune, "Show what no study refers to and what killed attempts left behind; --yes removes it."),
        ("verify", verify, "Hash every finished stage again."),
    )
    for command in commands:
        add_home(command)
        command.add_argument("--remote", action="store_true", help="at the URL that the home shares its stages with")
    listing, _, pruning, verifying = commands
    listing.add_argument("--kind", help="only one kind of stage, for example segment")
    listing.add_argument("--json", action="store_true", help="print JSON")
    pruning.add_argument("--yes", action="store_true", help="remove what is shown")
    pruning.add_argument(
        "--older-than",
        metavar="DAYS",
        type=finite_number(0),
        default=7.0,
        help="least age of attempts and damaged folders, with --remote of everything (default: %(default)s)",
    )
    verifying.add_argument("--set-aside", action="store_true", help="move damaged folders away")


def _open(options: argparse.Namespace) -> Store:
    """Open the store of the home, a shared one only with --remote."""
    home = options.home.absolute()
    if not (home / "store").is_dir():
        raise StoreError(f"{home}: no home of runs; give --home the folder that a run was given")
    store = open_store(home) if options.remote else Store(home)
    if options.remote and not isinstance(store, SharedStore):
        raise StoreError(f"{home}: --remote: it shares nothing at a URL; a run with --store URL does")
    return store


def show(options: argparse.Namespace) -> int:
    """Print a line for every finished stage, or all of them as JSON."""
    store = _open(options)
    found = [entry for entry in _entries(store) if options.kind in (None, entry.name)]
    if options.json:
        print(json.dumps([asdict(entry) for entry in found]))
        return 0
    for entry in sorted(found, key=lambda entry: entry.published):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.published))
        studies = ", ".join(entry.studies) or "no study"
        facts = f"{entry.key[:12]}  {entry.name:<10} {when}  {human_size(entry.size):>9}"
        print(f"{facts}  {entry.label or 'damaged'}  [{studies}]")
    return 0


def size(options: argparse.Namespace) -> int:
    """Print bytes per kind of stage, and of what is not a finished stage."""
    store = _open(options)
    found = list(_entries(store))
    lines: dict[str, list[int]] = defaultdict(list)
    for entry in found:
        lines[entry.name].append(entry.size)
    if not isinstance(store, SharedStore):
        for name, title in (("work", "running or abandoned"), ("damaged", "set aside as damaged")):
            for path in (store.root / name).iterdir():
                lines[title].append(gc.size_of(path))
    lines["finished stages"] = [entry.size for entry in found]
    lines["  that no study needs"] = [entry.size for entry in found if not entry.studies]
    for title, sizes in lines.items():
        print(f"{title:<22} {len(sizes):>7} {human_size(sum(sizes)):>10}")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Show what can be removed; remove it with --yes."""
    store = _open(options)
    older = options.older_than * 86400
    if isinstance(store, SharedStore):
        found, place = list(remote_gc.garbage(store, older)), f" at {store.url}"
    else:
        found, place = list(gc.garbage(store, referenced_stages(store.home), older)), ""
    for one in found:
        print(f"{human_size(one.size):>10}  {one.what}  ({one.why})")
    if not options.yes:
        print(f"{len(found)} would be removed{place}, {human_size(sum(one.size for one in found))}; --yes removes them")
        return 0
    if isinstance(store, SharedStore):
        removed = list(remote_gc.remove(store, found))
    else:
        with store.pruning_lock():
            removed = list(gc.remove(store, found, referenced_stages(store.home)))
    print(f"{len(removed)} removed{place}, {human_size(sum(one.size for one in removed))}")
    if len(removed) < len(found):
        print(f"{len(found) - len(removed)} kept: in use by now")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Hash every byte of the finished stages again and print what is damaged; return 1 if anything is."""
    store = _open(options)
    place = store.mirror if isinstance(store, SharedStore) else store
    stages = sorted(place.published())
    damaged = 0
    for name, key in stages:
        if problem := _find_damage(store, name, key):
            damaged += 1
            is_aside = options.set_aside and place.set_aside(name, key)
            print(f"damaged: {name} {key[:12]}: {problem}{' (set aside)' if is_aside else ''}")
    print(f"{len(stages)} finished stages checked, {damaged} damaged")
    if damaged and not options.set_aside:
        print("--set-aside moves them away; the next run of their study computes them again")
    return 1 if damaged else 0


def _find_damage(store: Store, name: str, key: str) -> str | None:
    if isinstance(store, SharedStore):
        return remote_gc.damage(store, name, key)
    return gc.damage(store, name, key)


def _entries(store: Store) -> Iterator[Entry]:
    if isinstance(store, SharedStore):
        return remote_gc.entries(store)
    return gc.entries(store, referenced_stages(store.home))
