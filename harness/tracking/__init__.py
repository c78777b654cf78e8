"""Results into MLflow, and back from it."""

from harness.tracking.background import recording
from harness.tracking.records import load_runs, recorded_studies
from harness.tracking.sync import TIMEOUT, failure_message, log_report, read_results, record, record_submission, resync
from harness.tracking.writer import errors, is_remote, tracking_uri

__all__ = [
    "TIMEOUT", "errors", "failure_message", "is_remote", "load_runs", "log_report", "read_results",
    "record", "record_submission", "recorded_studies", "recording", "resync", "tracking_uri",
]  # fmt: skip
