"""`vos-harness plan STUDY`: `run STUDY --plan` under a name of its own."""

from __future__ import annotations

import argparse

from harness.cli import run

EPILOG = """\
example:
  %(prog)s studies/ablation.yaml --scale mini --all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide what would run."""
    run.add_study_arguments(parser)
    run.add_machine_arguments(parser)
    run.add_plan_arguments(parser.add_argument_group("output"))
    parser.set_defaults(execute=run.execute, plan=True, export=None, time_limit=None)
