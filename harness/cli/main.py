"""`vos-harness VERB ...`: the command with all its verbs; `python -m harness` is the same.

Exits with status 2 for a named error (study, option, data or environment), with 130 after Ctrl-C, 143 after SIGTERM,
129 after SIGHUP, and 141 if nobody reads the output (`| head`); other statuses are those of the verb."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from harness.cli.arguments import Parser
from harness.console import PROGRAM, OutputLostError, note, redacted, setup_logging, setup_output
from harness.errors import HarnessError
from harness.files import disk_full, is_disk_full
from harness.signals import ending_signals

VERBS = {
    "run": "Run a study; the same command again continues it.",
    "plan": "Show what a study would run, and why, without running it.",
    "accept": "Take results of earlier code as they are, though code has changed.",
    "explain": "Show what a number in a table is based on and how to reproduce it.",
    "diff": "Show why two results differ: two variants, two studies, two homes, or a result and a published number.",
    "method": "Show what a method is: parameters, operations per frame, training, weights.",
    "store": "List, measure, clean up and verify finished stages.",
    "mlflow": "Open MLflow's UI, or bring MLflow up to date with the store.",
    "score": "Compute J and F of masks exactly as the official DAVIS evaluator does.",
    "data": "Check datasets, or make some.",
    "report": "Write the report of a study.",
}
"""Verb, which is also the name of its module in `harness.cli` → one-line summary.

A module has EPILOG, the end of its help, and `add_arguments(parser)`, which sets the default `execute`: a function that
takes the parsed options and returns the exit status. It is imported when its verb is given."""

SIGNALED = 128
"""Exit status after a signal is this plus its number: Ctrl-C, SIGTERM, SIGHUP, or SIGPIPE (nobody reads the output)."""

INTERRUPTED = SIGNALED + signal.SIGINT
"""Exit status after Ctrl-C, also of a run whose running stages have been finished and kept."""


def main(arguments: Sequence[str] | None = None, *, program: str = PROGRAM) -> int:
    """Run `vos-harness ARGUMENTS` and return its exit status; `program` is the name that help shows."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _run(lambda: make_parser(words[0] if words else "", program), words)


def run_verb(verb: str, program: str) -> int:
    """Run one verb as a command of its own and return its exit status."""
    return _run(lambda: make_verb_parser(verb, program), sys.argv[1:])


def make_verb_parser(verb: str, program: str) -> argparse.ArgumentParser:
    """Return the parser of one verb as a command of its own."""
    parser = Parser(prog=program, description=VERBS[verb])
    _add_arguments(parser, verb)
    return parser


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


def _run(parser: Callable[[], argparse.ArgumentParser], words: Sequence[str]) -> int:
    setup_output()
    setup_logging()
    received: list[int] = []
    try:
        with ending_signals() as received:
            return _execute(parser, words)
    except KeyboardInterrupt:
        number = received[0] if received else signal.SIGINT
        cause = f"stopped by {signal.Signals(number).name}" if received else "interrupted"
        note(f"{cause}; the same command goes on from what is there")
        return SIGNALED + number
    except OutputLostError as error:
        if error.has_no_reader:
            return SIGNALED + signal.SIGPIPE
        note(f"error: stdout cannot be written ({error}); make room, or let it go elsewhere")
        return 2


def _execute(parser: Callable[[], argparse.ArgumentParser], words: Sequence[str]) -> int:
    options = argparse.Namespace()
    try:
        options = parser().parse_args(words)
        return int(options.execute(options))
    except HarnessError as error:
        note(f"error: {redacted(error)}")
        return 2
    except OSError as error:
        if not is_disk_full(error):
            raise
        note(f"error: {disk_full(Path(error.filename or getattr(options, 'home', '.')))}")
        return 2
    finally:
        sys.stdout.flush()  # here, where a failure is handled
