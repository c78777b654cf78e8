"""Cell results and score files for the tests of reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.datasets.protocol import DAVIS
from harness.results import CellResult


def cell(variant: str, score: float | None = None, **change: Any) -> CellResult:
    """Return one cell on the miniature of DAVIS 2016 with that score for every measure; without a score it failed."""
    made = CellResult(
        study="s",
        variant=variant,
        method="",
        method_label="",
        benchmark="davis16-val",
        benchmark_title="DAVIS16 val",
        scale="mini",
        data_kind="embedded",
        protocol="p" * 64,
        status="failed" if score is None else "done",
        sequences=0 if score is None else 2,
        values={} if score is None else dict.fromkeys(DAVIS, score),
    )
    return replace(made, **change)


def submitted(method: str, score: float, **change: Any) -> CellResult:
    """Return the cell of a method's submitted masks."""
    variant = "".join(filter(str.isalnum, method.casefold()))
    return cell(variant, score, origin="submitted", scale="", method_label=method, **change)


def with_scores(folder: Path, made: CellResult, values: Iterable[float], measure: str = "J_mean") -> CellResult:
    """Return the cell with a `sequences.csv` of these values for sequences s0, s1, … in a new folder."""
    lines = {f"s{index}": value for index, value in enumerate(values)}
    return with_named_scores(folder / made.variant / str(made.seed), made, lines, measure)


def with_named_scores(
    folder: Path, made: CellResult, values: Mapping[str, float], measure: str = "J_mean"
) -> CellResult:
    """Return the cell with a `sequences.csv` of these values in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{name},1,{value}\n" for name, value in values.items())
    (folder / "sequences.csv").write_text(f"sequence,objects,{measure}\n{lines}")
    return replace(made, score_folder=str(folder))
