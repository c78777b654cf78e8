"""`python -m harness.datasets`: look at the datasets under a folder, or make some.

Exit status: 0 all is well, 1 defects were found, 2 the command could not do its work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from harness.datasets import Part, check_part, compose, find_parts, list_entries, write_miniature
from harness.errors import HarnessError

WIDTH = 160
"""Columns of the output where there is no terminal that has its own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def check(options: argparse.Namespace) -> int:
    """Prints what is under `options.root`, and every defect. Raises HarnessError if nothing is there."""
    cache = options.home.absolute() / "facts.sqlite"
    parts = find_parts(options.root, list_entries())
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("files", total=sum(part.files for part in parts))
        parts = [check_part(part, cache, lambda: progress.advance(task)) for part in parts]
    console.print(_table(parts))
    found = {part.entry.name for part in parts}
    if absent := [entry.title for entry in list_entries() if entry.name not in found]:
        console.print(f"not there: {', '.join(absent)}", soft_wrap=True)
    for part in parts:
        _print_problems(part, console)
    errors = sum(len(part.errors) for part in parts)
    console.print(f"{errors} defects" if errors else "no defects")
    return 1 if errors else 0


def make_embedded(options: argparse.Namespace) -> int:
    """Renders the miniature. Raises StoreError if it cannot be written."""
    print(write_miniature(options.out.absolute(), options.seed))
    return 0


def make_composed(options: argparse.Namespace) -> int:
    """Derives the multi-object benchmark. Raises HarnessError for damaged sources or a place that cannot be written."""
    print(compose(options.root, options.out.absolute(), options.seed, lambda name: print(name, flush=True)))
    return 0


def _table(parts: list[Part]) -> Table:
    table = Table("dataset", "split", "data", "sequences", "frames", "objects", "sizes", "folder")
    for part in parts:
        more = f" and {len(part.sizes) - 3} more" if len(part.sizes) > 3 else ""
        table.add_row(
            part.entry.dataset.title,
            part.entry.split,
            part.located.kind,
            str(len(part.sequences)),
            str(sum(map(len, part.sequences))),
            str(sum(len(one.object_ids) for one in part.sequences)),
            ", ".join(part.sizes[:3]) + more,
            escape(str(part.located.folder)),
        )
    return table


def _print_problems(part: Part, console: Console) -> None:
    for severity in ("error", "note"):
        for problem in part.problems:
            if problem.severity == severity:
                words = f"{severity}: {part.entry.title}: {problem.message}"
                console.print(words, markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.datasets", description="Look at datasets, or make some.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("check", help="what is under a folder, and every defect")
    one.add_argument("root", metavar="ROOT", type=Path, help="folder that holds the datasets as distributed")
    one.add_argument("--home", metavar="DIR", type=Path, default=Path("runs"), help="where the findings are cached")
    one.set_defaults(do=check)
    two = commands.add_parser("embed", help="render the miniature of all datasets")
    two.add_argument("out", metavar="OUT", type=Path, help="a new folder")
    two.add_argument("--seed", metavar="S", type=int, default=0)
    two.set_defaults(do=make_embedded)
    three = commands.add_parser("compose", help="derive a multi-object benchmark, in the layout of DAVIS 2017")
    three.add_argument("root", metavar="DAVIS16", type=Path, help="folder that holds DAVIS 2016, or is it")
    three.add_argument("out", metavar="OUT", type=Path, help="a new folder")
    three.add_argument("--seed", metavar="S", type=int, default=0)
    three.set_defaults(do=make_composed)
    return parser
