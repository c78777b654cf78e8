"""`vos-harness score`: J and F of a folder of masks, exactly as the official DAVIS evaluator computes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.cli.arguments import add_home, whole_number
from harness.console import command_line
from harness.datasets import LAYOUTS, Protocol, load_protocols
from harness.errors import DataError, StoreError, StudyError
from harness.hardware import cores
from harness.score import MEASURES, SequenceScores, sequence_row, total, write_scores
from harness.score.folders import find_videos
from harness.score.processes import score_all
from harness.score.tables import Row

SHOWN = 10
"""Most problems that are printed."""

EPILOG = """\
Exits with status 0 if all was scored, 1 if some sequences were not (with --keep-going), and 2 for a named error.

example:
  %(prog)s --truth DAVIS2017/Annotations/480p --pred masks --protocol davis17-val"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders, the protocol and how to record the scores."""
    parser.set_defaults(execute=execute)
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder of <sequence>/<frame>.png")
    parser.add_argument("--pred", type=Path, required=True, metavar="DIR", help="the same, of the masks to score")
    parser.add_argument("--protocol", required=True, metavar="NAME", help="a benchmark of studies/protocols.yaml")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write frames, objects, sequences, total here")
    parser.add_argument(
        "--jobs", type=whole_number(1), default=cores(), metavar="N", help="processes (default: all cores)"
    )
    parser.add_argument("--keep-going", action="store_true", help="score what can be; exit with 1 if not all")
    record = parser.add_argument_group(
        "recording", "record the scores of any method with those of a study, in MLflow and in its report"
    )
    record.add_argument("--record", action="store_true", help="record the scores; needs --method")
    record.add_argument("--method", metavar="NAME", help="the method's name as its paper spells it")
    record.add_argument(
        "--study", default="submitted", metavar="STUDY", help="a study's YAML file or name (default: %(default)s)"
    )
    add_home(record)


def execute(options: argparse.Namespace) -> int:
    """Score the masks and return the exit status. Raises HarnessError for masks or options that do not fit."""
    if bool(options.record) != bool(options.method):
        raise StudyError("--record and --method NAME go together")
    protocol = _find_protocol(options.protocol)
    submission = None
    if options.record:
        from harness.results import check_submission, known_studies  # imports the engine, which scoring does not need

        known = known_studies(options.home)
        submission = check_submission(options.method, options.study, options.home, protocol, options.truth)
    names = _listed_names(options.truth, protocol)
    videos, problems = find_videos(options.truth, options.pred, protocol, names)
    if problems and not options.keep_going:
        raise DataError(_problem_lines(problems))
    scores, failed = score_all(videos, options.jobs, keep_going=options.keep_going)
    problems |= failed
    if problems and not options.keep_going:
        raise DataError(_problem_lines(problems))
    if options.out is not None:
        try:
            write_scores(options.out, scores, protocol.averaging, alternative=protocol.alternative, problems=problems)
        except OSError as error:
            raise StoreError(f"{options.out}: cannot be written ({error.strerror}); choose another folder") from None
    _show(protocol, scores, {} if problems else total(scores, protocol.averaging), problems)
    if submission is not None and problems:
        print("not recorded: a result needs every sequence", file=sys.stderr)
    elif submission is not None:
        from harness.results import masks_digest, save_scores
        from harness.tracking import record_submission

        result = save_scores(submission, scores, options.pred)
        masks = {"masks": str(options.pred.absolute()), "masks_sha256": masks_digest(result)}
        record_submission(submission.home, result, masks)
        report = command_line("report", options.study, "--home", options.home)
        if submission.study not in known:
            print(f"study {submission.study} is new in {submission.home}; others there: {', '.join(known) or 'none'}")
        print(f"recorded: {submission.method}, study {submission.study}; its report: {report}")
    return 1 if problems else 0


def _find_protocol(name: str) -> Protocol:
    protocols = load_protocols()
    if name not in protocols:
        raise StudyError(f"--protocol: no benchmark {name!r}; there are {', '.join(protocols)}")
    protocol = protocols[name]
    if not protocol.scored:
        raise StudyError(f"--protocol {name}: its truth is not public; submit the masks to its own site")
    if protocol.averaging == "classes":
        raise StudyError(f"--protocol {name}: averages over classes, which masks do not name; run a study")
    return protocol


def _listed_names(truth: Path, protocol: Protocol) -> list[str] | None:
    """Return the sequences of the split if `truth` is part of the dataset as distributed, else None for all."""
    root = truth.absolute().parent.parent
    if not (root / protocol.marker).exists():
        return None
    return list(LAYOUTS[protocol.dataset.layout](root, protocol.split))


def _problem_lines(problems: Mapping[str, str]) -> str:
    lines = [problems[name] for name in sorted(problems)]
    more = [f"… and {len(lines) - SHOWN} more; --keep-going scores the rest"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)


def _show(protocol: Protocol, scores: list[SequenceScores], whole: Row, problems: Mapping[str, str]) -> None:
    columns = sorted(MEASURES, key=lambda name: not MEASURES[name].mean_of)
    rows = [(score.name, *(f"{sequence_row(score)[column]:.3f}" for column in columns)) for score in scores]
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
        print(f"{len(problems)} sequences not scored, so no total:\n{_problem_lines(problems)}", file=sys.stderr)
