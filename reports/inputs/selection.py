"""Which variants a figure or a contact sheet shows when there are too many."""

from __future__ import annotations

import numpy as np

from harness.results import CellResult
from reports.inputs.parts import Part
from reports.inputs.spec import TableSet


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
