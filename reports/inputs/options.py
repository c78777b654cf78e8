"""Options of variants, as the study gives them, and in which of them two variants differ."""

from __future__ import annotations

from typing import Any

from harness.results import CellResult

NO_FACTORS = {"analyses"}
"""Options that add a figure and change no number."""


def differing_options(cell: CellResult, other: CellResult) -> list[str]:
    """Return the options, as dotted keys, that differ between two cells and can change a number."""
    ours, theirs = flat(cell.options), flat(other.options)
    keys = sorted((ours.keys() | theirs.keys()) - NO_FACTORS)
    return [key for key in keys if ours.get(key) != theirs.get(key)]


def flat(options: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested options as dotted key → value."""
    if not isinstance(options, dict):
        return {prefix.rstrip("."): options}
    return {key: value for name, inner in options.items() for key, value in flat(inner, f"{prefix}{name}.").items()}
