"""The score files of the cells: what a cell reached on each of its sequences, objects and frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.datasets import load_protocols
from reports.inputs.cells import ReportError, Row
from reports.inputs.spec import MEASURES
from reports.statistics.bootstrap import Interval, interval


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One cell's `sequences.csv`."""

    measures: Mapping[str, Mapping[str, float]]
    """Measure → sequence → value; only those that have one."""

    objects: Mapping[str, int]
    """Sequence → how many objects it has."""


@dataclass(frozen=True, kw_only=True)
class Scorebook:
    """The scores of every cell that is done."""

    by_folder: Mapping[str, Scores]
    averaging: Mapping[str, str]
    """Benchmark → what its mean is over."""

    def sequences(self, row: Row, measure: str) -> Mapping[str, float]:
        """Sequence → value; only those that have one."""
        found = self.by_folder.get(row.score_folder)
        return found.measures.get(measure, {}) if found else {}

    def objects(self, row: Row) -> Mapping[str, int]:
        """Sequence → how many objects it has."""
        found = self.by_folder.get(row.score_folder)
        return found.objects if found else {}

    def weights(self, row: Row, names: list[str]) -> NDArray[np.float64]:
        """What each sequence counts in the benchmark's mean: 1, its objects, or its share of its class."""
        kind = self.averaging.get(row.benchmark)
        if kind == "objects":
            objects = self.objects(row)
            return np.array([float(objects[name]) for name in names])
        if kind == "classes":
            classes = [class_of(name) for name in names]
            return np.array([1 / classes.count(one) for one in classes])
        return np.ones(len(names))

    def mean(self, cells: tuple[Row, ...], measure: str) -> Interval | None:
        """With its interval, over the sequences that all seeds have; None if there are none."""
        return self._interval([self.sequences(row, measure) for row in cells if row.done], cells)

    def plain_mean(self, cells: tuple[Row, ...], measure: str) -> float | None:
        """Over the sequences alike, whatever the benchmark's own mean is over; None if nothing is scored."""
        given = [list(self.sequences(row, measure).values()) for row in cells if row.done]
        means = [fsum(values) / len(values) for values in given if values]
        return fsum(means) / len(means) if means else None

    def difference(self, cells: tuple[Row, ...], others: tuple[Row, ...], measure: str) -> Interval | None:
        """`cells` − `others`, paired: over the seeds and the sequences that both have; None if there are none."""
        done = [(a, b) for a in cells for b in others if a.done and b.done]
        pairs = [(a, b) for a, b in done if a.seed == b.seed or a.submitted or b.submitted]  # those have no seeds
        values = []
        for a, b in pairs:
            ours, theirs = self.sequences(a, measure), self.sequences(b, measure)
            values.append({name: ours[name] - theirs[name] for name in ours.keys() & theirs.keys()})
        return self._interval(values, tuple(a for a, _ in pairs))

    def _interval(self, values: Sequence[Mapping[str, float]], cells: tuple[Row, ...]) -> Interval | None:
        names = sorted(set.intersection(*(set(given) for given in values))) if values else []
        if not names:
            return None
        first = next(row for row in cells if row.done)
        return interval(np.array([[given[name] for name in names] for given in values]), self.weights(first, names))


def class_of(sequence: str) -> str:
    """The class of a YouTube-Objects sequence, whose names are `<class>-<video>-<shot>`."""
    return sequence.rsplit("-", 2)[0]


def read_scorebook(rows: Iterable[Row]) -> Scorebook:
    """Raises ReportError naming a score file that cannot be read."""
    averaging = {name: protocol.averaging for name, protocol in load_protocols().items()}
    done = [row for row in rows if row.done and row.score_folder]
    return Scorebook(by_folder={row.score_folder: _scores(row) for row in done}, averaging=averaging)


def has_lines(row: Row, name: str) -> bool:
    """Whether a cell has that score file."""
    return row.done and bool(row.score_folder) and (Path(row.score_folder) / name).is_file()


def read_columns(row: Row, name: str) -> Mapping[str, tuple[str, ...]]:
    """`sequences.csv`, `objects.csv` or `frames.csv` of a cell: title of a column → its texts.

    Raises ReportError naming the file."""
    path = Path(row.score_folder) / name
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *lines = csv.reader(file)
        columns = zip(*lines, strict=True) if lines else [()] * len(head)
        return dict(zip(head, columns, strict=True))
    except OSError as error:
        why = str(error.strerror)
    except ValueError as error:
        why = f"no table: {error}"
    raise _unreadable(path, row, why)


def read_frames(row: Row) -> pd.DataFrame:
    """`frames.csv` of a cell: `sequence` (categories), `object`, `J`, `F`; the largest file, so that it is read apart.

    Raises ReportError naming the file."""
    kinds = {"sequence": "category", "object": "int64", "J": "float64", "F": "float64"}
    path = Path(row.score_folder) / "frames.csv"
    try:
        return pd.read_csv(path, usecols=[*kinds], dtype=kinds, keep_default_na=False, float_precision="round_trip")
    except OSError as error:
        why = str(error.strerror)
    except ValueError as error:
        why = f"no table: {error}"
    raise _unreadable(path, row, why)


def _unreadable(path: Path, row: Row, why: str) -> ReportError:
    return ReportError(
        f"{path}: the scores of {row.variant} × {row.benchmark} cannot be read ({why}); run the study again, which "
        "computes them anew"
    )


def _scores(row: Row) -> Scores:
    columns = read_columns(row, "sequences.csv")
    names = columns["sequence"]
    objects = columns.get("objects", ("1",) * len(names))
    return Scores(
        measures={
            measure: {name: float(text) for name, text in zip(names, columns[measure], strict=True) if text}
            for measure in MEASURES
            if measure in columns
        },
        objects={name: int(text or 1) for name, text in zip(names, objects, strict=True)},
    )
