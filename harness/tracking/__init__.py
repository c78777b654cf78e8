"""Results into MLflow, and back from it."""

from harness.tracking.background import recording
from harness.tracking.connection import (
    check_driver,
    errors,
    follow_home,
    is_remote,
    shown_uri,
    tracking_uri,
    ui_address,
)
from harness.tracking.records import load_runs, recorded_studies
from harness.tracking.sync import (
    TIMEOUT,
    check_tracking,
    failure_message,
    log_report,
    read_results,
    record,
    record_submission,
    resync,
    study_pages,
)

__all__ = [
    "TIMEOUT", "check_driver", "check_tracking", "errors", "failure_message", "follow_home", "is_remote", "load_runs",
    "log_report", "read_results", "record", "record_submission", "recorded_studies", "recording", "resync", "shown_uri",
    "study_pages", "tracking_uri", "ui_address",
]  # fmt: skip
