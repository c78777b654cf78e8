"""The figures: ω curve, J&F over the length of the video, share of objects above a threshold, accuracy against seconds.

Drawn without global state; equal rows give equal bytes, as SVG and as PNG. Every line has its own colour (Okabe and
Ito), dash and marker, so that it can be told in print and by the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from reports.published import Published, Quoted
from reports.rows import Part
from reports.scores import Scorebook, read_lines
from reports.spec import TableSet
from reports.words import describe

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

OMEGA = "omega-"
"""What the variants of an ω sweep are called, before the value."""

SPEED_BENCHMARK = "davis16-val"
"""The one whose published seconds a frame are known."""

LENGTH = np.linspace(0, 1, 51)
"""Where on a video's length its frames are read off."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One drawing and what is said about it."""

    name: str
    """Of its files."""

    title: str
    caption: str
    canvas: Canvas


def figures(part: Part, tables: TableSet, scores: Scorebook, suffix: str = "") -> tuple[Figure, ...]:
    """Those that the part's rows allow; none of them holds seconds."""
    made = [omega_figure(part, scores, suffix)]
    for benchmark in part.benchmarks:
        made.append(length_figure(part, benchmark, tables, suffix))
        made.append(profile_figure(part, benchmark, tables, suffix))
    return tuple(figure for figure in made if figure is not None)


def omega_figure(part: Part, scores: Scorebook, suffix: str) -> Figure | None:
    """J mean over ω with its interval, a line a benchmark (figure 6); None without two values of ω."""
    canvas, axes = _axes("update rate ω", "J mean", 0.86)
    most = 0
    for place, benchmark in enumerate(part.benchmarks):
        points = []
        for variant in part.variants:
            found = scores.mean(part.cell(variant, benchmark), "J_mean") if variant.startswith(OMEGA) else None
            if found and _is_number(variant.removeprefix(OMEGA)):
                low, high = found.low, found.high
                points.append((float(variant.removeprefix(OMEGA)), found.estimate, low, high))
        if points:
            x, y, low_ends, high_ends = zip(*sorted(points), strict=True)
            title = next(row.benchmark_title for row in part.rows if row.benchmark == benchmark)
            axes.plot(x, y, label=title, **_style(place))
            if None not in low_ends:
                axes.fill_between(x, low_ends, high_ends, color=COLOURS[place % len(COLOURS)], alpha=0.12, linewidth=0)
        most = max(most, len(points))
    if most < 2:
        return None
    low_end, high_end = axes.get_ylim()
    axes.set_ylim(max(0.0, low_end), min(1.0, high_end))
    axes.legend(frameon=False, fontsize=8)
    return Figure(
        name=f"omega{suffix}",
        title="J mean over the update rate ω (figure 6)",
        caption=f"Shaded: 95 % interval. The paper's values are not printed in it. {describe(part)}",
        canvas=canvas,
    )


def length_figure(part: Part, benchmark: str, tables: TableSet, suffix: str) -> Figure | None:
    """J&F over the normalised length of the videos, mean over objects (figure 5); None where nothing is scored."""
    canvas, axes = _axes("share of the video", "J&F")
    for place, (variant, objects) in enumerate(_lines_of(part, benchmark, tables, "frames.csv")):
        curves = [over_length(lines) for lines in objects if len(lines) > 1]
        if curves:
            axes.plot(LENGTH, np.mean(curves, axis=0), label=variant, markevery=10, **_style(place))
    return _finished(
        canvas, axes, part, benchmark, f"length-{benchmark}{suffix}", "J&F over the length of the video (figure 5)"
    )


def profile_figure(part: Part, benchmark: str, tables: TableSet, suffix: str) -> Figure | None:
    """Share of objects whose J mean is above τ; None where nothing is scored."""
    canvas, axes = _axes("τ", "share of objects with J above τ")
    thresholds = np.linspace(0, 1, 101)
    for place, (variant, objects) in enumerate(_lines_of(part, benchmark, tables, "objects.csv")):
        values = np.array([float(lines[0]["J_mean"]) for lines in objects])
        shares = (values[None, :] > thresholds[:, None]).mean(axis=1)
        axes.step(thresholds, shares, where="post", label=variant, markevery=20, **_style(place))
    return _finished(
        canvas, axes, part, benchmark, f"profile-{benchmark}{suffix}", "Share of objects above a threshold"
    )


