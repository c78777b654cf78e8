"""Loss curves of the trainings behind a study's cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from reports.figures.canvas import STYLES, Figure, panels, style
from reports.inputs import Lineage, Part, describe

WINDOW = 9
"""Recorded values per drawn point, if there are many."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One value of one training over its steps."""

    training: str
    """Label of the stage."""

    name: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]


def read_curves(part: Part, lineage: Lineage) -> tuple[Curve, ...]:
    """Return the curves of the trainings in the store behind the part's cells."""
    curves = []
    for stage in lineage.trainings(part.cells):
        if stage.name == "train":
            points = pd.read_csv(stage.folder / "curves.csv", float_precision="round_trip")
            for name, own in points.groupby("name", sort=False):
                steps, values = (own[column].to_numpy(np.float64) for column in ("step", "value"))
                curves.append(Curve(training=stage.label, name=str(name), steps=steps, values=values))
    return tuple(curves)


def training_figures(part: Part, curves: Sequence[Curve]) -> tuple[Figure, ...]:
    """Return one figure per recorded value (loss, …) with one panel per network; none without curves."""
    names = sorted({curve.name for curve in curves})
    return tuple(_figure(name, [curve for curve in curves if curve.name == name], part) for name in names)


def _figure(name: str, curves: Sequence[Curve], part: Part) -> Figure:
    networks: dict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        networks[network_of(curve.training)].append(curve)
    canvas, made = panels(len(networks), "optimizer step", name)
    omitted = 0
    for axes, (network, given) in zip(made, sorted(networks.items()), strict=True):
        axes.set_title(network, fontsize=9, loc="left")
        for place, curve in enumerate(given[:STYLES]):
            label = curve.training.removeprefix(f"train {network}, ")
            smooth = smoothed(curve.values)
            axes.plot(curve.steps, smooth, label=label, markevery=max(1, len(smooth) // 5), **style(place))
        omitted += max(0, len(given) - STYLES)
        if all((curve.values > 0).all() for curve in given):
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 5 * low else range(1, 10)))
            axes.yaxis.set_major_formatter("{x:g}")  # 0.2, not 2 × 10⁻¹
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False, fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    limit = f" {omitted} further trainings are not drawn." if omitted else ""
    return Figure(
        name=f"training-{name}{part.suffix}",
        title=f"{name.capitalize()} of the trainings",
        caption=f"Long curves: running mean of {WINDOW} recorded values.{limit} {describe(part, masks=False)}",
        canvas=canvas,
    )


def network_of(training: str) -> str:
    """Return `propagation` for `train propagation, off-line training on DAVIS16 train`."""
    return training.removeprefix("train ").split(",")[0]


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running mean of WINDOW values, each over those up to it; few values stay unchanged."""
    if len(values) <= 2 * WINDOW:
        return values
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - WINDOW, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
