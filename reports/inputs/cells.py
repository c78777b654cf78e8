"""The measured rows: checked, ordered, and kept apart where they cannot be compared.

A row is one cell of a study (variant × benchmark × seed). Two rows may stand in one table only if their scale, their
data kind and, on each benchmark, their protocol's fingerprint are equal: `split` makes one Part of each such set."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

import pandas as pd

from harness.errors import HarnessError
from harness.results.rows import SUBMITTED, plain
from reports.inputs.spec import MEASURES


class ReportError(HarnessError):
    """The rows are not what a report can be made of."""


COLUMNS = (
    *("study", "variant", "method", "method_label", "benchmark", "benchmark_title", "seed", "scale", "data_kind"),
    *("protocol", "status", "reason", "left_out", "options", "sequences", *MEASURES, "seconds_per_frame", "hardware"),
    *("score_folder", "masks"),
)
"""What the rows must carry."""

DONE = "done"
LEFT_OUT = "left out"
NOT_SCORED = "not scored"
"""Segmented, but its truth is not public (DAVIS17 test-dev)."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell of a study."""

    variant: str
    method_label: str
    benchmark: str
    benchmark_title: str
    seed: int
    scale: str
    data_kind: str
    """`embedded`, `derived` or `real`."""

    protocol: str
    """Fingerprint; empty where the cell never got that far."""

    status: str
    """`done`, `failed`, `waiting`, `left out` or `not scored`."""

    reason: str
    left_out: str
    """Training stages that it went without, in words; empty: none."""

    options: Mapping[str, Any]
    sequences: int
    values: Mapping[str, float]
    """Measure → value; only what is known."""

    seconds_per_frame: float | None
    timed_objects: int | None
    """Objects in the video that was timed."""

    hardware: str
    score_folder: str
    masks: Mapping[str, str]
    """Sequence → folder of masks."""

    analyses: Mapping[str, str]
    """Name → folder; of those that the cell asked for, or that came with its scores from MLflow."""

    data_root: str

    @property
    def submitted(self) -> bool:
        """Whether it was scored from masks that were handed in."""
        return self.scale == SUBMITTED

    @property
    def name(self) -> str:
        """In figures and sheets, where nothing else says that its masks were handed in."""
        return f"{self.method_label} (its masks)" if self.submitted else self.variant

    @property
    def done(self) -> bool:
        """Whether it has numbers."""
        return self.status == DONE


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows that may stand in one table."""

    scale: str
    data_kind: str
    protocols: Mapping[str, str]
    """Benchmark → fingerprint."""

    rows: tuple[Row, ...]

    def cell(self, variant: str, benchmark: str) -> tuple[Row, ...]:
        """Its rows, one a seed."""
        return self._cells.get((variant, benchmark), ())

    @cached_property
    def submitted(self) -> tuple[str, ...]:
        """Variants whose masks were handed in."""
        return tuple(dict.fromkeys(row.variant for row in self.rows if row.submitted))

    def title(self, benchmark: str) -> str:
        """Of a benchmark that it has."""
        return next(row.benchmark_title for row in self.rows if row.benchmark == benchmark)

    @cached_property
    def _cells(self) -> Mapping[tuple[str, str], tuple[Row, ...]]:
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.variant, row.benchmark), []).append(row)
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """In order."""
        return tuple(dict.fromkeys(row.variant for row in self.rows))

    @cached_property
    def benchmarks(self) -> tuple[str, ...]:
        """By name."""
        return tuple(sorted({row.benchmark for row in self.rows}))


def check_rows(frame: pd.DataFrame, order: Iterable[str] = ()) -> tuple[Row, ...]:
    """The rows in an order that does not depend on the frame's: scale, data kind, variant (those in `order` first),
    benchmark, seed. Raises ReportError for a missing column or a cell that is there twice."""
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing and len(frame):
        raise ReportError(f"rows: columns missing: {', '.join(missing)}; expected {', '.join(COLUMNS)}")
    rank = {variant: place for place, variant in enumerate(order)}
    rows = [_row({str(key): value for key, value in record.items()}) for record in frame.to_dict("records")]
    cells = [(row.scale, row.data_kind, row.protocol, row.variant, row.benchmark, row.seed) for row in rows]
    doubled = sorted(cell for cell, times in Counter(cells).items() if times > 1)
    if doubled:
        raise ReportError(
            f"rows: more than one row for {doubled[0]}; a cell of a study has one; record the study again"
        )
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                row.scale,
                row.data_kind,
                rank.get(row.variant, len(rank)),
                natural(row.variant),
                row.benchmark,
                row.protocol,
                row.seed,
            ),
        )
    )


def split(rows: Iterable[Row], benchmarks: Iterable[str] | None = None) -> tuple[Part, ...]:
    """The sets of comparable rows, over the given benchmarks only (default: all). A row without a fingerprint (a cell
    that never ran) goes with the first of its scale and data kind. Rows of submitted masks go with every scale."""
    wanted = None if benchmarks is None else set(benchmarks)
    kept = [row for row in rows if wanted is None or row.benchmark in wanted]
    parts = []
    own = {(row.scale, row.data_kind) for row in kept if not row.submitted}
    alone = {(row.scale, row.data_kind) for row in kept if row.submitted and row.data_kind not in {k for _, k in own}}
    for scale, kind in sorted(own | alone):
        alike = [row for row in kept if row.data_kind == kind and (row.scale == scale or row.submitted)]
        names = sorted({row.benchmark for row in alike})
        prints = [sorted({row.protocol for row in alike if row.benchmark == name and row.protocol}) for name in names]
        for turn, protocols in enumerate(zip_longest(*prints) if any(prints) else [tuple(None for _ in names)]):
            chosen = {name: protocol for name, protocol in zip(names, protocols, strict=True) if protocol}
            parts.append(
                Part(
                    scale=scale,
                    data_kind=kind,
                    protocols=chosen,
                    rows=tuple(
                        row
                        for row in alike
                        if (row.protocol and chosen.get(row.benchmark) == row.protocol)
                        or (not row.protocol and not turn)
                    ),
                )
            )
    return tuple(parts)


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """Sorting key by which 2 comes before 10."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", text)
    return tuple((1, float(piece), "") if place % 2 else (0, 0.0, piece) for place, piece in enumerate(pieces))


