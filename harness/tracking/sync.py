"""Keeps MLflow in step with the store: per study an experiment with a parent run, a run per cell and per training.

The driver is the only writer. MLflow can be deleted and rebuilt by `python -m harness.record resync`. If it cannot be
reached, the study goes on, and what MLflow missed is recorded later."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from harness.console import command_line, redacted
from harness.errors import ResourceError, StudyError
from harness.files import sha256_of_files
from harness.fingerprint import digest_of
from harness.planning.plan import Plan
from harness.results.cell import CellResult
from harness.results.collect import collect_results
from harness.results.saved import load_fact, load_results, save_facts, save_results
from harness.store.home_id import store_id
from harness.store.local import Store
from harness.tracking.connection import (
    check_artifacts,
    check_driver,
    errors,
    first_line,
    is_remote,
    shown_uri,
    tracking_uri,
)
from harness.tracking.reader import count_differences, fetch_results
from harness.tracking.records import load_runs, save_runs
from harness.tracking.run_spec import RunSpec, describe_cells, describe_result, describe_study
from harness.tracking.writer import Publisher, log_report_at

CHECK = 10.0
"""Seconds that the beginning of a study waits for a tracking server to say where it keeps artifacts."""

TIMEOUT = 60.0
"""Seconds that the end of a study waits for a tracking server. What is not recorded by then is recorded later."""

_VERSION = "2"
"""Version of what is written to MLflow besides the runs; a new one makes the next run of a study write it."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def check_tracking(home: Path, study: str) -> None:
    """Raise StudyError if the user's MLflow needs a package that is missing, before anything is computed.

    A server that does not answer is logged as a warning: it may be back when there are results."""
    uri = tracking_uri(home)
    if is_remote():
        check_driver(uri)
        with _failures_logged(home, study):
            _call(lambda: check_artifacts(home, study), CHECK)


def record(plan: Plan, store: Store, *, timeout: float = TIMEOUT) -> list[CellResult]:
    """Save the results of a plan and bring MLflow up to date with them; return those of this plan.

    Recording twice makes no duplicates, and what has not changed is not written. An MLflow that fails, or a server that
    takes longer than `timeout` (seconds), is logged as a warning."""
    results = collect_results(plan, store)
    planned = [one for one in results if one.planned]
    study = plan.study.name
    save_results(store.home, study, results)
    parent = describe_study(plan, filled=sum(one.filled for one in planned), planned=len(planned))
    runs = save_runs(store.home, study, [parent, *describe_cells(plan, store, results=results)])
    _bring_up_to_date(store.home, study, runs, timeout)
    return results


def record_submission(home: Path, result: CellResult, params: Mapping[str, str]) -> None:
    """Save the result of submitted masks, in place of the same method's former one, and bring MLflow up to date.

    `params`: further parameters of its run. The study need not have been run. Raises StoreError."""
    home = home.absolute()
    save_results(home, result.study, [result])
    runs = save_runs(home, result.study, [describe_result(result, params)])
    _bring_up_to_date(home, result.study, runs, TIMEOUT)


def resync(home: Path, study: str) -> int:
    """Bring MLflow up to date with the saved runs of a study; return the number of runs that had to be written.

    Raises what `errors` names if that is impossible."""
    home = home.absolute()
    publisher = Publisher(home, study)
    with publisher.locked():
        runs = load_runs(home, study)  # here, or the runs that others have saved and written meanwhile are deleted
        written = publisher.publish(runs, everything=True)
        pages = {view.title: view.page(publisher.experiment) for view in publisher.open_on(runs)}
        save_facts(home, study, recorded_at=_state(home, runs), pages=json.dumps(pages))
    return written


def study_pages(home: Path, study: str) -> dict[str, str]:
    """Return title → address of the views of a study, below the address of MLflow's UI; none if MLflow lacks them."""
    is_current = load_fact(home, study, "recorded_at").startswith(f"{_place(home)} ")
    return dict(json.loads(load_fact(home, study, "pages") or "{}")) if is_current else {}


