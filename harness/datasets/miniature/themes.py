"""Which videos the miniature has, and what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping

from harness.datasets.miniature.scenario import Film, Theme

FILM = Film()
SPARSE_FILM = Film(frames=21)
"""With a label every tenth frame, from the first to the last."""

FEW, SEVERAL = (0.075, 0.12), (0.05, 0.085)
"""Share of the frame for each of two, and of three or four objects."""

DAVIS16: Mapping[str, Mapping[str, Theme]] = {
    "train": {
        "mini-blob-drift": Theme(objects=("blob",), drift=1.0),
        "mini-box-pole": Theme(objects=("box",), poles=1),
        "mini-box-swell": Theme(objects=("box",), growth=1.6),
        "mini-star-leave": Theme(objects=("star",), leaves=True, share=(0.07, 0.1)),
        "mini-star-turn": Theme(objects=("star",), turn=2.6, drift=0.6),
        "mini-star-twin": Theme(objects=("star",), lookalikes=1, drift=0.6),
        "mini-walker-pan": Theme(objects=("walker",), drift=0.6),
        "mini-walker-twin": Theme(objects=("walker",), lookalikes=2, drift=0.8, share=(0.07, 0.1)),
    },
    "val": {
        "mini-blob-leave": Theme(objects=("blob",), leaves=True, drift=0.6, share=(0.07, 0.1)),
        "mini-box-twin": Theme(objects=("box",), lookalikes=1, drift=1.0),
        "mini-star-drift": Theme(objects=("star",), drift=1.0, turn=2.0, growth=1.4),
        "mini-walker-pole": Theme(objects=("walker",), poles=1, lookalikes=1, drift=0.6, share=(0.08, 0.13)),
    },
}
DAVIS17: Mapping[str, Mapping[str, Theme]] = {
    "train": {
        "mini-pair-cross": Theme(objects=("blob", "box"), share=FEW),
        "mini-pair-leave": Theme(objects=("star", "walker"), share=FEW, leaves=True),
        "mini-pair-twin": Theme(objects=("box", "box"), share=FEW, twins=True, drift=0.6),
        "mini-quad-drift": Theme(objects=("star", "walker", "blob", "box"), share=SEVERAL, drift=1.0),
        "mini-quad-pan": Theme(objects=("blob", "star", "star", "walker"), share=SEVERAL),
        "mini-trio-drift": Theme(objects=("walker", "blob", "star"), share=SEVERAL, drift=0.9),
        "mini-trio-pole": Theme(objects=("blob", "box", "walker"), share=SEVERAL, poles=1),
        "mini-trio-twin": Theme(objects=("star", "star", "blob"), share=SEVERAL, twins=True, lookalikes=1),
    },
    "val": {
        "mini-pair-away": Theme(objects=("blob", "star"), share=FEW, leaves=True, drift=0.8),
        "mini-pair-fake": Theme(objects=("walker", "box"), share=FEW, lookalikes=1, drift=0.8),
        "mini-quad-mix": Theme(objects=("box", "star", "walker", "blob"), share=SEVERAL, drift=0.8),
        "mini-trio-alike": Theme(objects=("blob", "box", "blob"), share=SEVERAL, twins=True, poles=1, drift=0.6),
    },
}
TEST_DEV: Mapping[str, Theme] = {
    "mini-pair-swap": Theme(objects=("box", "walker"), share=FEW, drift=0.6),
    "mini-trio-turn": Theme(objects=("star", "blob", "box"), share=SEVERAL, turn=2.0),
}
"""Of DAVIS17: all but their first masks are kept back."""

YOUTUBE_OBJECTS: Mapping[str, Theme] = {
    "aeroplane": Theme(objects=("star",), drift=0.6),
    "bird": Theme(objects=("blob",), drift=0.8, turn=2.0),
    "boat": Theme(objects=("box",), poles=1),
    "car": Theme(objects=("box",), lookalikes=1, drift=0.6),
    "cat": Theme(objects=("walker",), drift=0.8),
    "cow": Theme(objects=("walker",), lookalikes=1),
    "dog": Theme(objects=("walker",), poles=1, share=(0.08, 0.13)),
    "horse": Theme(objects=("walker",), growth=1.5),
    "motorbike": Theme(objects=("blob",), lookalikes=1, drift=0.6),
    "train": Theme(objects=("box",), growth=1.6, drift=0.8),
}
"""By class, one video in each."""

SEGTRACK: Mapping[str, Theme] = {
    "mini-bird": Theme(objects=("star",), drift=0.6),
    "mini-cheetah": Theme(objects=("walker", "walker"), share=FEW),
    "mini-drift": Theme(objects=("box", "blob"), share=FEW, drift=0.9),
    "mini-parachute": Theme(objects=("blob",), turn=2.0, growth=1.5),
}
