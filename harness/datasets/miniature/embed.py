"""The miniature's videos and stills, written in the datasets' official layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets.miniature.direct import Film, Theme, direct, direct_still
from harness.datasets.miniature.scene import Scene, render
from harness.datasets.miniature.shapes import KINDS
from harness.datasets.writers import make_folders, publish, write_frame, write_grey, write_ids, write_list

MARKER = "EMBEDDED.txt"
STILLS = 72
STILL_SIZES = ((160, 96), (144, 112), (120, 120))
VOID = 255
FILM = Film()
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


def embed(out: Path, seed: int) -> Path:
    """Writes the miniature of DAVIS 2016, DAVIS 2017 and PASCAL VOC into the new folder `out`, and returns it.

    The same bytes for the same seed. Made beside `out` and renamed, so it is there whole or not at all; where `out` is
    already a miniature of the same seed (another process may have been first), it is left as it is. Raises StoreError
    if `out` holds something else or cannot be written."""
    text = f"Rendered by harness.datasets from seed {seed}: no benchmark, its scores compare with no published ones.\n"
    return publish(out, MARKER, text, lambda work: _write_all(work, seed))


def _write_all(work: Path, seed: int) -> None:
    for split, themes in DAVIS16.items():
        scenes = {name: direct(theme, FILM, f"{seed}/davis16/{name}") for name, theme in themes.items()}
        _write_davis16(work / "DAVIS2016", split, scenes)
    for split, themes in DAVIS17.items():
        scenes = {name: direct(theme, FILM, f"{seed}/davis17/{name}") for name, theme in themes.items()}
        _write_davis17(work / "DAVIS2017", split, scenes)
    stills = {
        f"2007_{number:06d}": direct_still(*STILL_SIZES[number % 3], f"{seed}/voc/{number}") for number in range(STILLS)
    }
    _write_voc(work / "VOCdevkit/VOC2012", stills)


def _write_davis16(folder: Path, split: str, scenes: Mapping[str, Scene]) -> None:
    lines = []
    for name, scene in scenes.items():
        frames, masks = make_folders(folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name)
        for index in range(scene.frames):
            image, ids = render(scene, index)
            write_frame(frames / f"{index:05d}.jpg", image)
            write_grey(masks / f"{index:05d}.png", ids > 0)
            lines.append(f"/JPEGImages/480p/{name}/{index:05d}.jpg /Annotations/480p/{name}/{index:05d}.png ")
    write_list(folder / f"ImageSets/480p/{split}.txt", lines)


def _write_davis17(folder: Path, split: str, scenes: Mapping[str, Scene]) -> None:
    for name, scene in scenes.items():
        frames, masks = make_folders(folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name)
        for index in range(scene.frames):
            image, ids = render(scene, index)
            write_frame(frames / f"{index:05d}.jpg", image)
            write_ids(masks / f"{index:05d}.png", ids)
    write_list(folder / f"ImageSets/2017/{split}.txt", scenes)


def _write_voc(folder: Path, scenes: Mapping[str, Scene]) -> None:
    """The class of an instance is the kind of its shape; every sixth image is of val."""
    frames, objects, classes = make_folders(
        folder / "JPEGImages", folder / "SegmentationObject", folder / "SegmentationClass"
    )
    for name, scene in scenes.items():
        image, ids = render(scene, 0)
        border = _borders(ids)
        kinds = np.zeros(256, np.uint8)
        for actor in scene.actors:
            if actor.object_id:
                kinds[actor.object_id] = 1 + KINDS.index(actor.shape.kind)
        write_frame(frames / f"{name}.jpg", image)
        write_ids(objects / f"{name}.png", np.where(border, VOID, ids).astype(np.uint8))
        write_ids(classes / f"{name}.png", np.where(border, VOID, kinds[ids]).astype(np.uint8))
    val = [name for number, name in enumerate(scenes) if number % 6 == 5]
    write_list(folder / "ImageSets/Segmentation/train.txt", [name for name in scenes if name not in val])
    write_list(folder / "ImageSets/Segmentation/val.txt", val)
    write_list(folder / "ImageSets/Segmentation/trainval.txt", scenes)


def _borders(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The rim of every instance, one pixel to each side, which VOC leaves void."""
    kernel = np.ones((3, 3), np.uint8)
    rim = np.zeros(ids.shape, bool)
    for value in np.unique(ids[ids > 0]):
        mask = (ids == value).astype(np.uint8)
        rim |= cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
    return rim
