"""`explain STUDY CELL`: what a number stands on, and how to get it again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.results import explain, find_cell


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(arguments)
    home = options.home.absolute()
    try:
        record, cell = find_cell(home, options.study, options.cell, options.scale)
        for line in explain(home, record, cell):
            print(line)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.explain", description="What a number stands on.")
    parser.add_argument("study", metavar="STUDY", help="a study's YAML file, or its name")
    parser.add_argument("cell", metavar="CELL", help="variant/benchmark/seed, or a part that only one cell has")
    parser.add_argument("--home", metavar="DIR", type=Path, default=Path("runs"))
    parser.add_argument("--scale", help="of several that were run; default: the last")
    return parser
