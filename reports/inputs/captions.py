"""Text that tables and figures share: scale, kind of data, protocol, coverage, names of variants, numbers."""

from __future__ import annotations

from collections.abc import Iterable

from harness.results import CellResult
from reports.inputs.parts import Part
from reports.inputs.spec import TableSet

FROM_MASKS = "scored by us from its masks"
"""Origin of a method whose submitted masks were scored."""

NO_BENCHMARK = "not a benchmark result"

KINDS = {
    "embedded": f"Data: embedded miniature (rendered), {NO_BENCHMARK}.",
    "derived": f"Data: derived from real sequences, {NO_BENCHMARK}.",
    "real": "Data: real, as found on disk (re-encoded frames score slightly differently).",
}
"""Data kind → sentence."""


def format_number(value: float, decimals: int = 3) -> str:
    """Return a share as the paper prints it: `.858`, `-.012`, `1.000`."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def describe(part: Part, benchmark: str = "", *, masks: bool = True) -> str:
    """Return scale, kind of data and protocol fingerprints of a table on one benchmark or on all, as sentences.

    `masks`: whether the table shows submitted masks, if there are any."""
    shown = {name: value for name, value in part.protocols.items() if benchmark in {"", name}}
    prints = ", ".join(f"{name} {value[:8]}" for name, value in sorted(shown.items()))
    return f"{limits(part, benchmark, masks=masks)} Protocol: {prints or 'unknown, nothing was scored'}."


def limits(part: Part, benchmark: str = "", *, masks: bool = True) -> str:
    """Return what limits the numbers on one benchmark or on all as sentences: scale, kind and extent of the data.

    `masks`: whether the numbers include those of submitted masks, if there are any."""
    sizes = "the paper's sizes" if part.scale == "paper" else "smaller networks and shorter training than in the paper"
    scale = f"Scale: {part.scale} ({sizes})." if part.scale else "Scale: submitted masks, at their methods' own sizes."
    cells = part.select(benchmark) if benchmark else part.cells
    submitted = ""
    if masks and part.scale and any(cell.submitted for cell in cells):
        submitted = f" Rows marked as {FROM_MASKS}: at their methods' own sizes."
    kind = KINDS.get(part.data_kind, f"Data: {part.data_kind or 'of unknown kind'}.")
    extents = ", ".join(part.title(name) for name in part.partial if benchmark in {"", name})
    rule = f"{NO_BENCHMARK}, and published values on it are not shown"
    extent = f" Not the published whole: {extents}; {rule}." if extents else ""
    return f"{scale}{submitted} {kind}{extent}"


def coverage(cells: Iterable[CellResult]) -> str:
    """Return how many planned cells are filled and how many are not planned: `Cells filled: 28/30, 2 skipped.`."""
    cells = list(cells)
    planned = [cell for cell in cells if cell.planned]
    counts = {status: sum(cell.status == status for cell in cells) for status in ("skipped", "not scored")}
    others = "".join(f", {count} {status}" for status, count in counts.items() if count)
    return f"Cells filled: {sum(cell.done for cell in planned)}/{len(planned)}{others}."


def name_of(cell: CellResult) -> str:
    """Return the name of a cell's variant in figures and contact sheets, where nothing else marks submitted masks."""
    return f"{cell.method_label} (its masks)" if cell.submitted else cell.variant


def label_of(variant: str, part: Part, tables: TableSet) -> str:
    """Return the name of a variant in tables that list it with others."""
    if variant in part.submitted:
        return next(cell.method_label for cell in part.cells if cell.variant == variant and cell.submitted)
    return tables.label(variant)
