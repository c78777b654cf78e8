"""Figure 4: accuracy against seconds, published and measured points told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes

from reports.figures.canvas import COLOURS, MARKERS, Figure, one_panel
from reports.figures.scores import shown_variants
from reports.inputs.captions import describe
from reports.inputs.cells import Part, Row
from reports.inputs.published import Published
from reports.inputs.scores import Scorebook
from reports.inputs.spec import TableSet
from reports.tables.model import label_of

PANELS = {
    "davis16-val": ("Table 1", "seconds a frame"),
    "davis17-val": ("Table 3", "seconds an instance and frame"),
}
"""Benchmark → the table that its published points are of, and what its seconds are of."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""

IN_TEXT = {"davis16-val": "", "davis17-val": ",\nseconds from section 4.1"}


def speed_figures(
    part: Part, tables: TableSet, scores: Scorebook, published: Published, suffix: str = ""
) -> tuple[Figure, ...]:
    """J&F against seconds, one figure a benchmark on which anything was timed."""
    made = (_figure(part, benchmark, tables, scores, published, suffix) for benchmark in PANELS)
    return tuple(figure for figure in made if figure is not None)


def seconds_of(row: Row) -> float | None:
    """What the figure plots: of a frame on DAVIS16, of an instance and frame on DAVIS17; None if it was not timed."""
    if row.seconds_per_frame is None or row.benchmark == "davis16-val":
        return row.seconds_per_frame
    return row.seconds_per_frame / row.timed_objects if row.timed_objects else None


def quoted_points(published: Published, benchmark: str) -> Iterator[tuple[str, float, float, bool]]:
    """Method, seconds, J&F (the mean of the quoted J and F), and whether the seconds are a lower bound."""
    for row in published.rows:
        speed = row.speed if benchmark == "davis16-val" else row.instance_speed
        if row.place == PANELS[benchmark][0] and speed and benchmark in row.values:
            values = row.values[benchmark]
            accuracy = (values["J_mean"] + values["F_mean"]) / 2
            yield row.method, float(speed.strip("(>)")), accuracy, ">" in speed


def _figure(
    part: Part, benchmark: str, tables: TableSet, scores: Scorebook, published: Published, suffix: str
) -> Figure | None:
    place, x = PANELS[benchmark]
    canvas, axes = one_panel(f"{x} (log scale)", "J&F", 0.6)
    axes.set_xscale("log")
    measured = list(_measured(part, benchmark, tables, scores))
    for turn, (label, seconds, accuracy) in enumerate(measured):
        colour, marker = COLOURS[1], MARKERS[turn % len(MARKERS)]
        axes.plot(seconds, accuracy, marker, color=colour, markersize=7, label=f"{label} (measured)")
    if not measured:
        return None
    quoted = list(quoted_points(published, benchmark))
    for _, seconds, accuracy, bound in quoted:
        axes.plot(seconds, accuracy, ">" if bound else "D", color=COLOURS[2], fillstyle="none", markersize=6)
    axes.plot([], [], "D", color=COLOURS[2], fillstyle="none", label=f"quoted: {place}{IN_TEXT[benchmark]}")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 4)  # room for the names on the right
    every = [accuracy for *_, accuracy in measured] + [accuracy for _, _, accuracy, _ in quoted]
    axes.set_ylim(max(0.0, min(every) - 0.05), min(1.0, max(every) + 0.08))
    taken = [(seconds, accuracy) for _, seconds, accuracy in measured]
    name_points(axes, [one[:3] for one in quoted], taken)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    bounds = " A triangle is a lower bound of the seconds." if any(bound for *_, bound in quoted) else ""
    return Figure(
        name=f"speed-{benchmark}{suffix}",
        title=f"Accuracy against {x}, {part.title(benchmark)} (figure 4)",
        caption="Filled: measured here. Hollow: quoted from DIPNet, WACV 2020, J&F the mean of the quoted J and F, on "
        f"other hardware than ours; the copied first mask, which takes next to no time, is not drawn.{bounds} "
        f"{describe(part, benchmark, masks=False)}",
        canvas=canvas,
    )


def _measured(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Iterator[tuple[str, float, float]]:
    for variant in shown_variants(part, benchmark, tables):
        if variant == tables.baseline:
            continue  # copying takes next to no time: it would squeeze all others into a corner
        cells = part.cell(variant, benchmark)
        seconds = [one for row in cells if row.done and (one := seconds_of(row))]
        found = scores.mean(cells, "JF_mean")
        if seconds and found:
            yield label_of(variant, part, tables), sum(seconds) / len(seconds), found.estimate


SPOTS = ((6, -2.5), (0, 6), (0, -11), (6, 5), (6, -10), (0, 13), (0, -18), (14, 9), (14, -14))
"""Where a name may stand from its point, in points; the first that is free is taken. Mirrored to the left as well."""


def name_points(
    axes: Axes, points: Sequence[tuple[str, float, float]], taken: Sequence[tuple[float, float]], size: float = 6.5
) -> None:
    """Writes the names of `points` (name, x, y) beside them, over neither names nor points; `taken`: further points."""
    scale = 72 / axes.figure.dpi
    shown = [axes.transData.transform(spot) * scale for spot in (*((x, y) for _, x, y in points), *taken)]
    boxes = [(x - 3.5, y - 3.5, x + 3.5, y + 3.5) for x, y in shown]
    for (name, x, y), (left, bottom) in zip(points, shown, strict=False):
        width = 0.62 * size * len(name)
        tries: list[tuple[float, int, int, float, Box]] = []
        for across, up in (*SPOTS, *((-dx, dy) for dx, dy in SPOTS)):
            start = left + across - (width / 2 if across == 0 else width if across < 0 else 0)
            box = (start, bottom + up, start + width, bottom + up + size)
            tries.append((sum(_overlap(box, other) for other in boxes), len(tries), across, up, box))
        _, _, across, up, box = min(tries)
        boxes.append(box)
        side = {0: "center", 1: "left", -1: "right"}[(across > 0) - (across < 0)]
        look: dict[str, Any] = {"textcoords": "offset points", "fontsize": size, "fontstyle": "italic"}
        axes.annotate(name, (x, y), xytext=(across, up), ha=side, **look)


def _overlap(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, up)
