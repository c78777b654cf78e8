"""Rows → tables, figures and contact sheets. `python -m reports STUDY`."""

from reports.report import write

__all__ = ["write"]
