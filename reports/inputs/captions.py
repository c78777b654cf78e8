"""What captions say about the numbers below them: scale, kind of data, protocol, coverage."""

from __future__ import annotations

from collections.abc import Iterable

from harness.results.rows import SUBMITTED
from reports.inputs.cells import LEFT_OUT, NOT_SCORED, Part, Row

FROM_MASKS = "scored by us from its masks"
"""What is said of a method whose masks were handed in."""

NO_BENCHMARK = "not a benchmark result"

KINDS = {
    "embedded": f"Data: embedded miniature, rendered: {NO_BENCHMARK}.",
    "derived": f"Data: derived from real sequences: {NO_BENCHMARK}.",
    "real": "Data: real, as it lies on disk (frames that were encoded anew score slightly differently).",
}
"""Data kind → sentence."""


def describe(part: Part, benchmark: str = "", *, masks: bool = True) -> str:
    """Scale, kind of data and protocol fingerprints of what is measured in a table: on one benchmark or on all.

    `masks`: whether rows of masks that were handed in stand in it, if there are any."""
    scale = part.scale or "unknown"
    if scale == SUBMITTED:
        sizes = "masks that were handed in, of their methods' own sizes"
    else:
        sizes = (
            "the paper's sizes" if scale == "paper" else "reduced: smaller networks, shorter training than the paper's"
        )
    kind = KINDS.get(part.data_kind, f"Data: {part.data_kind or 'of unknown kind'}.")
    shown = {name: value for name, value in part.protocols.items() if benchmark in {"", name}}
    prints = ", ".join(f"{name} {value[:8]}" for name, value in sorted(shown.items()))
    given = masks and any(row.submitted and benchmark in {"", row.benchmark} for row in part.rows)
    handed = f" Rows {FROM_MASKS}: of their methods' own sizes." if scale != SUBMITTED and given else ""
    return f"Measured at scale {scale} ({sizes}).{handed} {kind} Protocol: {prints or 'not known, nothing was scored'}."


def coverage(rows: Iterable[Row]) -> str:
    """`Cells filled: 28/30.`, and how many cells the data at hand does not allow, or no public truth."""
    rows = list(rows)
    apart = ""
    for status in (LEFT_OUT, NOT_SCORED):
        count = sum(row.status == status for row in rows)
        apart += f", {count} {status}" if count else ""
    planned = [row for row in rows if row.status not in {LEFT_OUT, NOT_SCORED}]
    return f"Cells filled: {sum(row.done for row in planned)}/{len(planned)}{apart}."