def speed_figure(part: Part, tables: TableSet, scores: Scorebook, published: Published, suffix: str) -> Figure | None:
    """J&F against seconds a frame, published and measured points told apart (figure 4); None if nothing was timed."""
    canvas, axes = _axes("seconds a frame", "J&F", 0.82)
    axes.set_xscale("log")
    measured = False
    shown = list(tables.variants)[: len(COLOURS)]
    for variant in part.variants:
        cells = part.cell(variant, SPEED_BENCHMARK)
        seconds = [row.seconds_per_frame for row in cells if row.done and row.seconds_per_frame]
        found = scores.mean(cells, "JF_mean")
        if seconds and found and variant in shown:
            label = "" if measured else "measured here"
            axes.plot(float(np.mean(seconds)), found.estimate, "o", color=COLOURS[1], label=label or None)
            axes.annotate(tables.label(variant), (float(np.mean(seconds)), found.estimate), **_beside("right"))
            measured = True
    if not measured:
        return None
    label = "quoted: DIPNet, WACV 2020, Table 1"
    for row in published.rows:
        if row.place == "Table 1" and row.speed:
            seconds_quoted, accuracy = quoted_point(row)
            marker = ">" if ">" in row.speed else "D"
            axes.plot(seconds_quoted, accuracy, marker, color=COLOURS[2], fillstyle="none", label=label or None)
            axes.annotate(row.method, (seconds_quoted, accuracy), fontstyle="italic", **_beside("left"))
            label = ""
    axes.set_xlim(left=axes.get_xlim()[0] / 10)  # room for the labels on the left
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return Figure(
        name=f"speed{suffix}",
        title="Accuracy against seconds a frame, DAVIS16 val (figure 4)",
        caption="Quoted points: J&F is the mean of the quoted J and F; other hardware than ours; a triangle is a lower "
        f"bound. {describe(part)}",
        canvas=canvas,
    )


def quoted_point(row: Quoted) -> tuple[float, float]:
    """Seconds a frame and J&F of a published row of DAVIS16."""
    values = row.values[SPEED_BENCHMARK]
    return float(row.speed.strip("(>)")), (values["J_mean"] + values["F_mean"]) / 2


def over_length(lines: list[dict[str, str]]) -> NDArray[np.float64]:
    """J&F of one object, frame by frame (two or more), read off at LENGTH."""
    values = [(float(line["J"]) + float(line["F"])) / 2 for line in lines]
    return np.asarray(np.interp(LENGTH, np.linspace(0, 1, len(values)), values), np.float64)


def save(figure: Figure, folder: Path) -> tuple[Path, Path]:
    """`<folder>/<name>.svg` and `.png`, the same bytes every time."""
    svg, png = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
    with mpl.rc_context({"svg.hashsalt": "reports"}):
        figure.canvas.savefig(svg, metadata={"Date": None})
        figure.canvas.savefig(png, dpi=150, metadata={"Software": None})
    return svg, png


def _lines_of(
    part: Part, benchmark: str, tables: TableSet, name: str
) -> Iterable[tuple[str, list[list[dict[str, str]]]]]:
    """Label → for every object its lines in the score file `name`; the listed variants, as many as there are styles."""
    listed = [variant for variant in part.variants if variant in tables.variants][: len(COLOURS)]
    for variant in listed:
        objects: dict[tuple[int, str, str], list[dict[str, str]]] = {}
        for row in part.cell(variant, benchmark):
            if row.done and row.score_folder and (Path(row.score_folder) / name).exists():
                for line in read_lines(row, name):
                    objects.setdefault((row.seed, line["sequence"], line["object"]), []).append(line)
        if objects:
            yield tables.label(variant), [objects[key] for key in sorted(objects)]


def _finished(canvas: Canvas, axes: Axes, part: Part, benchmark: str, name: str, title: str) -> Figure | None:
    if not axes.lines:
        return None
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    place = next(row.benchmark_title for row in part.rows if row.benchmark == benchmark)
    return Figure(name=name, title=f"{title}: {place}", caption=f"Mean over objects. {describe(part)}", canvas=canvas)


def _axes(x: str, y: str, width: float = 0.62) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(6.4, 3.6))
    axes = canvas.add_axes((0.1, 0.14, width, 0.76))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return canvas, axes


def _style(place: int) -> dict[str, Any]:
    count = len(COLOURS)
    return {
        "color": COLOURS[place % count],
        "linestyle": DASHES[place % count],
        "marker": MARKERS[place % count],
        "markersize": 4,
        "linewidth": 1.5,
    }


def _beside(side: str) -> dict[str, Any]:
    return {"ha": side, "xytext": (6 if side == "left" else -6, -2.5), "textcoords": "offset points", "fontsize": 7}


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
