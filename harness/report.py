"""What reports offer to the harness: the files of a study, and why two results differ.

Both are found by their entry points (groups `harness.reports` and `harness.comparers`), as methods are; the harness
itself knows no report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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


class Comparison(Protocol):
    """What differs between two results, or between all that two studies have in common."""

    @property
    def measured(self) -> bool:
        """Whether there is a pair of numbers."""

    def lines(self, *, everything: bool = False) -> Iterable[str]:
        """Return it as text, lines of at most 100 columns; without `everything`, long lists are cut."""

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as a value that JSON can hold."""


@runtime_checkable
class Comparer(Protocol):
    """Says why two results differ."""

    def compare(self, first: str, second: str, home: Path, *, benchmark: str = "", measure: str = "") -> Comparison:
        """Compare two results, named as `vos-harness diff --help` says; `home`: where those without a home are.

        `benchmark` and `measure`: default to all that both have, and to the main one. Raises HarnessError."""


def find_report(name: str = "paper") -> Report:
    """Return the report that is installed under `name`. Raises StudyError if there is none."""
    report = _find("report", name)
    if not isinstance(report, Report):
        raise StudyError(f"report {name!r}: {type(report).__name__} has no method `write`")
    return report


def find_comparer(name: str = "paper") -> Comparer:
    """Return what is installed to compare results under `name`. Raises StudyError if there is none."""
    comparer = _find("comparer", name)
    if not isinstance(comparer, Comparer):
        raise StudyError(f"comparer {name!r}: {type(comparer).__name__} has no method `compare`")
    return comparer


def _find(kind: str, name: str) -> Any:
    installed = entry_points(group=f"harness.{kind}s")
    point = next((point for point in installed if point.name == name), None)  # the first on the path, as in imports
    if point is None:
        names = ", ".join(sorted(installed.names)) or "none; install the project with pip first"
        raise StudyError(f"no {kind} named {name!r}; installed: {names}")
    return point.load()
