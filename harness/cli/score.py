"""The command `python -m harness.score`. Exit status: 0 all scored, 1 some sequences not (with --keep-going), 2 an
error that ended it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, HarnessError, StoreError, StudyError
from harness.score.folders import find_videos
from harness.score.measures import MEASURES
from harness.score.processes import score_all
from harness.score.rules import rules_of
from harness.score.sequence import SequenceScores
from harness.score.tables import Row, sequence_row, total, write_scores

if TYPE_CHECKING:
    from harness.datasets import Protocol

SHOWN = 10
"""Problems printed in full."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.record) != bool(options.method):
        parser.error("--record and --method NAME go together")
    try:
        return _score(options)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2


def _score(options: argparse.Namespace) -> int:
    protocol = _find_protocol(options.protocol)
    rules = rules_of(protocol)
    submission = None
    if options.record:
        from harness.results.submission import announce  # MLflow and the engine, which scoring alone does without

        submission = announce(options.method, options.study, options.home, protocol, options.truth)
    names = _listed_names(options.truth, protocol)
    videos, problems = find_videos(options.truth, options.pred, rules, names)
    if problems and not options.keep_going:
        raise DataError(_list(problems))
    scores, failed = score_all(videos, options.jobs, keep_going=options.keep_going)
    problems |= failed
    if problems and not options.keep_going:
        raise DataError(_list(problems))
    if options.out is not None:
        try:
            write_scores(options.out, scores, rules.averaging, alternative=rules.alternative, problems=problems)
        except OSError as error:
            raise StoreError(f"{options.out}: cannot be written ({error.strerror}); choose another folder") from None
    _show(protocol, scores, {} if problems else total(scores, rules.averaging), problems)
    if submission is not None and problems:
        print("not recorded: a row needs every sequence", file=sys.stderr)
    elif submission is not None:
        from harness.results.submission import hand_in

        hand_in(submission, scores, rules, options.pred)
        print(f"recorded: {submission.method}, study {submission.study}; its report: ", end="")
        print(f"python -m reports {options.study} --home {options.home}")
    return 1 if problems else 0


def _find_protocol(name: str) -> Protocol:
    from harness.datasets import load_protocols

    protocols = load_protocols()
    if name not in protocols:
        raise StudyError(f"--protocol: no benchmark {name!r}; there are {', '.join(protocols)}")
    protocol = protocols[name]
    if not protocol.scored:
        raise StudyError(f"--protocol {name}: its truth is not public, so it cannot be scored here; send the masks in")
    if protocol.averaging == "classes":
        raise StudyError(f"--protocol {name}: averages over classes, which folders of masks do not tell; run a study")
    return protocol


def _listed_names(truth: Path, protocol: Protocol) -> list[str] | None:
    """Sequences of the split, where `truth` lies in the dataset as distributed; elsewhere None: all of them."""
    from harness.datasets import LAYOUTS

    root = truth.absolute().parent.parent
    if not (root / protocol.marker).exists():
        return None
    return list(LAYOUTS[protocol.dataset.layout](root, protocol.split))


def _list(problems: Mapping[str, str]) -> str:
    lines = [problems[name] for name in sorted(problems)]
    more = [f"… and {len(lines) - SHOWN} more; --keep-going scores the rest"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)


def _show(protocol: Protocol, scores: list[SequenceScores], whole: Row, problems: Mapping[str, str]) -> None:
    columns = sorted(MEASURES, key=lambda name: not MEASURES[name].mean_of)
    rows = [(one.name, *(f"{sequence_row(one)[column]:.3f}" for column in columns)) for one in scores]
    last = (f"mean over {protocol.averaging}", *(f"{whole[column]:.3f}" if whole else "–" for column in columns))
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=protocol.title)
        table.add_column("sequence")
        for column in columns:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        table.add_section()
        table.add_row(*last, style="bold")
        Console().print(table)
    else:
        width = max(len(row[0]) for row in [*rows, last])
        for row in [("sequence", *columns), *rows, last]:
            print(row[0].ljust(width), *(cell.rjust(8) for cell in row[1:]))
    if problems:
        print(f"{len(problems)} sequences not scored, so there is no total:\n{_list(problems)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.score", description="J and F of masks, exactly as the official DAVIS evaluator."
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder of <sequence>/<frame>.png")
    parser.add_argument("--pred", type=Path, required=True, metavar="DIR", help="the same, of the masks to score")
    parser.add_argument("--protocol", required=True, metavar="NAME", help="a benchmark of studies/protocols.yaml")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write frames, objects, sequences, total here")
    parser.add_argument("--jobs", type=_jobs, default=_cores(), metavar="N", help="processes (default: all cores)")
    parser.add_argument("--keep-going", action="store_true", help="score what can be; exit with 1 if not all")
    record = parser.add_argument_group(
        "recording", "the masks of any method as a row of a study: in MLflow, and in the tables of its report"
    )
    record.add_argument("--record", action="store_true", help="record the scores; needs --method")
    record.add_argument("--method", metavar="NAME", help="whose masks they are, as its paper spells it")
    record.add_argument("--study", default="submitted", metavar="STUDY", help="a study's YAML file or name")
    record.add_argument("--home", type=Path, default=Path("runs"), metavar="DIR", help="as given to harness.run")
    return parser


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} found, a number of processes from 1 expected")
    return int(text)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
