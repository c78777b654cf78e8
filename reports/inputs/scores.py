"""Score files of the cells: values per sequence, per object and per frame."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import fsum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.datasets import load_protocols
from harness.results import CellResult
from harness.score import MEASURES
from reports.inputs.parts import Part, ReportError
from reports.statistics import Interval, interval


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One cell's `sequences.csv`, and what `objects.csv` adds."""

    measures: Mapping[str, Mapping[str, float]]
    """Measure → sequence → value; only sequences that have one."""

    objects: Mapping[str, int]
    holders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Measure that not all objects have → sequence → number of its objects that have it."""


@dataclass(frozen=True, kw_only=True)
class Scorebook:
    """Scores of every cell that is done."""

    by_folder: Mapping[str, Scores]
    averaging: Mapping[str, str]
    """Benchmark → what its mean is taken over."""

    def sequences(self, cell: CellResult, measure: str) -> Mapping[str, float]:
        """Return sequence → value of a cell; only sequences that have one."""
        scores = self.by_folder.get(cell.score_folder)
        return scores.measures.get(measure, {}) if scores else {}

    def objects(self, cell: CellResult) -> Mapping[str, int]:
        """Return sequence → number of its objects."""
        scores = self.by_folder.get(cell.score_folder)
        return scores.objects if scores else {}

    def by_sequence(self, part: Part, benchmark: str, measure: str) -> Mapping[str, Mapping[str, float]]:
        """Return sequence → variant → mean over its seeds."""
        found: dict[str, dict[str, list[float]]] = {}
        for cell in part.select(benchmark):
            if cell.done:
                for sequence, value in self.sequences(cell, measure).items():
                    found.setdefault(sequence, {}).setdefault(cell.variant, []).append(value)
        return {
            sequence: {variant: fsum(values) / len(values) for variant, values in by_variant.items()}
            for sequence, by_variant in sorted(found.items())
        }

    def weights(self, cell: CellResult, names: list[str], measure: str) -> NDArray[np.float64]:
        """Return the weight of each sequence in the benchmark's mean: 1, its objects, or its share of its class.

        If not all objects have the measure, those that have it count; in a mean of such measures, each of these has
        the same weight in all, which is exact if no video has objects of both categories (seen and unseen)."""
        kind, scores = self.averaging.get(cell.benchmark), self.by_folder.get(cell.score_folder)
        parts = [part for part in MEASURES[measure].mean_of or (measure,) if MEASURES[part].partial]
        if parts and scores:
            given = [[scores.holders[part].get(name, 0) for name in names] for part in parts]
            counts = np.array(given, float) if kind == "objects" else np.sign(np.array(given, float))
            return np.asarray((counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).sum(axis=0))
        if kind == "objects":
            objects = self.objects(cell)
            return np.array([float(objects[name]) for name in names])
        if kind == "classes":
            classes = [class_of(name) for name in names]
            return np.array([1 / classes.count(one) for one in classes])
        return np.ones(len(names))

    def mean(self, cells: tuple[CellResult, ...], measure: str) -> Interval | None:
        """Return the mean with its interval over the sequences that all seeds have; None if there are none."""
        return self._interval([self.sequences(cell, measure) for cell in cells if cell.done], cells, measure)

    def plain_mean(self, cells: tuple[CellResult, ...], measure: str) -> float | None:
        """Return the unweighted mean over sequences, whatever the benchmark averages over; None without scores."""
        given = [list(self.sequences(cell, measure).values()) for cell in cells if cell.done]
        means = [fsum(values) / len(values) for values in given if values]
        return fsum(means) / len(means) if means else None

    def difference(
        self, cells: tuple[CellResult, ...], others: tuple[CellResult, ...], measure: str
    ) -> Interval | None:
        """Return `cells` − `others`, paired over the seeds and sequences that both have; None if there are none."""
        pairs = pairs_of(cells, others)
        values = []
        for a, b in pairs:
            ours, theirs = self.sequences(a, measure), self.sequences(b, measure)
            values.append({name: ours[name] - theirs[name] for name in ours.keys() & theirs.keys()})
        return self._interval(values, tuple(a for a, _ in pairs), measure)

    def _interval(
        self, values: Sequence[Mapping[str, float]], cells: tuple[CellResult, ...], measure: str
    ) -> Interval | None:
        names = sorted(set.intersection(*(set(given) for given in values))) if values else []
        if not names:
            return None
        first = next(cell for cell in cells if cell.done)
        return interval(
            np.array([[given[name] for name in names] for given in values]), self.weights(first, names, measure)
        )


def pairs_of(cells: Iterable[CellResult], others: Iterable[CellResult]) -> list[tuple[CellResult, CellResult]]:
    """Return the cells with results that have the same seed; submitted masks have none and pair with every seed."""
    done = ((a, b) for a, b in product(cells, others) if a.done and b.done)
    return [(a, b) for a, b in done if a.seed == b.seed or a.submitted or b.submitted]


def unpaired(cells: Iterable[CellResult], others: Iterable[CellResult]) -> str:
    """Return the seeds that a difference omits because only one side has results of them; empty if there are none."""
    sides = [[cell for cell in side if cell.done] for side in (cells, others)]
    ours, theirs = ({cell.seed for cell in side} for side in sides)
    left = sorted(ours ^ theirs) if not any(cell.submitted for side in sides for cell in side) else []
    return f"without seed {', '.join(map(str, left))}, which only one side has" if left else ""


def class_of(sequence: str) -> str:
    """Return the class of a YouTube-Objects sequence, whose names are `<class>-<video>-<shot>`."""
    return sequence.rsplit("-", 2)[0]


def read_scorebook(cells: Iterable[CellResult]) -> Scorebook:
    """Read the scores of all cells. Raises ReportError with the name of a score file that cannot be read."""
    done = [cell for cell in cells if cell.done and cell.score_folder]
    averaging: dict[str, str] = {}
    for root in {cell.data_root for cell in done}:
        averaging |= {
            name: protocol.averaging for name, protocol in load_protocols(root=Path(root) if root else None).items()
        }
    return Scorebook(by_folder={cell.score_folder: _scores(cell) for cell in done}, averaging=averaging)


def has_file(cell: CellResult, name: str) -> bool:
    """Return whether a cell has that score file."""
    return cell.done and bool(cell.score_folder) and (Path(cell.score_folder) / name).is_file()


def read_columns(cell: CellResult, name: str) -> Mapping[str, tuple[str, ...]]:
    """Return column → texts of a score file such as `sequences.csv`. Raises ReportError if it cannot be read."""
    path = Path(cell.score_folder) / name
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *lines = csv.reader(file)
        columns = zip(*lines, strict=True) if lines else [()] * len(head)
        return dict(zip(head, columns, strict=True))
    except (OSError, ValueError) as error:
        raise _unreadable(path, cell, error) from None


def read_frames(cell: CellResult) -> pd.DataFrame:
    """Return `frames.csv` of a cell, the largest file: `sequence` (categories of text), `object`, `J`, `F`.

    Raises ReportError if it cannot be read."""
    kinds = {"sequence": "str", "object": "int64", "J": "float64", "F": "float64"}
    path = Path(cell.score_folder) / "frames.csv"
    try:
        found = pd.read_csv(path, usecols=[*kinds], dtype=kinds, keep_default_na=False, float_precision="round_trip")
    except (OSError, ValueError) as error:
        raise _unreadable(path, cell, error) from None
    return found.astype({"sequence": "category"})  # read as categories, names such as 0001 would become numbers


def _unreadable(path: Path, cell: CellResult, error: Exception) -> ReportError:
    why = error.strerror if isinstance(error, OSError) else f"not a table: {error}"
    return ReportError(
        f"{path}: the scores of {cell.variant} × {cell.benchmark} cannot be read ({why}); run the study again to "
        "recompute them"
    )


def _scores(cell: CellResult) -> Scores:
    columns = read_columns(cell, "sequences.csv")
    names = columns["sequence"]
    objects = columns.get("objects", ("1",) * len(names))
    measures = {
        measure: {name: float(text) for name, text in zip(names, columns[measure], strict=True) if text}
        for measure in MEASURES
        if measure in columns
    }
    counts = {name: int(text or 1) for name, text in zip(names, objects, strict=True)}
    partial = {part for one in measures for part in (one, *MEASURES[one].mean_of) if MEASURES[part].partial}
    by_object = read_columns(cell, "objects.csv") if partial else {}
    holders = {
        part: Counter(name for name, text in zip(by_object["sequence"], by_object[part], strict=True) if text)
        for part in sorted(partial)
    }
    return Scores(measures=measures, objects=counts, holders=holders)
