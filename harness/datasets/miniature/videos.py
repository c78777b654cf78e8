"""Which videos the miniature has, and what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from harness.datasets.miniature.scenario import Scenario

Short = partial(Scenario, frames=16)
"""Video of DAVIS and SegTrack."""

Sparse = partial(Scenario, frames=21)
"""Video with a label for every tenth frame, the first and the last included."""

FEW, SEVERAL = (0.05, 0.09), (0.04, 0.07)
"""Share of the frame of each object if there are two, and if there are three or four."""

DAVIS16: Mapping[str, Mapping[str, Scenario]] = {
    "train": {
        "mini-blob-cross": Short(objects=("blob",), poles=1),
        "mini-blob-drift": Short(objects=("blob",), drift=1.0),
        "mini-blob-fake": Short(objects=("blob",), lookalikes=1, drift=0.8),
        "mini-blob-turn": Short(objects=("blob",), turn=2.0),
        "mini-box-grow": Short(objects=("box",), growth=1.6),
        "mini-box-leave": Short(objects=("box",), leaves=True, share=(0.05, 0.08)),
        "mini-box-pole": Short(objects=("box",), poles=1),
        "mini-box-shift": Short(objects=("box",), drift=0.8),
        "mini-star-cross": Short(objects=("star",), poles=1, drift=0.8),
        "mini-star-leave": Short(objects=("star",), leaves=True, share=(0.05, 0.08)),
        "mini-star-turn": Short(objects=("star",), turn=2.6, drift=0.6),
        "mini-star-twin": Short(objects=("star",), lookalikes=1, drift=0.6),
        "mini-walker-cross": Short(objects=("walker",), poles=1, drift=0.8),
        "mini-walker-grow": Short(objects=("walker",), growth=1.6, turn=2.0),
        "mini-walker-pan": Short(objects=("walker",), drift=0.6),
        "mini-walker-twin": Short(objects=("walker",), lookalikes=2, drift=0.8, share=(0.05, 0.08)),
    },
    "val": {
        "mini-blob-leave": Short(objects=("blob",), leaves=True, drift=0.6, share=(0.05, 0.08)),
        "mini-blob-pole": Short(objects=("blob",), poles=1, drift=0.8),
        "mini-blob-swell": Short(objects=("blob",), growth=1.5, drift=0.8),
        "mini-blob-twin": Short(objects=("blob",), lookalikes=1, drift=0.6),
        "mini-blob-wheel": Short(objects=("blob",), turn=2.6, drift=0.6),
        "mini-box-drift": Short(objects=("box",), drift=1.0, turn=2.0),
        "mini-box-pan": Short(objects=("box",), drift=0.6),
        "mini-box-spin": Short(objects=("box",), turn=2.6, growth=1.3),
        "mini-box-squash": Short(objects=("box",), growth=1.4, drift=0.8),
        "mini-box-twin": Short(objects=("box",), lookalikes=1, drift=1.0),
        "mini-star-change": Short(objects=("star",), drift=0.9),
        "mini-star-drift": Short(objects=("star",), drift=1.0, turn=2.0, growth=1.4),
        "mini-star-pole": Short(objects=("star",), poles=1, drift=0.6),
        "mini-star-swell": Short(objects=("star",), growth=1.6),
        "mini-star-wheel": Short(objects=("star",), turn=2.6),
        "mini-walker-drift": Short(objects=("walker",), drift=0.9),
        "mini-walker-pass": Short(objects=("walker",), drift=0.6, turn=1.6),
        "mini-walker-pole": Short(objects=("walker",), poles=1, lookalikes=1, drift=0.6),
        "mini-walker-swell": Short(objects=("walker",), growth=1.5, drift=0.6),
        "mini-walker-turn": Short(objects=("walker",), turn=2.4, drift=0.8),
    },
}
DAVIS17: Mapping[str, Mapping[str, Scenario]] = {
    "train": {
        "mini-pair-cross": Short(objects=("blob", "box"), share=FEW),
        "mini-pair-drift": Short(objects=("star", "walker"), share=FEW, drift=1.0),
        "mini-pair-leave": Short(objects=("star", "walker"), share=FEW, leaves=True),
        "mini-pair-pole": Short(objects=("box", "star"), share=FEW, poles=1, drift=0.6),
        "mini-pair-twin": Short(objects=("box", "box"), share=FEW, twins=True, drift=0.6),
        "mini-quad-drift": Short(objects=("star", "walker", "blob", "box"), share=SEVERAL, drift=1.0),
        "mini-quad-pan": Short(objects=("blob", "star", "star", "walker"), share=SEVERAL),
        "mini-quad-turn": Short(objects=("box", "box", "walker", "blob"), share=SEVERAL, turn=2.0),
        "mini-trio-drift": Short(objects=("walker", "blob", "star"), share=SEVERAL, drift=0.9),
        "mini-trio-fake": Short(objects=("blob", "walker", "box"), share=SEVERAL, lookalikes=1, drift=0.6),
        "mini-trio-pole": Short(objects=("blob", "box", "walker"), share=SEVERAL, poles=1),
        "mini-trio-twin": Short(objects=("star", "star", "blob"), share=SEVERAL, twins=True, lookalikes=1),
    },
    "val": {
        "mini-pair-away": Short(objects=("blob", "star"), share=FEW, leaves=True, drift=0.8),
        "mini-pair-fake": Short(objects=("walker", "box"), share=FEW, lookalikes=1, drift=0.8),
        "mini-pair-turn": Short(objects=("star", "box"), share=FEW, turn=2.0, drift=0.8),
        "mini-quad-mix": Short(objects=("box", "star", "walker", "blob"), share=SEVERAL, drift=0.8),
        "mini-trio-alike": Short(objects=("blob", "box", "blob"), share=SEVERAL, twins=True, poles=1, drift=0.6),
        "mini-trio-change": Short(objects=("walker", "star", "blob"), share=SEVERAL, drift=1.0),
    },
}
TEST_DEV: Mapping[str, Scenario] = {
    "mini-pair-swap": Short(objects=("box", "walker"), share=FEW, drift=0.6),
    "mini-trio-turn": Short(objects=("star", "blob", "box"), share=SEVERAL, turn=2.0),
}
"""DAVIS 2017 test-dev: only the first masks are written."""

YOUTUBE_OBJECTS: Mapping[str, Scenario] = {
    "aeroplane": Sparse(objects=("star",), drift=0.6),
    "bird": Sparse(objects=("blob",), drift=0.8, turn=2.0),
    "boat": Sparse(objects=("box",), poles=1),
    "car": Sparse(objects=("box",), lookalikes=1, drift=0.6),
    "cat": Sparse(objects=("walker",), drift=0.8),
    "cow": Sparse(objects=("walker",), lookalikes=1),
    "dog": Sparse(objects=("walker",), poles=1),
    "horse": Sparse(objects=("walker",), growth=1.5),
    "motorbike": Sparse(objects=("blob",), lookalikes=1, drift=0.6),
    "train": Sparse(objects=("box",), growth=1.6, drift=0.8),
}
"""One video per class."""

SEGTRACK: Mapping[str, Scenario] = {
    "mini-bird": Short(objects=("star",), drift=0.6),
    "mini-cheetah": Short(objects=("walker", "walker"), share=FEW),
    "mini-drift": Short(objects=("box", "blob"), share=FEW, drift=0.9),
    "mini-parachute": Short(objects=("blob",), turn=2.0, growth=1.5),
}
