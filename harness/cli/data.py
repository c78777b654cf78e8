"""`vos-harness data check|describe|embed|compose`: looks at the datasets under a folder, or makes some."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from harness.cli.arguments import add_home, add_subcommands, whole_number
from harness.console import command_line
from harness.datasets import Part, check_part, compose, find_parts, list_entries, suggest, write_miniature, write_today
from harness.errors import StoreError

EPILOG = """\
Exits with status 0, 1 if `check` finds defects, and 2 for a named error.

examples:
  %(prog)s check ROOT
  %(prog)s describe ROOT/my-videos --output ROOT/my-videos/dataset.yaml
  %(prog)s embed OUT --seed 1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    checking, describing, embedding, composing = add_subcommands(
        parser,
        ("check", check, "List what is under a folder, and every defect."),
        ("describe", describe_folder, "Write a first description of a dataset of your own."),
        ("embed", make_embedded, "Render the miniature of all datasets."),
        ("compose", make_composed, "Derive a multi-object benchmark in the layout of DAVIS 2017."),
    )
    checking.add_argument("root", metavar="ROOT", type=Path, help="folder of the datasets as distributed")
    add_home(checking)
    describing.add_argument("root", metavar="ROOT", type=Path, help="folder of the dataset")
    describing.add_argument("--output", metavar="FILE", type=Path, help="write it to this new file (default: print it)")
    composing.add_argument("root", metavar="DAVIS16", type=Path, help="folder of DAVIS 2016, or the one above")
    for command in (embedding, composing):
        command.add_argument("out", metavar="OUT", type=Path, help="a new folder")
        command.add_argument(
            "--seed", metavar="S", type=whole_number(0), default=0, help="seed of what is drawn (default: %(default)s)"
        )


def check(options: argparse.Namespace) -> int:
    """Print what is under a folder and every defect, and return 1 if there are any. Raises DataError for no dataset."""
    home = options.home.absolute()
    cache = home / "facts.sqlite" if home.is_dir() else None  # a look at data makes no home
    entries = list_entries(options.root)
    parts = find_parts(options.root, entries, cache)
    console = Console(width=None if sys.stdout.isatty() else 160)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("files", total=sum(part.files for part in parts))
        parts = [check_part(part, cache, lambda: progress.advance(task)) for part in parts]
    console.print(_table(parts))
    found, datasets = {part.entry.name for part in parts}, {part.entry.dataset.name for part in parts}
    absent = [
        entry.title if entry.dataset.name in datasets else entry.dataset.title
        for entry in entries
        if entry.name not in found
    ]
    if absent:
        console.print(f"not found: {', '.join(dict.fromkeys(absent))}", soft_wrap=True)
    for part in parts:
        for problem in sorted(part.problems, key=lambda problem: problem.severity):  # errors, then notes
            line = f"{problem.severity}: {part.entry.title}: {problem.message}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    errors = sum(len(part.errors) for part in parts)
    console.print(f"{errors} defects" if errors else "no defects")
    return 1 if errors else 0


def describe_folder(options: argparse.Namespace) -> int:
    """Print or write a first description and return 0. Raises DataError for a folder without frames and masks."""
    out: Path | None = options.output
    text = suggest(options.root, out.parent if out else None)
    if out is None:
        print(text, end="")
        return 0
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}); give a new file") from None
    print(f"{out}: written; check it with {command_line('data', 'check', out.parent)}")
    return 0


def make_embedded(options: argparse.Namespace) -> int:
    """Render the miniature and return 0. Raises StoreError if it cannot be written."""
    out = write_miniature(options.out.absolute(), options.seed)
    write_today(out, options.seed)
    print(out)
    return 0


def make_composed(options: argparse.Namespace) -> int:
    """Derive the multi-object benchmark and return 0. Raises HarnessError for damaged data or an unwritable folder."""
    print(compose(options.root, options.out.absolute(), options.seed, lambda name: print(name, flush=True)))
    return 0


def _table(parts: list[Part]) -> Table:
    table = Table("dataset", "split", "data", "sequences", "frames", "objects", "sizes", "folder")
    for part in parts:
        more = f" and {len(part.sizes) - 3} more" if len(part.sizes) > 3 else ""
        table.add_row(
            part.entry.dataset.title,
            part.entry.split + ", held out" * bool(part.entry.held_out),
            part.located.kind,
            str(len(part.sequences)),
            str(sum(map(len, part.sequences))),
            str(sum(len(sequence.object_ids) for sequence in part.sequences)),
            ", ".join(part.sizes[:3]) + more,
            escape(str(part.located.folder)),
        )
    return table
