"""Figure 4: accuracy against seconds, published and measured points told apart."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes

from reports.drawing import COLOURS, MARKERS, Figure, one_panel
from reports.figures import shown_variants
from reports.published import Published
from reports.rows import Part, Row
from reports.scores import Scorebook
from reports.spec import TableSet
from reports.words import describe

PANELS = {
    "davis16-val": ("Table 1", "seconds a frame"),
    "davis17-val": ("Table 3", "seconds an instance and frame"),
}
"""Benchmark → the table that its published points are of, and what its seconds are of."""

IN_TEXT = {"davis16-val": "", "davis17-val": ", seconds section 4.1"}


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
    for method, seconds, accuracy, bound in quoted:
        axes.plot(seconds, accuracy, ">" if bound else "D", color=COLOURS[2], fillstyle="none", markersize=6)
        _name(axes, method, seconds, accuracy)
    axes.plot(
        [],
        [],
        "D",
        color=COLOURS[2],
        fillstyle="none",
        label=f"quoted: DIPNet, WACV\n2020, {place}{IN_TEXT[benchmark]}",
    )
    axes.set_ylim(0, 1)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 4)  # room for the names on the right
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    bounds = " A triangle is a lower bound of the seconds." if any(bound for *_, bound in quoted) else ""
    return Figure(
        name=f"speed-{benchmark}{suffix}",
        title=f"Accuracy against {x}, {part.title(benchmark)} (figure 4)",
        caption="Filled: measured here. Hollow: quoted, J&F the mean of the quoted J and F, on other hardware than "
        f"ours.{bounds} {describe(part)}",
        canvas=canvas,
    )


def _measured(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> Iterator[tuple[str, float, float]]:
    for variant in shown_variants(part, benchmark, tables):
        cells = part.cell(variant, benchmark)
        seconds = [one for row in cells if row.done and (one := seconds_of(row))]
        found = scores.mean(cells, "JF_mean")
        if seconds and found:
            yield tables.label(variant), sum(seconds) / len(seconds), found.estimate


def _name(axes: Axes, method: str, seconds: float, accuracy: float) -> None:
    axes.annotate(
        method, (seconds, accuracy), xytext=(5, -2.5), textcoords="offset points", fontsize=6.5, fontstyle="italic"
    )
