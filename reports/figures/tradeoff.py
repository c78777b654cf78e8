"""Figure 4: accuracy against seconds, with published and measured points marked differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes

from harness.results import WHOLE_PROCESS, CellResult
from harness.score import Measure
from reports.figures.canvas import COLORS, MARKERS, STYLES, Figure, one_panel
from reports.inputs import (
    Part,
    Published,
    Scorebook,
    TableSet,
    combined_measure,
    describe,
    label_of,
    lead_benchmark,
    main_measure,
    shown_variants,
)

PANELS = {
    "davis16-val": ("Table 1", "seconds per frame", ""),
    "davis17-val": ("Table 3", "seconds per instance and frame", ",\nseconds from section 4.1"),
}
"""Benchmark → table of its published points, unit of its seconds, and where the text has them if the table has not."""

SIZE = 6.5
"""Height of the names of points."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def speed_figures(part: Part, tables: TableSet, scores: Scorebook, published: Published) -> tuple[Figure, ...]:
    """Return accuracy against seconds, one figure per benchmark of the paper on which anything was timed.

    If the part has none of those, it is about the benchmark with most results, in that benchmark's main measure."""
    shown = tuple(PANELS) if set(PANELS) & set(part.benchmarks) else (lead_benchmark(part),)
    made = (_figure(part, benchmark, tables, scores, published) for benchmark in shown)
    return tuple(figure for figure in made if figure is not None)


def seconds_of(cell: CellResult) -> float | None:
    """Return seconds per frame, on DAVIS17 per instance and frame; None if the cell was not timed."""
    if cell.seconds_per_frame is None or "instance" not in _panel(cell.benchmark)[1]:
        return cell.seconds_per_frame
    return cell.seconds_per_frame / cell.timed_objects if cell.timed_objects else None


def _panel(benchmark: str) -> tuple[str, str, str]:
    return PANELS.get(benchmark, ("", "seconds per frame", ""))


def quoted_points(published: Published, benchmark: str) -> Iterator[tuple[str, float, float, bool]]:
    """Yield method, seconds, accuracy, and whether the seconds are a lower bound."""
    for row in published.rows:
        speed = row.speed if benchmark == "davis16-val" else row.instance_speed
        if row.place == _panel(benchmark)[0] and speed and benchmark in row.values:
            values = [row.values[benchmark][name] for name in combined_measure().mean_of]
            yield row.method, float(speed.strip("(>)")), sum(values) / len(values), ">" in speed


def _figure(part: Part, benchmark: str, tables: TableSet, scores: Scorebook, published: Published) -> Figure | None:
    measured = list(_measured(part, benchmark, tables, scores))
    if not measured:
        return None
    place, unit, text_source = _panel(benchmark)
    accuracy = _accuracy(part, benchmark).title
    canvas, axes = one_panel(f"{unit} (log scale)", accuracy, 0.6)
    axes.set_xscale("log")
    for turn, (label, x, y) in enumerate(measured):
        axes.plot(x, y, MARKERS[turn % len(MARKERS)], color=COLORS[1], markersize=7, label=f"{label} (measured)")
    quoted = list(quoted_points(published.comparable_with(part), benchmark))
    for _, x, y, bound in quoted:
        axes.plot(x, y, ">" if bound else "D", color=COLORS[2], fillstyle="none", markersize=6)
    if quoted:
        axes.plot([], [], "D", color=COLORS[2], fillstyle="none", label=f"quoted: {place}{text_source}")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 4)  # room for the names on the right
    every = [y for *_, y in measured] + [y for _, _, y, _ in quoted]
    axes.set_ylim(max(0.0, min(every) - 0.05), min(1.0, max(every) + 0.08))
    name_points(axes, [one[:3] for one in quoted], [(x, y) for _, x, y in measured])
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    bounds = " A triangle is a lower bound of the seconds." if any(bound for *_, bound in quoted) else ""
    source = f"DIPNet, WACV 2020; {accuracy} is the mean of the quoted J and F, and the hardware differs from ours"
    hollow = f" Hollow: quoted from {source}." if quoted else ""
    return Figure(
        name=f"speed-{benchmark}{part.suffix}",
        title=f"Accuracy against {unit}, {part.title(benchmark)} (figure 4)",
        caption=f"Filled: measured here.{hollow} The baseline that copies the first mask takes next to no time and "
        f"is not drawn.{bounds} {describe(part, benchmark, masks=False)}",
        canvas=canvas,
    )


def _accuracy(part: Part, benchmark: str) -> Measure:
    """Return the measure that is drawn: J&F in the paper's figures."""
    return combined_measure() if benchmark in PANELS else main_measure(part.select(benchmark))


def _measured(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Iterator[tuple[str, float, float]]:
    for variant in shown_variants(part, benchmark, tables, STYLES):
        if variant == tables.baseline:
            continue  # copying takes next to no time: it would squeeze all others into a corner
        cells = part.select(benchmark, variant)
        seconds = [one for cell in cells if cell.done and (one := seconds_of(cell))]
        found = scores.mean(cells, _accuracy(part, benchmark).name)
        if seconds and found:
            whole = f", {WHOLE_PROCESS}" if any(cell.timed_as_process for cell in cells) else ""
            yield f"{label_of(variant, part, tables)}{whole}", sum(seconds) / len(seconds), found.estimate


OFFSETS = ((6, -2.5), (0, 6), (0, -11), (6, 5), (6, -10), (0, 13), (0, -18), (14, 9), (14, -14))
"""Candidate offsets of a name from its point, in points, in order of preference; mirrored to the left as well."""


def name_points(axes: Axes, points: Sequence[tuple[str, float, float]], taken: Sequence[tuple[float, float]]) -> None:
    """Write the names of `points` (name, x, y) next to them, clear of names and points; `taken`: further points."""
    scale = 72 / axes.figure.dpi
    shown = [axes.transData.transform(spot) * scale for spot in (*((x, y) for _, x, y in points), *taken)]
    boxes = [(x - 3.5, y - 3.5, x + 3.5, y + 3.5) for x, y in shown]
    for (name, x, y), (left, bottom) in zip(points, shown, strict=False):
        width = 0.62 * SIZE * len(name)
        tries: list[tuple[float, int, int, float, Box]] = []
        for across, up in (*OFFSETS, *((-dx, dy) for dx, dy in OFFSETS)):
            start = left + across - (width / 2 if across == 0 else width if across < 0 else 0)
            box = (start, bottom + up, start + width, bottom + up + SIZE)
            tries.append((sum(_overlap(box, other) for other in boxes), len(tries), across, up, box))
        _, _, across, up, box = min(tries)
        boxes.append(box)
        side = {0: "center", 1: "left", -1: "right"}[(across > 0) - (across < 0)]
        look: dict[str, Any] = {"textcoords": "offset points", "fontsize": SIZE, "fontstyle": "italic"}
        axes.annotate(name, (x, y), xytext=(across, up), ha=side, **look)


def _overlap(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, up)
