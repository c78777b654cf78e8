"""What a report offers to the harness: one method that turns the results of a study into files.

A report is found by its entry point (group `harness.reports`), as methods are; the harness itself knows no report."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.errors import StudyError

LOCAL = ".local"
"""Name of an empty file that keeps a folder of a report out of MLflow: large, and of use next to the report only."""


@runtime_checkable
class Report(Protocol):
    """A report on a study."""

    def write(
        self, study: str, home: Path, *, from_store: bool = False, tracking: str = "", compare: bool = True
    ) -> list[Path]:
        """Bring `<home>/reports/<study>/` up to date with the results and return its files, the two main pages first.

        Results come from MLflow, or from the store alone with `from_store`, or from the MLflow at the URI `tracking`.
        `compare`: also write what shows the masks of two variants frame by frame, which takes space.
        Raises HarnessError for results that no report can be made of and for a folder that cannot be written."""


def find_report(name: str = "paper") -> Report:
    """Return the report that is installed under `name`. Raises StudyError if there is none."""
    installed = entry_points(group="harness.reports")
    point = next((point for point in installed if point.name == name), None)  # the first on the path, as in imports
    if point is None:
        names = ", ".join(sorted(installed.names)) or "none; install the project with pip first"
        raise StudyError(f"no report named {name!r}; installed: {names}")
    report = point.load()
    if not isinstance(report, Report):
        raise StudyError(f"report {name!r}: {point.value} has no method `write`")
    return report
