"""Store → MLflow: one experiment a study, in it one parent run, one run a cell, one run and one model a training.

    python -m harness.record resync STUDY|--all [--home DIR]   MLflow is brought up to date; twice: no doubles

The driver is the only one that writes. MLflow is a projection: delete it, and the command above builds it again; where
it cannot be reached, the study goes on, and what it has missed is recorded later."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from harness.errors import ResourceError, StudyError
from harness.planning.plan import Plan
from harness.results.rows import (
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
from harness.store.local import Store, store_id
from harness.tracking.reader import differing, recorded_rows
from harness.tracking.run_spec import Run, digest_of, keep, keep_submitted, kept, parent, project
from harness.tracking.timeout import within
from harness.tracking.writer import Publisher, errors, is_remote, log_report_at, tracking_uri

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
    """One row for every cell of a study, with the columns of `harness.results.cell.COLUMNS`, of all scales recorded.

    Those that MLflow shows of this home. Where it cannot be read, or does not show what was recorded, they are those
    kept beside the store, and a line on stderr says so. `tracking`: those that the MLflow of that URI holds, of all
    homes. `from_store`: the kept ones, their numbers read from the store again, and no word with MLflow.
    Raises ResourceError or StudyError where `tracking` cannot be read or knows no such study."""
    home = home.absolute()
    if tracking:
        rows = _rows_at(tracking, home, study)
    elif from_store:
        rows = stored_rows(home, study)
    else:
        rows = _rows_of(home, study)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows_of(home: Path, study: str) -> list[Row]:
    rows = kept_rows(home, study)
    if not is_remote() and not (home / "mlflow.db").is_file():
        if rows:
            _tell_beside(home, study, f"there is no MLflow database {home / 'mlflow.db'}")
    elif rows and not remembered(home, study, "recorded_at"):  # it failed just now: no server is asked again
        _tell_beside(home, study, f"MLflow at {tracking_uri(home)} was not given the last ones")
    else:
        store = store_id(home) if rows and (home / "store" / "id").is_file() else ""
        try:
            limit = PATIENCE if is_remote() else None
            found = within(limit, lambda: recorded_rows(home, study, store=store))
        except errors() as error:
            print(complaint(home, study, error), file=sys.stderr)
            return rows
        if not rows:
            return found
        if apart := differing(rows, found):
            _tell_beside(home, study, f"MLflow at {tracking_uri(home)} does not show {apart} of them as recorded")
    return rows  # which are those that MLflow shows, unless a line says otherwise, and know where their masks lie


def _tell_beside(home: Path, study: str, why: str) -> None:
    print(
        f"warning: the rows are those kept beside the store: {why}; "
        f"`python -m harness.record resync {study} --home {home}` brings MLflow up to date",
        file=sys.stderr,
    )


def _rows_at(tracking: str, home: Path, study: str) -> list[Row]:
    try:
        rows = recorded_rows(home, study, tracking)
    except errors() as error:
        raise ResourceError(
            f"MLflow at {tracking}: study {study} cannot be read ({_first_line(error)}); start the server, or "
            "read --from-store"
        ) from None
    if not rows:
        raise StudyError(f"MLflow at {tracking}: no cell of a study {study!r}; give the URI that it was recorded at")
    return rows


def log_report(home: Path, study: str, folder: Path, tracking: str = "") -> None:
    """Puts a report (tables, contact sheets) into the artifacts of the study's parent run, over the last one.

    `tracking`: of every parent run of the study that the MLflow of that URI holds."""
    home = home.absolute()
    if tracking:
        try:
            log_report_at(tracking, home, study, folder, _folder_digest(folder))
        except errors() as error:
            print(f"warning: MLflow at {tracking} was not given the report: {_first_line(error)}", file=sys.stderr)
        return
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
    place = tracking_uri(home) if is_remote() else str(home / "mlflow.db")
    return (
        f"warning: MLflow at {place}: {_first_line(error)}; the study is not harmed, and when MLflow is back, "
        f"`python -m harness.record resync {study} --home {home}` catches up"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