def read_results(home: Path, study: str, *, from_store: bool = False, tracking: str = "") -> list[CellResult]:
    """Return the results of all cells of a study, of all scales that were recorded.

    They are those that MLflow shows of this home. If it cannot be read or is incomplete, they are the copy next to the
    store, and a warning is logged. `tracking`: those that the MLflow of that URI holds, of all homes. `from_store`: the
    copy, with its values read from the store again; MLflow is not asked. Raises ResourceError or StudyError if
    `tracking` cannot be read or knows no such study."""
    home = home.absolute()
    if tracking:
        return _fetch_from(tracking, home, study)
    if from_store:
        return load_results(home, study, from_store=True)
    results = load_results(home, study)
    if not is_remote() and not (home / "mlflow.db").is_file():
        if results:
            _warn_incomplete(home, study, f"there is no MLflow database {home / 'mlflow.db'}")
    elif results and not load_fact(home, study, "recorded_at"):  # MLflow failed just now and is not asked again
        _warn_incomplete(home, study, f"MLflow at {shown_uri(home)} was not given the last ones")
    else:
        store = store_id(home) if results and (home / "store" / "id").is_file() else ""
        try:
            shown = _call(lambda: fetch_results(home, study, store=store))
        except errors(ResourceError) as error:
            _log.warning(failure_message(home, study, error))
            return results
        if not results:
            return shown
        if count := count_differences(results, shown):
            _warn_incomplete(home, study, f"MLflow at {shown_uri(home)} does not show {count} of them as recorded")
    # Equal to those that MLflow shows, unless a warning says otherwise, and with the folders of the masks.
    return results


def log_report(home: Path, study: str, folder: Path, tracking: str = "") -> None:
    """Put a report into the artifacts of the study's parent run, over the last one.

    `tracking`: into every parent run of the study that the MLflow of that URI holds."""
    home = home.absolute()
    digest = sha256_of_files(
        {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    )
    if tracking:
        try:
            log_report_at(tracking, home, study, folder, digest)
        except errors() as error:
            _log.warning("warning: MLflow at %s was not given the report: %s", redacted(tracking), first_line(error))
        return
    digest = f"{_place(home)} {digest}"
    is_new = bool(load_runs(home, study)) and load_fact(home, study, "report") != digest
    if is_new and load_fact(home, study, "recorded_at"):  # else MLflow failed just now and is not asked again
        with _failures_logged(home, study):
            _call(lambda: Publisher(home, study).log_report(folder))
            save_facts(home, study, report=digest)


def failure_message(home: Path, study: str, error: Exception) -> str:
    """Return what failed and what to do, on one line."""
    place = shown_uri(home) if is_remote() else str(home / "mlflow.db")
    return (
        f"warning: MLflow at {place}: {first_line(error)}; the study is not harmed, and when MLflow is back, "
        f"`{command_line('mlflow', 'resync', study, '--home', home)}` catches up"
    )


def _bring_up_to_date(home: Path, study: str, runs: Sequence[RunSpec], timeout: float) -> None:
    local = not is_remote() and (home / "mlflow.db").is_file()  # what a server shows is not known without asking
    if not local or load_fact(home, study, "recorded_at") != _state(home, runs):
        with _failures_logged(home, study):
            _call(lambda: resync(home, study), timeout)


def _warn_incomplete(home: Path, study: str, reason: str) -> None:
    _log.warning(
        "warning: results are read from the copy next to the store: %s; `%s` brings MLflow up to date",
        *(reason, command_line("mlflow", "resync", study, "--home", home)),
    )


def _fetch_from(tracking: str, home: Path, study: str) -> list[CellResult]:
    try:
        results = fetch_results(home, study, tracking)
    except errors() as error:
        raise ResourceError(
            f"MLflow at {redacted(tracking)}: study {study} cannot be read ({first_line(error)}); start the server, or "
            "read --from-store"
        ) from None
    if not results:
        raise StudyError(
            f"MLflow at {redacted(tracking)}: no cell of a study {study!r}; give the URI that it was recorded at"
        )
    return results


def _state(home: Path, runs: Sequence[RunSpec]) -> str:
    return f"{_place(home)} {digest_of([_VERSION, *(run.digest(home) for run in runs)])}"


def _place(home: Path) -> str:
    """Return where MLflow is as it may be saved: without a password, and without the place of a home."""
    return shown_uri(home) if is_remote() else "mlflow.db"


def _call(call: Callable[[], T], timeout: float = TIMEOUT) -> T:
    """Return what `call` returns. Raises TimeoutError if a tracking server lets it take more than `timeout` seconds.

    The call then goes on in a thread that does not keep the process alive."""
    if not is_remote():
        return call()
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that waits
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([answer], timeout).done:
        raise TimeoutError(f"no answer within {timeout:.0f} s")
    return answer.result()


@contextmanager
def _failures_logged(home: Path, study: str) -> Iterator[None]:
    """Log MLflow's failures as warnings."""
    try:
        yield
    except errors() as error:
        _log.warning(failure_message(home, study, error))
