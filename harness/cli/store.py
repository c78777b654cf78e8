"""`vos-harness store list|size|prune|verify`: the finished stages of a home, or of the URL that it shares them at."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict

from harness.cli.arguments import add_home
from harness.errors import StoreError
from harness.store import remote_gc
from harness.store.gc import damage, entries, remove, size_of, waste
from harness.store.local import Store
from harness.store.mirror import Mirror
from harness.store.sharing import open_mirror

EPILOG = """\
Exits with status 0, 1 if `verify` finds damage, and 2 for a named error.

examples:
  %(prog)s list --kind segment
  %(prog)s prune --yes"""

_DAY = 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = EPILOG
    commands = parser.add_subparsers(required=True, metavar="list|size|prune|verify", title="subcommands")
    for name, action, summary in (
        ("list", show, "List every finished stage and the studies that refer to it."),
        ("size", size, "Add up bytes per kind of stage."),
        ("prune", prune, "Show what no study refers to and what killed attempts left behind; --yes removes it."),
        ("verify", verify, "Hash every finished stage again."),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(action=action)
        add_home(command)
        command.add_argument("--remote", action="store_true", help="at the URL that the home shares its stages with")
        if name == "list":
            command.add_argument("--kind", help="only one kind of stage, for example segment")
            command.add_argument("--json", action="store_true", help="print JSON")
        elif name == "prune":
            command.add_argument("--yes", action="store_true", help="remove what is shown")
            command.add_argument(
                "--older-than",
                metavar="DAYS",
                type=float,
                default=7.0,
                help="least age of attempts and damaged folders, with --remote of everything (default: %(default)s)",
            )
        elif name == "verify":
            command.add_argument("--set-aside", action="store_true", help="move damaged folders away")


def execute(options: argparse.Namespace) -> int:
    """Do what the subcommand says and return its exit status."""
    home = options.home.absolute()
    if not (home / "store").is_dir():
        raise StoreError(f"{home}: no home of runs; give --home the folder that a run was given")
    store = Store(home)
    return int(options.action(store, _mirror(store) if options.remote else None, options))


def _mirror(store: Store) -> Mirror:
    mirror = open_mirror(store, None)
    if mirror is None:
        raise StoreError(f"{store.home}: --remote: it shares nothing at a URL; a run with --store URL does")
    return mirror


def show(store: Store, mirror: Mirror | None, options: argparse.Namespace) -> int:
    """A line for every finished stage, or all of it as JSON."""
    every = remote_gc.entries(mirror) if mirror else entries(store)
    found = [entry for entry in every if options.kind in (None, entry.name)]
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


def size(store: Store, mirror: Mirror | None, _options: argparse.Namespace) -> int:
    """Bytes by kind of stage, and of what is not a finished stage."""
    counts: dict[str, list[int]] = {}
    unused = [0, 0]
    for entry in remote_gc.entries(mirror) if mirror else entries(store):
        for total in (counts.setdefault(entry.name, [0, 0]), *([] if entry.studies else [unused])):
            total[0] += 1
            total[1] += entry.size
    for name, (count, bytes_) in counts.items():
        print(f"{name:<22} {count:>7} {human(bytes_):>10}")
    for name, words in (("work", "in work, or given up on"), ("damaged", "set aside as damaged")):
        places = [] if mirror else list((store.root / name).iterdir())
        if places:
            print(f"{words:<22} {len(places):>7} {human(sum(map(size_of, places))):>10}")
    total_count, total_bytes = sum(count for count, _ in counts.values()), sum(bytes_ for _, bytes_ in counts.values())
    print(f"{'finished stages':<22} {total_count:>7} {human(total_bytes):>10}")
    print(f"{'  that no study needs':<22} {unused[0]:>7} {human(unused[1]):>10}")
    return 0


def prune(store: Store, mirror: Mirror | None, options: argparse.Namespace) -> int:
    """Shows what can go; removes it where the user says so."""
    if mirror is not None:
        return _prune_at(mirror, options)
    found = list(waste(store, options.older_than * _DAY))
    for one in found:
        print(f"{human(one.size):>10}  {one.path.relative_to(store.root)}  ({one.why})")
    if not options.yes:
        print(f"{len(found)} would be removed, {human(sum(one.size for one in found))}; --yes removes them")
        return 0
    removed = list(remove(store, found))
    print(f"{len(removed)} removed, {human(sum(one.size for one in removed))}")
    if len(removed) < len(found):
        print(f"{len(found) - len(removed)} kept: in use by now")
    return 0


def _prune_at(mirror: Mirror, options: argparse.Namespace) -> int:
    found = list(remote_gc.litter(mirror, options.older_than * _DAY))
    for one in found:
        print(f"{human(one.size):>10}  {one.what}  ({one.why})")
    if not options.yes:
        total = human(sum(one.size for one in found))
        print(f"{len(found)} would be removed at {mirror.url}, {total}; --yes removes them")
        return 0
    removed = list(remote_gc.remove(mirror, found))
    print(f"{len(removed)} removed at {mirror.url}, {human(sum(one.size for one in removed))}")
    return 0


def verify(store: Store, mirror: Mirror | None, options: argparse.Namespace) -> int:
    """Hashes every byte again; says what is damaged."""
    checked = bad = 0
    for name, key in sorted(mirror.published()) if mirror else store.published():
        checked += 1
        problem = mirror.problem(name, key) if mirror else damage(store, name, key)
        if problem is None:
            continue
        bad += 1
        set_aside = mirror.set_aside if mirror else store.set_aside
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
