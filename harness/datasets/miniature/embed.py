"""The miniature's videos and stills, written in the datasets' official layouts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.datasets.miniature.direct import Film, Theme, direct, direct_still
from harness.datasets.miniature.scene import Scene, render
from harness.datasets.miniature.shapes import KINDS
from harness.datasets.pixels import davis_palette
from harness.errors import StoreError

MARKER = "EMBEDDED.txt"
JPEG_QUALITY = 92
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
    text = _marker_text(seed)
    if _is_embedded(out, text):
        return out
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StoreError(f"{out}: holds something else than the miniature of seed {seed}; give a new or empty folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            _write_all(work, seed)
            (work / MARKER).write_text(text, "utf-8")
            work.chmod(0o755)  # mkdtemp keeps others out
            os.rename(work, out)
        except OSError:
            if not _is_embedded(out, text):
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)  # gone already where the rename succeeded
    except OSError as error:
        raise StoreError(
            f"{out}: the miniature cannot be written there ({error.strerror}); give a new or empty folder"
        ) from None
    return out


def _marker_text(seed: int) -> str:
    return f"Rendered by harness.datasets from seed {seed}: no benchmark, its scores compare with no published ones.\n"


def _is_embedded(out: Path, text: str) -> bool:
    try:
        return (out / MARKER).read_text("utf-8") == text
    except OSError:
        return False


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
        frames, masks = _folders(folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name)
        for index in range(scene.frames):
            image, ids = render(scene, index)
            _write_frame(frames / f"{index:05d}.jpg", image)
            Image.fromarray(255 * (ids > 0).astype(np.uint8)).save(masks / f"{index:05d}.png")
            lines.append(f"/JPEGImages/480p/{name}/{index:05d}.jpg /Annotations/480p/{name}/{index:05d}.png ")
    _write_list(folder / f"ImageSets/480p/{split}.txt", lines)


def _write_davis17(folder: Path, split: str, scenes: Mapping[str, Scene]) -> None:
    for name, scene in scenes.items():
        frames, masks = _folders(folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name)
        for index in range(scene.frames):
            image, ids = render(scene, index)
            _write_frame(frames / f"{index:05d}.jpg", image)
            _write_ids(masks / f"{index:05d}.png", ids)
    _write_list(folder / f"ImageSets/2017/{split}.txt", scenes)


def _write_voc(folder: Path, scenes: Mapping[str, Scene]) -> None:
    """The class of an instance is the kind of its shape; every sixth image is of val."""
    frames, objects, classes = _folders(
        folder / "JPEGImages", folder / "SegmentationObject", folder / "SegmentationClass"
    )
    for name, scene in scenes.items():
        image, ids = render(scene, 0)
        border = _borders(ids)
        kinds = np.zeros(256, np.uint8)
        for actor in scene.actors:
            if actor.object_id:
                kinds[actor.object_id] = 1 + KINDS.index(actor.shape.kind)
        _write_frame(frames / f"{name}.jpg", image)
        _write_ids(objects / f"{name}.png", np.where(border, VOID, ids).astype(np.uint8))
        _write_ids(classes / f"{name}.png", np.where(border, VOID, kinds[ids]).astype(np.uint8))
    val = [name for number, name in enumerate(scenes) if number % 6 == 5]
    _write_list(folder / "ImageSets/Segmentation/train.txt", [name for name in scenes if name not in val])
    _write_list(folder / "ImageSets/Segmentation/val.txt", val)
    _write_list(folder / "ImageSets/Segmentation/trainval.txt", scenes)


def _borders(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The rim of every instance, one pixel to each side, which VOC leaves void."""
    kernel = np.ones((3, 3), np.uint8)
    rim = np.zeros(ids.shape, bool)
    for value in np.unique(ids[ids > 0]):
        mask = (ids == value).astype(np.uint8)
        rim |= cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
    return rim


def _write_frame(path: Path, image: NDArray[np.uint8]) -> None:
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise OSError(0, f"JPEG of {path.name} could not be encoded")
    path.write_bytes(encoded.tobytes())


def _write_ids(path: Path, ids: NDArray[np.uint8]) -> None:
    image = Image.fromarray(ids)
    image.putpalette(_palette())
    image.save(path)


@cache
def _palette() -> bytes:
    return bytes(davis_palette())


def _write_list(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _folders(*folders: Path) -> tuple[Path, ...]:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders
