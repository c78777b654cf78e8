"""A multi-object benchmark derived from DAVIS 2016: objects are cut out and pasted into other sequences."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets.catalog import load_training_sets
from harness.datasets.generated import write_generated
from harness.datasets.layouts import write_davis17
from harness.datasets.locate import locate
from harness.datasets.protocol import Dataset, TrainingSet
from harness.datasets.sequence import Sequence
from harness.errors import DataError
from harness.hardware import cores

ATTEMPTS = 1000
"""Attempts to place a number of objects before one fewer is tried."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """Path of an object through its sequence: its box in each frame, in pixels."""

    sequence: Sequence
    height: int
    width: int
    boxes: tuple[Box | None, ...]
    """None where the mask is empty."""

    area: float
    """Area of the first mask."""

    pastable: bool
    """Whether the frame's edge cuts the object off in a tenth of the frames at most, and its area never quadruples."""


@dataclass(frozen=True, kw_only=True)
class Pasted:
    """How an object is pasted into another sequence: its center begins at `start` and moves by `step` per frame."""

    track: Track
    scale: float
    flip: bool
    start: tuple[float, float]
    step: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A sequence with pasted objects: object 1 is its own, the pasted ones follow."""

    base: Track
    pasted: tuple[Pasted, ...]
    order: tuple[int, ...]
    """Object ids from back to front."""


def compose(root: Path, out: Path, seed: int, done: Callable[[str], object] = lambda name: None) -> Path:
    """Write a benchmark in the layout of DAVIS 2017 into the new folder `out`, from the DAVIS 2016 under `root`.

    Its sequences have two to four objects that cross and occlude; train is made from train only, val from val only. The
    same seed and source give the same bytes. `done` is called with the name of each finished sequence. Raises DataError
    for damaged sources, StoreError if `out` holds something else or cannot be written."""
    training = load_training_sets()["davis16-train"]
    sources = {split: read_tracks(training.dataset, split, root) for split in ("train", "val")}
    text = (
        f"Derived from DAVIS 2016 by harness.datasets with seed {seed}: objects pasted into other sequences. Not DAVIS "
        "2017; its scores compare with no published ones. DAVIS: CC BY-NC 4.0, not to be passed on.\n"
    )

    def write(draft: Path) -> None:
        for split, tracks in sources.items():
            planned = [plan_composition(track, tracks, f"{seed}/{track.sequence.name}") for track in tracks]
            videos = {
                one.base.sequence.name: map(partial(render_frame, one), range(len(one.base.boxes))) for one in planned
            }
            write_davis17(draft / "DAVIS2017", split, videos, quality=85, done=done)

    return write_generated(out, "derived", text, write)


def plan_composition(base: Track, tracks: list[Track], seed: str) -> Composition:
    """Choose what is pasted into a sequence, and where.

    All objects are in sight at the start, and each pasted one moves on a line through the base's own object. Raises
    DataError if nothing fits."""
    others = [track for track in tracks if track is not base and track.pastable]
    for number in range(min(Random(seed).choice((1, 2, 2, 3)), len(others)), 0, -1):
        for attempt in range(ATTEMPTS):
            random = Random(f"{seed}/{number}/{attempt}")
            pasted = tuple(_paste(track, base, random) for track in random.sample(others, number))
            order = list(range(1, number + 2))
            random.shuffle(order)
            composition = Composition(base=base, pasted=pasted, order=tuple(order))
            if _ends_inside(composition) and _starts_visibly(composition):
                return composition
    raise DataError(f"{base.sequence.name}: no object of another sequence could be pasted into it; check the masks")


def render_frame(composition: Composition, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return RGB and object ids of a frame. Raises DataError naming a file that cannot be read."""
    base = composition.base
    own = base.sequence.mask(index) == 1
    original = base.sequence.frame(index).astype(np.float32)
    image, ids = original.copy(), np.zeros(own.shape, np.uint8)
    for object_id in composition.order:
        if object_id == 1:
            image[own] = original[own]
            ids[own] = 1
        elif (piece := _piece(composition.pasted[object_id - 2], index, own.shape)) is not None:
            box, coverage, colors = piece
            image[box] += coverage[..., None] * (colors - image[box])
            ids[box][coverage > 0.5] = object_id
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), ids


