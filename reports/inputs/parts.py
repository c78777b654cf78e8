"""Parts of a study: sets of cells that are comparable and may share a table.

A cell is variant × benchmark × seed. Cells share a table only if their scale, their data kind and, on each benchmark,
their protocol's fingerprint are equal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from harness.errors import HarnessError
from harness.method import method_names
from harness.results import CellResult


class ReportError(HarnessError):
    """Input from which no report can be made."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Comparable cells."""

    scale: str
    """Empty if all cells are submitted masks."""

    data_kind: str
    protocols: Mapping[str, str]
    """Benchmark → fingerprint."""

    cells: tuple[CellResult, ...]
    number: int = 1
    total: int = 1

    @property
    def suffix(self) -> str:
        """End of the names of the part's files: empty if it is the only part, else `-part2`."""
        return "" if self.total == 1 else f"-part{self.number}"

    def select(self, benchmark: str, variant: str = "") -> tuple[CellResult, ...]:
        """Return the cells of one variant (one per seed) or of all variants on a benchmark."""
        return self._index.get((benchmark, variant), ())

    def variants_on(self, benchmark: str) -> tuple[str, ...]:
        """Return the variants that have a cell on a benchmark, in order."""
        return tuple(dict.fromkeys(cell.variant for cell in self.select(benchmark)))

    def title(self, benchmark: str) -> str:
        """Return the title of one of the part's benchmarks, with the extent of its data if that is partial."""
        cells = self.select(benchmark)
        return next((cell.title for cell in cells if cell.extent), cells[0].title)

    @cached_property
    def partial(self) -> Mapping[str, str]:
        """Benchmark → extent of its data, for those whose data is not the published benchmark."""
        return {cell.benchmark: cell.extent for cell in self.cells if cell.extent}

    def notes(self, benchmark: str) -> tuple[str, ...]:
        """Return the note that a mean on a benchmark needs: the extent of its data if that is partial."""
        return tuple(filter(None, [self.partial.get(benchmark)]))

    @cached_property
    def submitted(self) -> tuple[str, ...]:
        """Methods whose submitted masks were scored."""
        return tuple(dict.fromkeys(cell.variant for cell in self.cells if cell.submitted))

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """All variants, in order."""
        return tuple(dict.fromkeys(cell.variant for cell in self.cells))

    @cached_property
    def benchmarks(self) -> tuple[str, ...]:
        """All benchmarks, sorted by name."""
        return tuple(sorted({cell.benchmark for cell in self.cells}))

    @cached_property
    def _index(self) -> Mapping[tuple[str, str], tuple[CellResult, ...]]:
        found: dict[tuple[str, str], tuple[CellResult, ...]] = {}
        for cell in self.cells:
            for key in ((cell.benchmark, cell.variant), (cell.benchmark, "")):
                found[key] = (*found.get(key, ()), cell)
        return found


def order_cells(cells: Collection[CellResult], variants: Iterable[str] = ()) -> tuple[CellResult, ...]:
    """Return the cells in an order that does not depend on the given one.

    Measured cells come first, then scale, data kind, variant (those in `variants` first), benchmark and seed decide.
    Submitted masks of a method that is also a variant get a name of their own, and so does a method that a study
    defines under the name of one of `variants`: its row must not be taken for ours. Raises ReportError if a cell
    occurs twice."""
    measured, installed = {cell.variant for cell in cells if not cell.submitted}, {"", *method_names()}
    rank = {variant: place for place, variant in enumerate(variants)}

    def distinct(cell: CellResult) -> CellResult:
        if cell.submitted:
            return replace(cell, variant=f"{cell.variant}-masks") if cell.variant in measured else cell
        defined = cell.method not in installed and cell.variant in rank
        return replace(cell, variant=f"{cell.variant}-as-defined") if defined else cell

    cells = list(map(distinct, cells))

    def key(cell: CellResult) -> tuple[object, ...]:
        place = (rank.get(cell.variant, len(rank)), natural(cell.variant))
        return (cell.submitted, cell.scale, cell.data_kind, *place, cell.benchmark, cell.protocol, cell.seed)

    cells = sorted(cells, key=key)
    times = Counter((cell.id, cell.protocol) for cell in cells)
    doubled = [name for (name, _), count in times.items() if count > 1]
    if doubled:
        raise ReportError(f"{doubled[0]}: more than one result for this cell; expected one; run the study again")
    return tuple(cells)


def split(cells: Iterable[CellResult], benchmarks: Collection[str] | None = None) -> tuple[Part, ...]:
    """Return the sets of comparable cells, over the given benchmarks only (default: all).

    A cell without a fingerprint (it never ran) joins the first part of its scale and data kind. Submitted masks join
    the parts of every scale with their data kind and protocol."""
    kept = [cell for cell in cells if benchmarks is None or cell.benchmark in benchmarks]
    measured = {(cell.scale, cell.data_kind) for cell in kept if not cell.submitted}
    kinds = {kind for _, kind in measured}
    only_submitted = {("", cell.data_kind) for cell in kept if cell.submitted and cell.data_kind not in kinds}
    parts: list[Part] = []
    for scale, kind in sorted(measured | only_submitted, key=lambda place: (not place[0], place)):
        same = [cell for cell in kept if cell.data_kind == kind and (cell.scale == scale or cell.submitted)]
        names = sorted({cell.benchmark for cell in same})
        prints = {name: sorted({cell.protocol for cell in same if cell.benchmark == name} - {""}) for name in names}
        for turn in range(max(1, *map(len, prints.values()))):
            chosen = {name: given[turn] for name, given in prints.items() if turn < len(given)}
            members = tuple(
                cell for cell in same if (chosen.get(cell.benchmark) == cell.protocol if cell.protocol else turn == 0)
            )
            parts.append(Part(scale=scale, data_kind=kind, protocols=chosen, cells=members, number=len(parts) + 1))
    return tuple(replace(part, total=len(parts)) for part in parts)


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """Return a sorting key that puts 2 before 10."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", text)
    return tuple((1, float(piece), "") if place % 2 else (0, 0.0, piece) for place, piece in enumerate(pieces))
