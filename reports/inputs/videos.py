"""The videos of a study's benchmarks, as far as their frames are on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.datasets import Sequence, find_protocol, load_benchmark
from harness.results import CellResult


class Videos:
    """Benchmarks read once per report: where objects may appear later, reading one decodes all its masks."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Path], tuple[Sequence, ...]] = {}

    def of(self, cells: Iterable[CellResult]) -> tuple[Sequence, ...]:
        """Return the sequences of the benchmark of these cells; none if none of the cells says where its data is.

        Raises DataError or StudyError if the data can no longer be read."""
        cell = next((cell for cell in cells if cell.data_root), None)
        if cell is None:
            return ()
        place = cell.benchmark, Path(cell.data_root)
        if place not in self._known:
            self._known[place] = load_benchmark(find_protocol(*place), place[1])
        return self._known[place]
