"""J of every frame and object of a cell, in thousandths, as the comparing page draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.results import CellResult
from harness.score.measures import RECALL_THRESHOLD
from reports.inputs import has_file, read_columns

Curves = Mapping[str, Mapping[int, Mapping[str, int]]]
"""Sequence → object → frame → J in thousandths; only frames that are scored."""


def read_curves(cell: CellResult) -> Curves:
    """Return the curves of a cell; empty if it has no score files here. Raises ReportError for unreadable ones."""
    curves: dict[str, dict[int, dict[str, int]]] = {}
    if has_file(cell, "frames.csv"):
        columns = read_columns(cell, "frames.csv")
        lines = zip(*(columns[name] for name in ("sequence", "object", "frame", "J")), strict=True)
        for sequence, number, frame, value in lines:
            curves.setdefault(sequence, {}).setdefault(int(number), {})[frame] = thousandths(float(value))
    return curves


def thousandths(value: float) -> int:
    """Return J in thousandths, rounded, but on its own side of the threshold of the recall."""
    rounded, threshold = round(1000 * value), round(1000 * RECALL_THRESHOLD)
    return max(rounded, threshold + 1) if value > RECALL_THRESHOLD else rounded


def on_frames(curves: Mapping[int, Mapping[str, int]], frames: Iterable[str]) -> list[list[int | None]]:
    """Return the values as objects × frames; None where a frame is not scored."""
    names = list(frames)
    return [[curve.get(name) for name in names] for _, curve in sorted(curves.items())]
