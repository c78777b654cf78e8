"""Store → MLflow: one experiment a study, in it one parent run, one run a cell, one run and one model a training.

    python -m harness.record resync STUDY|--all [--home DIR]   MLflow is brought up to date; twice: no doubles

The driver is the only one that writes. MLflow is a projection: delete it, and the command above builds it again; where
it cannot be reached, the study goes on, and what it has missed is recorded later."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from harness.errors import HarnessError, ResourceError, StudyError
from harness.patience import within
from harness.plan import Plan
from harness.projection import Run, digest_of, keep, keep_submitted, kept, kept_studies, parent, project
from harness.publisher import Publisher, errors, is_remote, recorded_rows, tracking_uri
from harness.rows import (
    COLUMNS,
    Row,
    add_submitted,
    keep_rows,
    kept_rows,
    make_rows,
    remember,
    remembered,
    stored_rows,
)
from harness.store import Store
from harness.study import study_name

PATIENCE = 60.0
"""Seconds that the end of a study waits for a tracking server. What is not recorded by then is caught up later."""


def record(plan: Plan, store: Store, *, patience: float | None = None) -> list[Row]:
    """Keeps the rows of a plan and brings MLflow up to date with them; returns those of this plan.

    Twice makes no doubles, and what has not changed is not written. An MLflow that fails, or a server that takes longer
    than `patience` (seconds; default: PATIENCE), is reported on stderr."""
    rows = make_rows(plan, store)
    keep_rows(store.home, plan.study.name, rows)
    runs = keep(store.home, plan.study.name, [parent(plan, rows), *project(plan, store, rows=rows)])
    _catch_up(store.home, plan.study.name, runs, patience)
    return rows


def record_submitted(home: Path, study: str, row: Row, params: Mapping[str, str]) -> None:
    """Keeps the row of masks that were handed in with those of a study, which need not have been run, in the place of
    the same method's former one on that benchmark, and brings MLflow up to date as `record` does."""
    home = home.absolute()
    add_submitted(home, study, row)
    _catch_up(home, study, keep_submitted(home, study, row, params))


def _catch_up(home: Path, study: str, runs: Sequence[Run], patience: float | None = None) -> None:
    if not _is_current(home, study, runs):
        patience = PATIENCE if patience is None else patience
        with _tolerant(home, study):
            within(patience if is_remote() else None, lambda: resync(home, study))


def resync(home: Path, study: str) -> int:
    """Brings MLflow up to date with what is kept of a study; the number of runs that had to be written.

    Raises MlflowException or OSError where that is impossible."""
    home = home.absolute()
    runs = kept(home, study)
    publisher = Publisher(home, study)
    with publisher.alone():
        written = publisher.publish(runs, everything=True)
        remember(home, study, recorded_at=_state(home, runs))
    return written


def read_rows(home: Path, study: str, *, from_store: bool = False, tracking: str = "") -> pd.DataFrame:
    """One row for every cell of a study, with the columns of `harness.rows.COLUMNS`, of all scales recorded.

    The rows that MLflow was given, as they are kept beside the store; where there are none, those that MLflow holds.
    `tracking`: those that the MLflow of that URI holds, of all homes. `from_store`: the kept ones, their numbers read
    from the store again, and no word with MLflow. Raises ResourceError where MLflow is asked for and cannot be read."""
    home = home.absolute()
    if tracking:
        return pd.DataFrame(_rows_at(tracking, home, study), columns=list(COLUMNS))
    rows = stored_rows(home, study) if from_store else kept_rows(home, study)
    if not rows and not from_store and (is_remote() or (home / "mlflow.db").is_file()):
        with _tolerant(home, study):
            rows = within(PATIENCE if is_remote() else None, lambda: recorded_rows(home, study))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows_at(tracking: str, home: Path, study: str) -> list[Row]:
    try:
        limit = None if tracking.startswith("sqlite:") else PATIENCE
        rows = within(limit, lambda: recorded_rows(home, study, tracking))
    except errors() as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ResourceError(
            f"MLflow at {tracking}: study {study} cannot be read ({first}); start the server, or read --from-store"
        ) from None
    if not rows:
        raise StudyError(f"MLflow at {tracking}: no cell of a study {study!r}; give the URI that it was recorded at")
    return rows


def log_report(home: Path, study: str, folder: Path) -> None:
    """Puts a report (tables, contact sheets) into the artifacts of the study's parent run, over the last one."""
    home = home.absolute()
    digest = f"{tracking_uri(home)} {_folder_digest(folder)}"
    if not kept(home, study) or remembered(home, study, "report") == digest:
        return
    if not remembered(home, study, "recorded_at"):
        return  # the run itself could not be recorded just now: no server is asked again
    with _tolerant(home, study):
        within(PATIENCE if is_remote() else None, lambda: Publisher(home, study).log_report(folder))
        remember(home, study, report=digest)


def _is_current(home: Path, study: str, runs: Sequence[Run]) -> bool:
    """Whether the database in the home shows these runs. Of a server nobody can know without asking."""
    local = not is_remote() and (home / "mlflow.db").is_file()
    return local and remembered(home, study, "recorded_at") == _state(home, runs)


def _state(home: Path, runs: Sequence[Run]) -> str:
    return f"{tracking_uri(home)} {digest_of(runs)}"


def _folder_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


@contextmanager
def _tolerant(home: Path, study: str) -> Iterator[None]:
    """MLflow's failures as a line on stderr."""
    try:
        yield
    except errors() as error:
        print(complaint(home, study, error), file=sys.stderr)


def complaint(home: Path, study: str, error: Exception) -> str:
    """What failed, and what to do, on one line."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    place = tracking_uri(home) if is_remote() else str(home / "mlflow.db")
    return (
        f"warning: MLflow at {place}: {first}; the study is not harmed, and when MLflow is back, "
        f"`python -m harness.record resync {study} --home {home}` catches up"
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
        for study in kept_studies(home) if options.all else [_name(options.study, home)]:
            written = resync(home, study)
            print(f"{study}: {len(kept(home, study))} runs in MLflow at {tracking_uri(home)}, {written} written")
            if (home / "reports" / study).is_dir():
                log_report(home, study, home / "reports" / study)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except errors() as error:
        print(f"error: {complaint(home, study, error)}", file=sys.stderr)
        return 1
    return 0


def _name(study: str, home: Path) -> str:
    """Raises StudyError where nothing is kept of that study."""
    name = study_name(study)
    known = kept_studies(home)
    if name not in known:
        raise StudyError(f"{study}: never run in {home}; known there: {', '.join(known) or 'none'}")
    return name


if __name__ == "__main__":
    sys.exit(main())
