"""The score files of the cells, read once: what a cell reached on each of its sequences."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets import load_protocols
from reports.bootstrap import Interval, interval
from reports.rows import ReportError, Row


@dataclass(frozen=True, kw_only=True)
class Scorebook:
    """The lines of `sequences.csv` of every cell that is done."""

    by_folder: Mapping[str, Mapping[str, Mapping[str, str]]]
    """Score folder → sequence → column → text."""

    averaging: Mapping[str, str]
    """Benchmark → what its mean is over."""

    def sequences(self, row: Row, measure: str) -> dict[str, float]:
        """Sequence → value; only those that have one."""
        lines = self.by_folder.get(row.score_folder, {})
        return {name: float(line[measure]) for name, line in lines.items() if line.get(measure)}

    def weight(self, row: Row, sequence: str) -> float:
        """What a sequence counts in the benchmark's mean: 1, or the number of its objects."""
        by_objects = self.averaging.get(row.benchmark) == "objects"
        return float(self.by_folder[row.score_folder][sequence].get("objects") or 1) if by_objects else 1.0

    def mean(self, cells: tuple[Row, ...], measure: str) -> Interval | None:
        """With its interval, over the sequences that all seeds have; None if there are none."""
        return self._interval([self.sequences(row, measure) for row in cells if row.done], cells)

    def difference(self, cells: tuple[Row, ...], others: tuple[Row, ...], measure: str) -> Interval | None:
        """`cells` − `others`, paired: over the seeds and the sequences that both have; None if there are none."""
        pairs = [(a, b) for a in cells for b in others if a.seed == b.seed and a.done and b.done]
        values = []
        for a, b in pairs:
            ours, theirs = self.sequences(a, measure), self.sequences(b, measure)
            values.append({name: ours[name] - theirs[name] for name in ours.keys() & theirs.keys()})
        return self._interval(values, tuple(a for a, _ in pairs))

    def _interval(self, values: list[dict[str, float]], cells: tuple[Row, ...]) -> Interval | None:
        names = sorted(set.intersection(*(set(given) for given in values))) if values else []
        if not names:
            return None
        first = next(row for row in cells if row.done)
        matrix = np.array([[given[name] for name in names] for given in values])
        return interval(matrix, np.array([self.weight(first, name) for name in names]))


def read_scorebook(rows: Iterable[Row]) -> Scorebook:
    """Raises ReportError naming a score file that cannot be read."""
    averaging = {name: protocol.averaging for name, protocol in load_protocols().items()}
    done = [row for row in rows if row.done and row.score_folder]
    return Scorebook(
        by_folder={
            row.score_folder: {line["sequence"]: line for line in read_lines(row, "sequences.csv")} for row in done
        },
        averaging=averaging,
    )


def read_lines(row: Row, name: str) -> list[dict[str, str]]:
    """The lines of `sequences.csv`, `objects.csv` or `frames.csv` of a cell. Raises ReportError naming the file."""
    path = Path(row.score_folder) / name
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise ReportError(
            f"{path}: the scores of {row.variant} × {row.benchmark} cannot be read ({error.strerror}); run the study "
            "again, which computes them anew"
        ) from None
