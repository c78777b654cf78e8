"""The miniature's videos and stills, written in the datasets' official layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets.miniature.scenario import direct, direct_still
from harness.datasets.miniature.scene import Scene, render
from harness.datasets.miniature.shapes import KINDS
from harness.datasets.miniature.themes import (
    DAVIS16,
    DAVIS17,
    FILM,
    SEGTRACK,
    SPARSE_FILM,
    TEST_DEV,
    YOUTUBE_OBJECTS,
)
from harness.datasets.pixels import write_mask
from harness.datasets.writers import make_folders, publish, write_frame, write_grey, write_list

MARKER = "EMBEDDED.txt"
STILLS = 72
STILL_SIZES = ((160, 96), (144, 112), (120, 120))
VOID = 255


def embed(out: Path, seed: int) -> Path:
    """Writes the miniature of all datasets into the new folder `out`, and returns it.

    The same bytes for the same seed. It is there whole or not at all; where `out` is already the miniature of that
    seed, it is left as it is. Raises StoreError if `out` holds something else or cannot be written."""
    text = f"Rendered by harness.datasets from seed {seed}: no benchmark, its scores compare with no published ones.\n"
    return publish(out, MARKER, text, lambda work: _write_all(work, seed))


def _write_all(work: Path, seed: int) -> None:
    for split, themes in DAVIS16.items():
        scenes = {name: direct(theme, FILM, f"{seed}/davis16/{name}") for name, theme in themes.items()}
        _write_davis16(work / "DAVIS2016", split, scenes)
    for split, themes in DAVIS17.items():
        scenes = {name: direct(theme, FILM, f"{seed}/davis17/{name}") for name, theme in themes.items()}
        _write_davis17(work / "DAVIS2017", split, scenes)
    kept_back = {name: direct(theme, FILM, f"{seed}/davis17/{name}") for name, theme in TEST_DEV.items()}
    _write_davis17(work / "DAVIS2017-test-dev", "test-dev", kept_back, truths=1)
    shots = {group: direct(theme, SPARSE_FILM, f"{seed}/youtube/{group}") for group, theme in YOUTUBE_OBJECTS.items()}
    _write_youtube_objects(work / "YouTube-Objects", shots)
    _write_segtrack(
        work / "SegTrackv2", {name: direct(theme, FILM, f"{seed}/segtrack/{name}") for name, theme in SEGTRACK.items()}
    )
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


def _write_davis17(folder: Path, split: str, scenes: Mapping[str, Scene], truths: int | None = None) -> None:
    """`truths`: masks of a video that are written, from the first; None: all."""
    for name, scene in scenes.items():
        frames, masks = make_folders(folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name)
        for index in range(scene.frames):
            image, ids = render(scene, index)
            write_frame(frames / f"{index:05d}.jpg", image)
            if truths is None or index < truths:
                write_mask(masks / f"{index:05d}.png", ids)
    write_list(folder / f"ImageSets/2017/{split}.txt", scenes)


def _write_youtube_objects(folder: Path, shots: Mapping[str, Scene]) -> None:
    """PNG frames, a JPEG label for every tenth of them."""
    for group, scene in shots.items():
        shot = folder / group / "data/0001/shots/001"
        frames, labels = make_folders(shot / "images", shot / "labels")
        for index in range(scene.frames):
            image, ids = render(scene, index)
            write_frame(frames / f"{index + 1:05d}.png", image)
            if index % 10 == 0:
                write_grey(labels / f"{index + 1:05d}.jpg", ids > 0)


def _write_segtrack(folder: Path, scenes: Mapping[str, Scene]) -> None:
    """A folder an object where there are several; png and bmp by turns, for frames and masks alike."""
    for number, (name, scene) in enumerate(scenes.items()):
        stems = [f"{name}_{index:05d}" for index in range(scene.frames)]
        frame_ending, mask_ending = (("png", "bmp"), ("bmp", "png"))[number % 2]
        for index, stem in enumerate(stems):
            image, ids = render(scene, index)
            (frames,) = make_folders(folder / "JPEGImages" / name)
            write_frame(frames / f"{stem}.{frame_ending}", image)
            for value in scene.object_ids:
                place = folder / "GroundTruth" / name
                (place,) = make_folders(place / str(value) if len(scene.object_ids) > 1 else place)
                write_grey(place / f"{stem}.{mask_ending}", ids == value)
        write_list(folder / f"ImageSets/{name}.txt", [f"{name}/", *stems])
    write_list(folder / "ImageSets/all.txt", [f"*{name}" for name in scenes])


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
        write_mask(objects / f"{name}.png", np.where(border, VOID, ids).astype(np.uint8))
        write_mask(classes / f"{name}.png", np.where(border, VOID, kinds[ids]).astype(np.uint8))
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
