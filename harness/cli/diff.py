"""`vos-harness diff A B`: why two results differ."""

from __future__ import annotations

import argparse
import json

from harness.cli.arguments import add_home
from harness.report import find_comparer

EPILOG = """\
A and B are each one of

  no-crop                    a variant, or a method whose masks were recorded (`score --record`)
  no-crop/davis16-val/0      on one benchmark, with one seed
  ablation                   a study: everything that both sides have
  ablation:no-crop           a variant of a study, which may also be its YAML file
  no-crop@light              at one scale; without it, at that of the newest run
  DIR::ablation:no-crop      in another home than --home
  paper:OSVOS                a published number, by method or by its key in published.yaml
  paper:                     the published number that the other side reproduces

What one side does not say is taken from the other: study, variant, benchmark and scale. Only the homes are read.
Exits with status 0, with 1 if one side has no number yet, and with 2 for a named error.

examples:
  %(prog)s full no-crop
  %(prog)s full paper:
  %(prog)s osvos paper:OSVOS --benchmark davis16-val
  %(prog)s ablation:full@mini ablation:full@light
  %(prog)s ablation /disk/runs::"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two sides and how to show what differs."""
    parser.set_defaults(execute=execute)
    parser.add_argument("first", metavar="A", help="a result, see below")
    parser.add_argument("second", metavar="B", help="the result to compare it with; differences are B minus A")
    add_home(parser)
    parser.add_argument("--benchmark", metavar="NAME", default="", help="on this benchmark only")
    parser.add_argument("--measure", metavar="NAME", default="", help="J_mean (default), F_mean, JF_mean, …")
    output = parser.add_argument_group("output").add_mutually_exclusive_group()
    output.add_argument("--all", action="store_true", help="print long lists in full")
    output.add_argument("--json", action="store_true", help="print JSON, always in full")


def execute(options: argparse.Namespace) -> int:
    """Print what differs and return the exit status."""
    compared = find_comparer().compare(
        options.first, options.second, options.home, benchmark=options.benchmark, measure=options.measure
    )
    if options.json:
        print(json.dumps(compared.to_dict(), indent=1, ensure_ascii=False))
    else:
        for line in compared.lines(everything=options.all):
            print(line)
    return 0 if compared.measured else 1
