"""Which videos the miniature has, and what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from harness.datasets.miniature.scenario import Scenario

Sparse = partial(Scenario, frames=21)
"""Video with a label for every tenth frame, the first and the last included."""

FEW, SEVERAL = (0.075, 0.12), (0.05, 0.085)
"""Share of the frame of each object if there are two, and if there are three or four."""

DAVIS16: Mapping[str, Mapping[str, Scenario]] = {
    "train": {
        "mini-blob-drift": Scenario(objects=("blob",), drift=1.0),
        "mini-box-pole": Scenario(objects=("box",), poles=1),
        "mini-box-swell": Scenario(objects=("box",), growth=1.6),
        "mini-star-leave": Scenario(objects=("star",), leaves=True, share=(0.07, 0.1)),
        "mini-star-turn": Scenario(objects=("star",), turn=2.6, drift=0.6),
        "mini-star-twin": Scenario(objects=("star",), lookalikes=1, drift=0.6),
        "mini-walker-pan": Scenario(objects=("walker",), drift=0.6),
        "mini-walker-twin": Scenario(objects=("walker",), lookalikes=2, drift=0.8, share=(0.07, 0.1)),
    },
    "val": {
        "mini-blob-leave": Scenario(objects=("blob",), leaves=True, drift=0.6, share=(0.07, 0.1)),
        "mini-box-twin": Scenario(objects=("box",), lookalikes=1, drift=1.0),
        "mini-star-drift": Scenario(objects=("star",), drift=1.0, turn=2.0, growth=1.4),
        "mini-walker-pole": Scenario(objects=("walker",), poles=1, lookalikes=1, drift=0.6, share=(0.08, 0.13)),
    },
}
DAVIS17: Mapping[str, Mapping[str, Scenario]] = {
    "train": {
        "mini-pair-cross": Scenario(objects=("blob", "box"), share=FEW),
        "mini-pair-leave": Scenario(objects=("star", "walker"), share=FEW, leaves=True),
        "mini-pair-twin": Scenario(objects=("box", "box"), share=FEW, twins=True, drift=0.6),
        "mini-quad-drift": Scenario(objects=("star", "walker", "blob", "box"), share=SEVERAL, drift=1.0),
        "mini-quad-pan": Scenario(objects=("blob", "star", "star", "walker"), share=SEVERAL),
        "mini-trio-drift": Scenario(objects=("walker", "blob", "star"), share=SEVERAL, drift=0.9),
        "mini-trio-pole": Scenario(objects=("blob", "box", "walker"), share=SEVERAL, poles=1),
        "mini-trio-twin": Scenario(objects=("star", "star", "blob"), share=SEVERAL, twins=True, lookalikes=1),
    },
    "val": {
        "mini-pair-away": Scenario(objects=("blob", "star"), share=FEW, leaves=True, drift=0.8),
        "mini-pair-fake": Scenario(objects=("walker", "box"), share=FEW, lookalikes=1, drift=0.8),
        "mini-quad-mix": Scenario(objects=("box", "star", "walker", "blob"), share=SEVERAL, drift=0.8),
        "mini-trio-alike": Scenario(objects=("blob", "box", "blob"), share=SEVERAL, twins=True, poles=1, drift=0.6),
    },
}
TEST_DEV: Mapping[str, Scenario] = {
    "mini-pair-swap": Scenario(objects=("box", "walker"), share=FEW, drift=0.6),
    "mini-trio-turn": Scenario(objects=("star", "blob", "box"), share=SEVERAL, turn=2.0),
}
"""DAVIS 2017 test-dev: only the first masks are written."""

YOUTUBE_OBJECTS: Mapping[str, Scenario] = {
    "aeroplane": Sparse(objects=("star",), drift=0.6),
    "bird": Sparse(objects=("blob",), drift=0.8, turn=2.0),
    "boat": Sparse(objects=("box",), poles=1),
    "car": Sparse(objects=("box",), lookalikes=1, drift=0.6),
    "cat": Sparse(objects=("walker",), drift=0.8),
    "cow": Sparse(objects=("walker",), lookalikes=1),
    "dog": Sparse(objects=("walker",), poles=1, share=(0.08, 0.13)),
    "horse": Sparse(objects=("walker",), growth=1.5),
    "motorbike": Sparse(objects=("blob",), lookalikes=1, drift=0.6),
    "train": Sparse(objects=("box",), growth=1.6, drift=0.8),
}
"""One video per class."""

SEGTRACK: Mapping[str, Scenario] = {
    "mini-bird": Scenario(objects=("star",), drift=0.6),
    "mini-cheetah": Scenario(objects=("walker", "walker"), share=FEW),
    "mini-drift": Scenario(objects=("box", "blob"), share=FEW, drift=0.9),
    "mini-parachute": Scenario(objects=("blob",), turn=2.0, growth=1.5),
}
