"""The figures of the scores: ω curve, J&F over the length of the video, share of objects above a threshold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from harness.score import SequenceScores, over_length
from reports.figures.canvas import COLOURS, STYLES, Figure, one_panel, style
from reports.inputs.captions import describe
from reports.inputs.cells import Part, Row
from reports.inputs.scores import Scorebook, has_lines, read_columns, read_frames
from reports.inputs.spec import TableSet
from reports.media.sheets import evenly

OMEGA = "omega-"
"""What the variants of an ω sweep are called, before the value."""

DODGE = 0.008
"""How far the lines of the ω figure stand apart, so that their bars can be told."""

BINS = 50
"""Of the length of a video."""

THRESHOLDS = np.linspace(0, 1, 101)


def figures(part: Part, tables: TableSet, scores: Scorebook, suffix: str = "") -> Iterator[Figure]:
    """Those that the part's rows allow, as they are drawn; none of them holds seconds."""
    if sweep := omega_figure(part, scores, suffix):
        yield sweep
    for benchmark in part.benchmarks:
        for draw in (length_figure, profile_figure):
            if figure := draw(part, benchmark, tables, suffix):
                yield figure


def omega_figure(part: Part, scores: Scorebook, suffix: str) -> Figure | None:
    """J mean over ω with its interval, a line a benchmark (figure 6); None without two values of ω."""
    canvas, axes = one_panel("update rate ω", "J mean", 0.86)
    most = 0
    for place, benchmark in enumerate(part.benchmarks):
        points = []
        for variant in part.variants:
            found = scores.mean(part.cell(variant, benchmark), "J_mean") if omega_of(variant) is not None else None
            if found:
                points.append((omega_of(variant), found.estimate, found.low, found.high))
        if points:
            x, y, low_ends, high_ends = zip(*sorted(points), strict=True)
            beside = np.array(x) + DODGE * place
            axes.plot(beside, y, label=part.title(benchmark), **style(place))
            if None not in low_ends:
                reach = [np.subtract(y, low_ends), np.subtract(high_ends, y)]
                colour = COLOURS[place % STYLES]
                axes.errorbar(beside, y, yerr=reach, fmt="none", ecolor=colour, elinewidth=0.8, capsize=2.5)
        most = max(most, len(points))
    if most < 2:
        return None
    low_end, high_end = axes.get_ylim()
    axes.set_ylim(max(0.0, low_end), min(1.0, high_end))
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)  # bars may be anywhere
    return Figure(
        name=f"omega{suffix}",
        title="J mean over the update rate ω (figure 6)",
        caption=f"Bars: 95 % interval. The paper's values are not printed in it. {describe(part, masks=False)}",
        canvas=canvas,
    )


def omega_of(variant: str) -> float | None:
    """ω of a variant of the sweep, None for any other."""
    text = variant.removeprefix(OMEGA)
    return float(text) if variant.startswith(OMEGA) and text.replace(".", "", 1).isdigit() else None


def length_figure(part: Part, benchmark: str, tables: TableSet, suffix: str) -> Figure | None:
    """J&F over the normalised length of the videos, mean over objects (figure 5); None where nothing is scored."""
    canvas, axes = one_panel("share of the video", "J&F")
    middles = (np.arange(BINS) + 0.5) / BINS
    for place, (variant, rows) in enumerate(_drawn(part, benchmark, tables, "frames.csv")):
        videos = [video for row in rows for video in frame_scores(row)]
        if videos:
            axes.plot(middles, over_length(videos, "JF", BINS), label=variant, markevery=10, **style(place))
    return _finished(
        canvas, axes, part, benchmark, f"length-{benchmark}{suffix}", "J&F over the length of the video (figure 5)"
    )


def profile_figure(part: Part, benchmark: str, tables: TableSet, suffix: str) -> Figure | None:
    """Share of objects whose J mean is above τ; None where nothing is scored."""
    canvas, axes = one_panel("τ", "share of objects with J above τ")
    for place, (variant, rows) in enumerate(_drawn(part, benchmark, tables, "objects.csv")):
        texts = [text for row in rows for text in read_columns(row, "objects.csv")["J_mean"]]
        shares = above(np.array([float(text) for text in texts]))
        axes.step(THRESHOLDS, shares, where="post", label=variant, markevery=20, **style(place))
    return _finished(
        canvas, axes, part, benchmark, f"profile-{benchmark}{suffix}", "Share of objects above a threshold"
    )


def above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the values above each of THRESHOLDS."""
    return np.asarray((values[None, :] > THRESHOLDS[:, None]).mean(axis=1))


def frame_scores(row: Row) -> Iterator[SequenceScores]:
    """J and F of every object and frame of a cell, as `frames.csv` has them (without the counts behind them, and the
    frames' names)."""
    lines = read_frames(row)
    sequences, objects = lines["sequence"].cat.codes.to_numpy(), lines["object"].to_numpy()
    changes = np.flatnonzero((np.diff(sequences) != 0) | (np.diff(objects) != 0)) + 1
    starts = [0, *changes.tolist()] if len(lines) else []
    spans: dict[int, dict[int, slice]] = {}
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        spans.setdefault(int(sequences[start]), {})[int(objects[start])] = slice(start, end)
    measures = [lines[name].to_numpy() for name in ("J", "F")]
    names = lines["sequence"].cat.categories.tolist()
    for code, found in spans.items():
        region, boundary = (np.stack([values[span] for span in found.values()]) for values in measures)
        yield SequenceScores(
            name=str(names[code]),
            object_ids=tuple(found),
            frames=(),
            counts=np.zeros((*region.shape, 6), np.int64),
            J=region,
            F=boundary,
        )


def shown_variants(part: Part, benchmark: str, tables: TableSet) -> tuple[str, ...]:
    """Those that a figure has lines for, as many as there are styles: submitted ones, and of ours the listed first,
    then those that a table compares others with (of a sweep, the paper's value), then others evenly, both ends too."""
    here = [variant for variant in part.variants if part.cell(variant, benchmark)]
    handed = [variant for variant in here if variant in part.submitted][: STYLES // 2]
    room = STYLES - len(handed)
    own = [variant for variant in here if variant not in part.submitted]
    references = [spec.reference for spec in tables.tables]
    first = sorted((v for v in own if v in tables.variants or v in references), key=lambda v: v not in tables.variants)
    others = [variant for variant in own if variant not in first]
    first = first[:room]
    chosen = {*first, *(others[index] for index in evenly(len(others), room - len(first)))}
    return (*(variant for variant in own if variant in chosen), *handed)


def _drawn(part: Part, benchmark: str, tables: TableSet, name: str) -> Iterator[tuple[str, list[Row]]]:
    """Label → the cells that have the score file `name`."""
    for variant in shown_variants(part, benchmark, tables):
        rows = [row for row in part.cell(variant, benchmark) if has_lines(row, name)]
        if rows:
            yield rows[0].name if rows[0].submitted else tables.label(variant), rows


def _finished(canvas: Canvas, axes: Axes, part: Part, benchmark: str, name: str, title: str) -> Figure | None:
    if not axes.lines:
        return None
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    variants = sum(bool(part.cell(variant, benchmark)) for variant in part.variants)
    words = f" {STYLES} of {variants} variants are drawn." if variants > STYLES else ""
    return Figure(
        name=name,
        title=f"{title}: {part.title(benchmark)}",
        caption=f"Mean over objects.{words} {describe(part, benchmark)}",
        canvas=canvas,
    )
