"""What the top of a report is about, and which variants a figure or a contact sheet shows when there are too many."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.results import CellResult
from reports.inputs.options import flat
from reports.inputs.parts import Part
from reports.inputs.spec import TableSet

KINDS = ("real", "derived", "embedded")
"""Kinds of data, the most telling first."""


def lead_part(parts: Iterable[Part]) -> Part | None:
    """Return the part that the top of a report is about: real data first, then the paper's scale, then most results."""

    def place(part: Part) -> tuple[int, bool, bool, int, int]:
        kind = KINDS.index(part.data_kind) if part.data_kind in KINDS else len(KINDS)
        done = sum(cell.done for cell in part.cells)
        return kind, not part.scale, part.scale != "paper", -done, part.number

    return min((part for part in parts if any(cell.done for cell in part.cells)), key=place, default=None)


def lead_benchmark(part: Part) -> str:
    """Return the benchmark on which most variants of a part have a result, the first by name of several."""
    done = {name: len({cell.variant for cell in part.select(name) if cell.done}) for name in part.benchmarks}
    return max(part.benchmarks, key=lambda name: done[name])


def main_variant(part: Part, benchmark: str, baseline: str) -> str:
    """Return the study's main variant on a benchmark: the one with a result that sets the fewest options.

    Submitted masks come last; the baseline is never it. Empty if there is none."""
    options: dict[str, tuple[bool, int]] = {}
    for cell in part.select(benchmark):
        if cell.done and baseline not in {cell.variant, cell.method}:
            options.setdefault(cell.variant, (cell.submitted, len(flat(cell.options))))
    return min(options, key=lambda name: options[name], default="")


def evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of the indices 0 … count − 1, evenly spaced, including the first and the last."""
    return list(range(count)) if count <= most else [int(index) for index in np.linspace(0, count - 1, most).round()]


def shown_variants(part: Part, benchmark: str, tables: TableSet, most: int) -> tuple[str, ...]:
    """Return at most `most` variants to draw: submitted ones (up to half), then measured ones by importance.

    Listed variants come first, then references of tables (the paper's value of a sweep), then others evenly spaced."""
    here = part.variants_on(benchmark)
    submitted = [variant for variant in here if variant in part.submitted][: most // 2]
    room = most - len(submitted)
    own = [variant for variant in here if variant not in part.submitted]
    references = [spec.reference for spec in tables.tables]
    first = sorted((v for v in own if v in tables.variants or v in references), key=lambda v: v not in tables.variants)
    others = [variant for variant in own if variant not in first]
    first = first[:room]
    chosen = {*first, *(others[index] for index in evenly(len(others), room - len(first)))}
    return (*(variant for variant in own if variant in chosen), *submitted)


def cells_with_masks(part: Part, benchmark: str, baseline: str) -> tuple[CellResult, ...]:
    """Return one cell per variant that has masks, of its first seed; none if the baseline is the only such variant."""
    cells: dict[str, CellResult] = {}
    for cell in part.select(benchmark):
        if cell.masks:
            cells.setdefault(cell.variant, cell)
    return () if set(cells) <= {baseline} else tuple(cells.values())
