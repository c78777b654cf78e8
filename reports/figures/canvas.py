"""Canvas, styles and files of all figures.

Drawn without global state: equal data gives equal bytes, as SVG and as PNG. Every line has its own color (Okabe and
Ito), dash and marker, so that lines are distinguishable in print and for color-blind readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLES = len(COLORS)
"""Number of distinguishable lines in a figure."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One drawing with its text; `name` is that of its files."""

    name: str
    title: str
    caption: str
    canvas: Canvas


def one_panel(x: str, y: str, width: float = 0.62) -> tuple[Canvas, Axes]:
    """Return a canvas whose panel takes `width` of it; the rest is for the legend."""
    canvas = Canvas(figsize=(6.4, 3.6))
    axes = canvas.add_axes((0.1, 0.14, width, 0.76))
    _dress(axes, x, y)
    return canvas, axes


def panels(count: int, x: str, y: str) -> tuple[Canvas, list[Axes]]:
    """Return a canvas with panels side by side."""
    canvas = Canvas(figsize=(max(6.4, 3.4 * count), 3.6), layout="constrained")
    made = [canvas.add_subplot(1, count, place + 1) for place in range(count)]
    for place, axes in enumerate(made):
        _dress(axes, x, y if place == 0 else "")
    return canvas, made


def style(place: int) -> dict[str, Any]:
    """Return the style of the line at that place in a figure."""
    return {
        "color": COLORS[place % STYLES],
        "linestyle": DASHES[place % STYLES],
        "marker": MARKERS[place % STYLES],
        "markersize": 4,
        "linewidth": 1.5,
    }


def save(figure: Figure, folder: Path) -> tuple[Path, Path]:
    """Write `<folder>/<name>.svg` and `.png`, the same bytes every time, and return their paths."""
    svg, png = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
    with mpl.rc_context({"svg.hashsalt": "reports"}):
        figure.canvas.savefig(svg, metadata={"Date": None})
        figure.canvas.set_layout_engine(None)  # laid out once is enough; "none" would draw once more
        figure.canvas.savefig(png, dpi=150, metadata={"Software": None})
    return svg, png


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
