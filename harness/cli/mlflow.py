"""`vos-harness mlflow ui|resync`: opens MLflow's UI, or brings MLflow up to date with the store."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from harness import tracking
from harness.cli.arguments import add_home, add_subcommands, whole_number
from harness.console import command_line
from harness.errors import StoreError, StudyError
from harness.planning import study_name
from harness.results import require_studies

EPILOG = """\
examples:
  %(prog)s ui --home runs
  %(prog)s resync --all"""

PORT = 5000
"""Port of MLflow's UI unless another is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    ui, again = add_subcommands(
        parser,
        ("ui", open_ui, "Start MLflow's UI for a home, on this machine only."),
        ("resync", resynchronize, "Make MLflow show exactly what the store of a home holds, without duplicates."),
    )
    studies = again.add_mutually_exclusive_group(required=True)
    studies.add_argument("study", metavar="STUDY", nargs="?", help="a study's YAML file or its name")
    studies.add_argument("--all", action="store_true", help="all studies that were run in this home")
    ui.add_argument(
        "--port",
        metavar="N",
        type=whole_number(1, 65535),
        default=PORT,
        help="port to listen at (default: %(default)s)",
    )
    add_home(ui)
    add_home(again)


def open_ui(options: argparse.Namespace) -> int:
    """Replace this process by MLflow's UI. Raises StudyError if there is nothing to show."""
    home = options.home.absolute()
    uri = tracking.tracking_uri(home)
    if uri.startswith("http"):
        raise StudyError(f"MLFLOW_TRACKING_URI: MLflow runs at {tracking.shown_uri(home)}; open that in a browser")
    tracking.check_driver(uri)
    if not tracking.is_remote() and not (home / "mlflow.db").is_file():
        raise StudyError(f"{home}: no MLflow database; give --home the folder that a run was given")
    if not tracking.is_remote():
        tracking.follow_home(home)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(options.port)]
    print(f"MLflow's UI: http://127.0.0.1:{options.port}")
    for study in tracking.recorded_studies(home):
        with suppress(StoreError):  # of another version, whose runs MLflow shows as well
            print("\n".join([f"{study}:", *links(home, study, options.port)]))
    sys.stdout.flush()
    # The URI may hold a password, which does not belong into the list of processes.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    os.execve(sys.executable, [*command, "--workers", "1"], environment)


def ui_command(home: Path) -> str:
    """Return the command that opens MLflow's UI for a home, or the address of a tracking server."""
    uri = tracking.shown_uri(home)
    return uri if uri.startswith("http") else command_line("mlflow", "ui", "--home", home)


def links(home: Path, study: str, port: int = PORT) -> list[str]:
    """Return a line for each view of a study: its title and its address, which works while MLflow's UI runs."""
    address = tracking.ui_address(home, port)
    return [f"  {title}: {address}/{page}" for title, page in tracking.study_pages(home, study).items()]


def resynchronize(options: argparse.Namespace) -> int:
    """Bring MLflow up to date and return 0, or 1 if MLflow failed. Raises StudyError for a study that was never run."""
    home = options.home.absolute()
    recorded = tracking.recorded_studies(home)
    studies = recorded if options.all else [study_name(options.study)]
    require_studies(home, *studies)
    if not studies or not set(studies) <= set(recorded):
        raise StudyError(f"{home}: no results of {', '.join(studies) or 'any study'} yet; run it to its end first")
    for study in studies:
        try:
            written, runs = tracking.resync(home, study), len(tracking.load_runs(home, study))
            print(f"{study}: {runs} runs in MLflow at {tracking.shown_uri(home)}, {written} written")
            for line in links(home, study):
                print(line)
            if (home / "reports" / study).is_dir():
                tracking.log_report(home, study, home / "reports" / study)
        except tracking.errors() as error:
            print(f"error: {tracking.failure_message(home, study, error)}", file=sys.stderr)
            return 1
    return 0
