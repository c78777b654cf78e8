"""`python -m reports STUDY [--home DIR]`: writes the report of a study from its recorded rows.

STUDY is a study's YAML file or its name. Exit status 0 if the report was written, 2 for a named error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.study import study_name
from reports.report import write


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports", description="Write the report of a study.")
    parser.add_argument("study", metavar="STUDY", help="a study's YAML file, or its name")
    parser.add_argument(
        "--home", type=Path, default=Path("runs"), help="folder with store, MLflow database and reports"
    )
    options = parser.parse_args(arguments)
    try:
        files = write(study_name(options.study), options.home)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    for path in files[:2]:
        print(path)
    print(f"{len(files) - 2} more files in {files[0].parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
