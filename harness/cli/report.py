"""`vos-harness report STUDY`: writes the report of a study, as the end of every run does."""

from __future__ import annotations

import argparse

from harness.cli.arguments import add_compare, add_home
from harness.planning import study_name
from harness.report import find_report

EPILOG = """\
Results are read from MLflow. If it is incomplete, the copy kept next to the store is used, with a warning.

example:
  %(prog)s ablation --from-store"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the study and where its results are read."""
    parser.set_defaults(execute=execute)
    parser.add_argument("study", metavar="STUDY", help="a study's YAML file or its name")
    add_home(parser)
    add_compare(parser)
    source = parser.add_argument_group("results").add_mutually_exclusive_group()
    source.add_argument("--tracking-uri", metavar="URI", default="", help="read them from the MLflow at this URI")
    source.add_argument("--from-store", action="store_true", help="read them from the store; MLflow is not used")


def execute(options: argparse.Namespace) -> int:
    """Write the report, print where it is, and return 0."""
    study, report = study_name(options.study), find_report()
    source = {"from_store": options.from_store, "tracking": options.tracking_uri}
    files = report.write(study, options.home, **source, compare=not options.no_compare)
    for path in files[:2]:
        print(path)
    print(f"{len(files) - 2} more files in {files[0].parent}")
    return 0
