"""`vos-harness VERB ...`: the command with all its verbs; `python -m harness` is the same.

Exits with status 2 for a named error (study, option, data or environment) and with 130 after Ctrl-C; other statuses are
those of the verb."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from harness.cli.arguments import Parser
from harness.console import PROGRAM, redacted, setup_logging
from harness.errors import HarnessError

VERBS = {
    "run": "Run a study; the same command again continues it.",
    "plan": "Show what a study would run, and why, without running it.",
    "explain": "Show what a number in a table is based on and how to reproduce it.",
    "store": "List, measure, clean up and verify finished stages.",
    "mlflow": "Open MLflow's UI, or bring MLflow up to date with the store.",
    "score": "Compute J and F of masks exactly as the official DAVIS evaluator does.",
    "data": "Check datasets, or make some.",
    "report": "Write the report of a study.",
}
"""Verb, which is also the name of its module in `harness.cli` → one-line summary.

A module has EPILOG, the end of its help, and `add_arguments(parser)`, which sets the default `execute`: a function that
takes the parsed options and returns the exit status. It is imported when its verb is given."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, also of a run whose running stages have been finished and kept."""


def main(arguments: Sequence[str] | None = None, *, program: str = PROGRAM) -> int:
    """Run `vos-harness ARGUMENTS` and return its exit status; `program` is the name that help shows."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _run(make_parser(words[0] if words else "", program).parse_args(words))


def run_verb(verb: str, program: str) -> int:
    """Run one verb as a command of its own and return its exit status."""
    parser = Parser(prog=program, description=VERBS[verb])
    _add_arguments(parser, verb)
    return _run(parser.parse_args())


def make_parser(verb: str, program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of the whole command, in which `verb` has its options."""
    parser = Parser(
        prog=program,
        description="Benchmarks and ablations for semi-supervised video object segmentation.",
        epilog="`%(prog)s VERB --help` shows the options of a verb. First run, on embedded data:\n"
        "  %(prog)s run studies/ablation.yaml",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version('dipnet-harness')}")
    verbs = parser.add_subparsers(required=True, metavar="VERB", title="verbs")
    for name, summary in VERBS.items():
        subparser = verbs.add_parser(name, help=summary, description=summary)
        if name == verb:
            _add_arguments(subparser, name)
    return parser


def _add_arguments(parser: Parser, verb: str) -> None:
    module = import_module(f"harness.cli.{verb}")
    parser.epilog = module.EPILOG
    module.add_arguments(parser)


def _run(options: argparse.Namespace) -> int:
    setup_logging()
    try:
        return int(options.execute(options))
    except HarnessError as error:
        print(f"error: {redacted(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is there", file=sys.stderr)
        return INTERRUPTED
