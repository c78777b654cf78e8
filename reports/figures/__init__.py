"""The figures of a report."""

from reports.figures.canvas import Figure, save
from reports.figures.identities import identity_figure
from reports.figures.scores import score_figures
from reports.figures.tradeoff import speed_figures
from reports.figures.training import read_curves, training_figures

__all__ = [
    "Figure", "identity_figure", "read_curves", "save", "score_figures", "speed_figures", "training_figures",
]  # fmt: skip