def read_tracks(dataset: Dataset, split: str, root: Path) -> list[Track]:
    """Return the tracks of a split whose sequences have one object each. Raises DataError naming a damaged file."""
    entry = TrainingSet(name=split, title=f"{dataset.title} {split}", dataset=dataset, split=split)
    sequences = [read() for read in locate(root, entry).readers().values()]
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(_track, sequences))


def _track(sequence: Sequence) -> Track:
    boxes: list[Box | None] = []
    areas, cut = [], 0
    height, width = sequence.mask(0).shape
    for index in range(len(sequence)):
        mask = sequence.mask(index)
        areas.append(float(mask.sum()))
        left, top, across, down = cv2.boundingRect(mask)
        boxes.append((left, top, left + across, top + down) if areas[-1] else None)
        cut += bool(areas[-1]) and (left == 0 or top == 0 or left + across == width or top + down == height)
    if boxes[0] is None:
        raise DataError(f"{sequence.masks[0]}: the first mask is empty; restore it from the dataset")
    pastable = cut / len(boxes) <= 0.1 and max(areas) <= 4 * areas[0]
    return Track(sequence=sequence, height=height, width=width, boxes=tuple(boxes), area=areas[0], pastable=pastable)


def _paste(track: Track, base: Track, random: Random) -> Pasted:
    scale = (random.uniform(0.025, 0.09) * base.height * base.width / track.area) ** 0.5
    length = len(base.boxes)
    meeting = max(1, round(random.uniform(0.4, 0.65) * length))
    left, top, right, bottom = base.boxes[min(meeting, length - 1)] or (0, 0, base.width, base.height)
    x, y = (left + right) / 2, (top + bottom) / 2
    start = (random.uniform(0.1, 0.9) * base.width, random.uniform(0.3, 0.75) * base.height)
    return Pasted(
        track=track,
        scale=scale,
        flip=random.random() < 0.5,
        start=start,
        step=((x - start[0]) / meeting, (y - start[1]) / meeting),
    )


def _starts_visibly(composition: Composition) -> bool:
    """Return whether each object shows at least 70 % of its area in the first frame."""
    _, ids = render_frame(composition, 0)
    areas = [composition.base.area, *(int(one.track.area * one.scale**2) for one in composition.pasted)]
    return all((ids == object_id).sum() >= 0.7 * area for object_id, area in enumerate(areas, start=1))


def _ends_inside(composition: Composition) -> bool:
    """Return whether the centers of all pasted objects are inside the last frame."""
    base = composition.base
    for pasted in composition.pasted:
        x, y = (pasted.start[axis] + pasted.step[axis] * (len(base.boxes) - 1) for axis in (0, 1))
        if not (0 <= x < base.width and 0.15 * base.height <= y < 0.9 * base.height):
            return False
    return True


def _piece(
    pasted: Pasted, index: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], NDArray[np.float32], NDArray[np.float32]] | None:
    """Return box in the frame, coverage 0..1 and colors of the object there; None if it is not in sight."""
    track = pasted.track
    period = max(2 * (len(track.boxes) - 1), 1)  # a shorter video plays forwards, backwards, forwards again
    source = min(index % period, period - index % period)
    box = track.boxes[source]
    if box is None:
        return None
    left, top, right, bottom = box
    width, height = (max(1, round(pasted.scale * extent)) for extent in (right - left, bottom - top))
    x, y = (round(pasted.start[axis] + pasted.step[axis] * index) for axis in (0, 1))
    x, y = x - width // 2, y - height // 2
    inside = slice(max(y, 0), min(y + height, shape[0])), slice(max(x, 0), min(x + width, shape[1]))
    if inside[0].start >= inside[0].stop or inside[1].start >= inside[1].stop:
        return None
    method = cv2.INTER_AREA if pasted.scale < 1 else cv2.INTER_LINEAR
    images = (track.sequence.mask(source), track.sequence.frame(source))
    crops = (image[top:bottom, left:right].astype(np.float32) for image in images)
    coverage, colors = (np.asarray(cv2.resize(i, (width, height), interpolation=method), np.float32) for i in crops)
    if pasted.flip:
        coverage, colors = coverage[:, ::-1], colors[:, ::-1]
    part = slice(inside[0].start - y, inside[0].stop - y), slice(inside[1].start - x, inside[1].stop - x)
    return inside, coverage[part], colors[part]
