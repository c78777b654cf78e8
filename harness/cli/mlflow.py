"""`record resync`: bring MLflow up to date with the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError, StudyError
from harness.planning.study import study_name
from harness.tracking import (
    errors,
    failure_message,
    load_runs,
    log_report,
    recorded_studies,
    resync,
    tracking_uri,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.record", description="Bring MLflow up to date.")
    commands = parser.add_subparsers(dest="command", required=True)
    again = commands.add_parser("resync", help="show what the store of a home holds, no more, no less; nothing twice")
    again.add_argument("study", metavar="STUDY", nargs="?", help="name of a study, or its YAML file")
    again.add_argument("--all", action="store_true", help="all studies that were run in this home")
    again.add_argument("--home", metavar="DIR", type=Path, default=Path("runs"), help="as given to harness.run")
    options = parser.parse_args(arguments)
    if bool(options.study) == options.all:
        parser.error("give either a study or --all")
    home = options.home.absolute()
    try:
        for study in recorded_studies(home) if options.all else [_name(options.study, home)]:
            written = resync(home, study)
            print(f"{study}: {len(load_runs(home, study))} runs in MLflow at {tracking_uri(home)}, {written} written")
            if (home / "reports" / study).is_dir():
                log_report(home, study, home / "reports" / study)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except errors() as error:
        print(f"error: {failure_message(home, study, error)}", file=sys.stderr)
        return 1
    return 0


def _name(study: str, home: Path) -> str:
    """Raises StudyError where nothing is kept of that study."""
    name = study_name(study)
    known = recorded_studies(home)
    if name not in known:
        raise StudyError(f"{study}: never run in {home}; known there: {', '.join(known) or 'none'}")
    return name
