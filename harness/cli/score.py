"""`vos-harness score`: the scores of a folder of masks, exactly as a benchmark's official evaluator computes them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.cli.arguments import add_home, whole_number
from harness.console import command_line
from harness.datasets import DESCRIPTION, Protocol, load_protocols
from harness.errors import DataError, StoreError, StudyError
from harness.hardware import cores
from harness.score import MEASURES, SequenceScores, sequence_row, total, write_scores
from harness.score.folders import find_truth, find_videos
from harness.score.processes import score_all
from harness.score.tables import Row

SHOWN = 10
"""Most problems that are printed."""

EPILOG = """\
Exits with status 0 if all was scored, 1 if some sequences were not (with --keep-going), and 2 for a named error.

examples:
  %(prog)s --truth DAVIS2017 --pred masks --protocol davis17-val
  %(prog)s --truth SegTrackv2 --pred masks --protocol segtrack-v2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders, the protocol and how to record the scores."""
    parser.set_defaults(execute=execute)
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="a dataset, or <sequence>/<frame>.png")
    parser.add_argument("--pred", type=Path, required=True, metavar="DIR", help="<sequence>/<frame>.png to score")
    text = "a benchmark of studies/protocols.yaml, or of a dataset.yaml in the dataset"
    parser.add_argument("--protocol", required=True, metavar="NAME", help=text)
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
    protocol = _find_protocol(options.protocol, options.truth)
    truth = find_truth(options.truth, protocol)
    submission = None
    if options.record:
        # Imports the engine, which scoring does not need.
        from harness.results import check_submission, known_studies
        from harness.tracking import check_tracking

        known = known_studies(options.home)
        submission = check_submission(options.method, options.study, options.home, truth)
        check_tracking(submission.home, submission.study)
    videos, problems, others = find_videos(truth, options.pred)
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        ignored = f"{', '.join(others[:SHOWN])}{more}"
        print(f"note: {options.pred}: ignored, since {protocol.title} lacks them: {ignored}", file=sys.stderr)
    if problems and not options.keep_going:
        raise DataError(_problem_lines(problems))
    scores, failed = score_all(videos, options.jobs, keep_going=options.keep_going)
    problems |= failed
    if problems and not options.keep_going:
        raise DataError(_problem_lines(problems))
    if options.out is not None:
        try:
            write_scores(
                options.out,
                scores,
                protocol.averaging,
                protocol.measures,
                alternative=protocol.alternative,
                problems=problems,
                extent=truth.extent,
            )
        except OSError as error:
            raise StoreError(f"{options.out}: cannot be written ({error.strerror}); choose another folder") from None
    whole = {} if problems else total(scores, protocol.averaging, protocol.measures)
    _show(protocol, scores, whole, problems, truth.extent)
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


def _find_protocol(name: str, truth: Path) -> Protocol:
    """Return a shipped benchmark, or one that a description in or around the folder of the truth adds."""
    folder, protocols = truth.absolute(), load_protocols()
    around = [place for place in folder.parents[:2] if (place / DESCRIPTION).is_file()]
    for place in [folder, *around] if name not in protocols else []:
        protocols = {**load_protocols(root=place), **protocols}
    if name not in protocols:
        raise StudyError(
            f"--protocol: no benchmark {name!r}; there are {', '.join(protocols)}, and those "
            f"of a {DESCRIPTION} in --truth or at most two folders above it"
        )
    protocol = protocols[name]
    if not protocol.scored:
        raise StudyError(f"--protocol {name}: its truth is not public; submit the masks to its own site")
    return protocol


def _problem_lines(problems: Mapping[str, str]) -> str:
    lines = [problems[name] for name in sorted(problems)]
    more = [f"… and {len(lines) - SHOWN} more; --keep-going scores the rest"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _show(
    protocol: Protocol, scores: list[SequenceScores], whole: Row, problems: Mapping[str, str], extent: str
) -> None:
    columns = sorted(protocol.measures, key=lambda name: not MEASURES[name].mean_of)
    found = {score.name: sequence_row(score, protocol.measures) for score in scores}
    rows = [(name, *(_number(row[column]) for column in columns)) for name, row in found.items()]
    name = f"mean over {protocol.averaging}" + (f" ({extent})" if extent else "")
    last = (name, *(_number(whole.get(column, math.nan)) for column in columns))
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
            print(
                row[0].ljust(width),
                *(cell.rjust(max(8, len(name))) for name, cell in zip(columns, row[1:], strict=True)),
            )
    if extent and whole:
        print(f"{extent}: not the result of {protocol.title}, and not comparable with published ones")
    if problems:
        print(f"{len(problems)} sequences not scored, so no total:\n{_problem_lines(problems)}", file=sys.stderr)
