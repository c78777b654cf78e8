"""Figures of the scores: ω curve, J&F over the length of the video, share of objects above a threshold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.results import CellResult
from harness.score import SequenceScores, over_length
from reports.figures.canvas import COLORS, STYLES, Figure, one_panel, style
from reports.inputs import (
    Part,
    Scorebook,
    TableSet,
    describe,
    has_file,
    main_measure,
    name_of,
    object_values,
    read_columns,
    read_frames,
    shown_variants,
)

OMEGA = "omega"
"""Option of the update rate ω."""

DODGE = 0.008
"""Horizontal offset between the lines of the ω figure, which keeps their bars apart."""

BINS = 50
"""Sections of the normalized length of a video."""

THRESHOLDS = np.linspace(0, 1, 101)


def score_figures(part: Part, tables: TableSet, scores: Scorebook) -> Iterator[Figure]:
    """Yield the figures that the part's cells allow; none of them shows seconds."""
    if sweep := omega_figure(part, scores):
        yield sweep
    for benchmark in part.benchmarks:
        for draw in (length_figure, profile_figure):
            if figure := draw(part, benchmark, tables):
                yield figure


def omega_figure(part: Part, scores: Scorebook) -> Figure | None:
    """Return the main measure over ω with its interval, one line per benchmark (figure 6); None without a sweep."""
    main = main_measure(part.cells)
    canvas, axes = one_panel("update rate ω", main.title, 0.86)
    sweep = omega_sweep(part)
    most, bars = 0, ""
    for place, benchmark in enumerate(part.benchmarks):
        found = [(omega, scores.mean(part.select(benchmark, variant), main.name)) for variant, omega in sweep.items()]
        points = [(omega, one.estimate, one.low, one.high) for omega, one in found if one]
        if points:
            x, y, low_ends, high_ends = zip(*sorted(points), strict=True)
            shifted = np.array(x) + DODGE * place
            axes.plot(shifted, y, label=part.title(benchmark), **style(place))
            if None not in low_ends:
                reach = [np.subtract(y, low_ends), np.subtract(high_ends, y)]
                color, bars = COLORS[place % STYLES], "Bars: 95 % interval. "
                axes.errorbar(shifted, y, yerr=reach, fmt="none", ecolor=color, elinewidth=0.8, capsize=2.5)
        most = max(most, len(points))
    if most < 2:
        return None
    low_end, high_end = axes.get_ylim()
    axes.set_ylim(max(0.0, low_end), min(1.0, high_end))
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)  # bars may be anywhere
    return Figure(
        name=f"omega{part.suffix}",
        title=f"{main.title} over the update rate ω (figure 6)",
        caption=f"{bars}The paper does not print its values. {describe(part, masks=False)}",
        canvas=canvas,
    )


def omega_sweep(part: Part) -> Mapping[str, float]:
    """Return variant → ω of the largest set of variants that set the option ω and are equal in all other options."""
    sweeps: dict[str, dict[str, float]] = {}
    for variant in part.variants:
        cell = next(cell for cell in part.cells if cell.variant == variant)
        others = {name: value for name, value in cell.options.items() if name != OMEGA}
        if OMEGA in cell.options:
            key = json.dumps([cell.method, others], sort_keys=True)
            sweeps.setdefault(key, {})[variant] = float(cell.options[OMEGA])
    return max(sweeps.values(), key=len, default={})


def length_figure(part: Part, benchmark: str, tables: TableSet) -> Figure | None:
    """Return J&F over the normalized length of the videos, mean over objects (figure 5); None if nothing is scored."""
    canvas, axes = one_panel("share of the video", "J&F")
    middles = (np.arange(BINS) + 0.5) / BINS
    for place, (variant, cells) in enumerate(_drawn(part, benchmark, tables, "frames.csv")):
        videos = [video for cell in cells for video in frame_scores(cell)]
        if videos:
            axes.plot(middles, over_length(videos, "JF", BINS), label=variant, markevery=10, **style(place))
    return _finished(canvas, axes, part, benchmark, "length", "J&F over the length of the video (figure 5)")


def profile_figure(part: Part, benchmark: str, tables: TableSet) -> Figure | None:
    """Return the share of objects whose main measure is above τ; None if nothing is scored."""
    main = main_measure(part.select(benchmark))
    canvas, axes = one_panel("τ", f"share of objects with {main.title} above τ")
    for place, (variant, cells) in enumerate(_drawn(part, benchmark, tables, "objects.csv")):
        found = (object_values(read_columns(cell, "objects.csv"), main) for cell in cells)
        values = [value for given in found for value in given if value is not None]
        shares = (np.array(values)[None, :] > THRESHOLDS[:, None]).mean(axis=1)
        axes.step(THRESHOLDS, shares, where="post", label=variant, markevery=20, **style(place))
    return _finished(canvas, axes, part, benchmark, "profile", "Share of objects above a threshold")


def frame_scores(cell: CellResult) -> Iterator[SequenceScores]:
    """Yield J and F of every object and frame of a cell, from `frames.csv`, without counts and frame names."""
    lines = read_frames(cell)
    sequences, objects = lines["sequence"].cat.codes.to_numpy(), lines["object"].to_numpy()
    starts = np.flatnonzero(np.diff(sequences, prepend=-1) | np.diff(objects, prepend=0))
    videos: dict[str, list[int]] = {}
    for place, start in enumerate(starts):
        videos.setdefault(lines["sequence"].iloc[start], []).append(place)
    by_object = [np.split(lines[name].to_numpy(), starts[1:]) for name in ("J", "F")]
    for name, places in videos.items():
        lengths = np.array([len(by_object[0][place]) for place in places])
        counted = np.arange(lengths.max()) < lengths[:, None]  # objects that appear later have fewer frames
        region, boundary = (np.zeros(counted.shape) for _ in by_object)
        for padded, values in zip((region, boundary), by_object, strict=True):
            padded[counted] = np.concatenate([values[place] for place in places])
        counts = np.zeros((*counted.shape, 6), np.int64)
        ids = tuple(int(objects[starts[place]]) for place in places)
        yield SequenceScores(name=name, object_ids=ids, frames=(), counts=counts, J=region, F=boundary, counted=counted)


def _drawn(part: Part, benchmark: str, tables: TableSet, name: str) -> Iterator[tuple[str, list[CellResult]]]:
    """Yield label and cells of each shown variant that has the score file `name`."""
    for variant in shown_variants(part, benchmark, tables, STYLES):
        cells = [cell for cell in part.select(benchmark, variant) if has_file(cell, name)]
        if cells:
            yield name_of(cells[0]) if cells[0].submitted else tables.label(variant), cells


def _finished(canvas: Canvas, axes: Axes, part: Part, benchmark: str, name: str, title: str) -> Figure | None:
    if not axes.lines:
        return None
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    variants = len(part.variants_on(benchmark))
    limit = f" {STYLES} of {variants} variants are drawn." if variants > STYLES else ""
    return Figure(
        name=f"{name}-{benchmark}{part.suffix}",
        title=f"{title}: {part.title(benchmark)}",
        caption=f"Mean over objects.{limit} {describe(part, benchmark)}",
        canvas=canvas,
    )
