"""What a study has come to: cells, provenance, submissions, export."""

from harness.results.cell import CellResult, Origin, Status, normalized

__all__ = ["CellResult", "Origin", "Status", "normalized"]
