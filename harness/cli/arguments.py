"""What the parsers of all verbs have in common."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


class Parser(argparse.ArgumentParser):
    """Parser that refuses abbreviated options and keeps the lines of its epilog; its subparsers do the same."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)


def add_home(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add `--home`, which every verb that reads or writes results has."""
    parser.add_argument(
        "--home",
        metavar="DIR",
        type=Path,
        default=Path("runs"),
        help="folder of the store, the MLflow database and the reports (default: %(default)s)",
    )