def _row(record: Mapping[str, Any]) -> Row:
    where = f"row {_text(record['variant'])} × {_text(record['benchmark'])}"
    variant, submitted = _text(record["variant"]), record["scale"] == SUBMITTED
    return Row(
        variant=plain(variant) if submitted else variant,
        method_label=(_text(record["method_label"]) or variant) if submitted else _text(record["method_label"]),
        benchmark=_text(record["benchmark"]),
        benchmark_title=_text(record["benchmark_title"]) or _text(record["benchmark"]),
        seed=int(_number(record["seed"]) or 0),
        scale=_text(record["scale"]),
        data_kind=_text(record["data_kind"]),
        protocol=_text(record["protocol"]),
        status=_text(record["status"]),
        reason=_text(record["reason"]),
        left_out=_text(record["left_out"]),
        options=_mapping(record["options"], where, "options"),
        sequences=int(_number(record["sequences"]) or 0),
        values={name: value for name in MEASURES if (value := _number(record[name])) is not None},
        seconds_per_frame=_number(record["seconds_per_frame"]),
        timed_objects=int(_number(record.get("timed_objects")) or 0) or None,
        hardware=_text(record["hardware"]),
        score_folder=_text(record["score_folder"]),
        masks=_mapping(record["masks"], where, "masks"),
        analyses=_mapping(record.get("analyses"), where, "analyses"),
        data_root=_text(record.get("data_root")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or _number(value) is None else str(value)


def _number(value: Any) -> float | None:
    """None for everything that is no finite number (a failed cell has none)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _mapping(value: Any, where: str, column: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    try:
        parsed = json.loads(value) if isinstance(value, str) and value else {}
    except json.JSONDecodeError as error:
        raise ReportError(f"{where}: column {column} is no JSON ({error}); expected an object") from None
    if not isinstance(parsed, dict):
        raise ReportError(f"{where}: column {column} holds a {type(parsed).__name__}; expected a JSON object")
    return parsed
