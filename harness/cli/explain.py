"""`vos-harness explain STUDY CELL`: what a number in a table is based on and how to reproduce it."""

from __future__ import annotations

import argparse

from harness.cli.arguments import add_home
from harness.results import explain, find_cell

EPILOG = """\
Everything is read from the home: neither the data nor the study's file is needed.

example:
  %(prog)s ablation full/davis16-val/0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the study, the cell and where to look."""
    parser.set_defaults(execute=execute)
    parser.add_argument("study", metavar="STUDY", help="a study's YAML file or its name")
    parser.add_argument("cell", metavar="CELL", help="variant/benchmark/seed, or any part that only one cell has")
    add_home(parser)
    parser.add_argument("--scale", help="scale of the run, if there were several (default: that of the last run)")


def execute(options: argparse.Namespace) -> int:
    """Print the explanation and return 0."""
    home = options.home.absolute()
    record, cell = find_cell(home, options.study, options.cell, options.scale)
    for line in explain(home, record, cell):
        print(line)
    return 0
