"""`python -m reports STUDY [--home DIR] [--tracking-uri URI | --from-store]`: write the report of a study.

Exits with status 0 if the report was written, 2 for a named error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.planning.study import study_name
from reports.report import REPORT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports", description="Write the report of a study.")
    parser.add_argument("study", metavar="STUDY", help="a study's YAML file, or its name")
    parser.add_argument(
        "--home", type=Path, default=Path("runs"), help="folder with store, MLflow database and reports"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--tracking-uri", metavar="URI", default="", help="read the results from the MLflow there")
    where.add_argument("--from-store", action="store_true", help="read the results from the store, without MLflow")
    options = parser.parse_args(arguments)
    try:
        name = study_name(options.study)
        files = REPORT.write(name, options.home, from_store=options.from_store, tracking=options.tracking_uri)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in files[:2]:
        print(path)
    print(f"{len(files) - 2} more files in {files[0].parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
