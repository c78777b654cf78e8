"""What the parsers of all verbs have in common."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def add_argument(self, action: argparse.Action) -> None:
        # subcommands are a list without a line above it that would repeat their names
        if isinstance(action, argparse._SubParsersAction):
            self.add_arguments(action._choices_actions)
        else:
            super().add_argument(action)


class Parser(argparse.ArgumentParser):
    """Parser that refuses abbreviated options and keeps the lines of its epilog; its subparsers do the same."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)


def whole_number(least: int, most: float = math.inf) -> Callable[[str], int]:
    """Return the type of an option that is a whole number in this range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            upwards = f"{least} or more" if math.isinf(most) else f"{least} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text!r} found, a whole number expected: {upwards}")
        return number

    return read


def finite_number(least: float, *, excluded: bool = False) -> Callable[[str], float]:
    """Return the type of an option that is a finite number of at least `least`, which itself may be excluded."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < least or (excluded and number == least):
            limit = f"above {least:g}" if excluded else f"{least:g} or more"
            raise argparse.ArgumentTypeError(f"{text!r} found, a finite number expected: {limit}")
        return number

    return read


def add_home(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add `--home`, which every verb that reads or writes results has."""
    parser.add_argument(
        "--home",
        metavar="DIR",
        type=Path,
        default=Path("runs"),
        help="folder of the store, the MLflow database and the reports (default: %(default)s)",
    )


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add `--no-compare`, which every verb that writes a report has."""
    text = "leave the comparison of variants by their masks out of the report; it can take 256 MB"
    parser.add_argument("--no-compare", action="store_true", help=text)


def add_options(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--option KEY=VALUE`, options of a method as `parse_options` reads them, with this help."""
    parser.add_argument("--option", dest="method_options", metavar="KEY=VALUE", action="append", default=[], help=text)


def add_subcommands(
    parser: argparse.ArgumentParser, *commands: tuple[str, Callable[[argparse.Namespace], int], str]
) -> list[argparse.ArgumentParser]:
    """Add subcommands, each a name, a function that executes it and a summary; return their parsers."""
    names = "|".join(name for name, _, _ in commands)
    group = parser.add_subparsers(required=True, metavar=names, title="subcommands")
    parsers = []
    for name, execute, summary in commands:
        parsers.append(group.add_parser(name, help=summary, description=summary))
        parsers[-1].set_defaults(execute=execute)
    return parsers
