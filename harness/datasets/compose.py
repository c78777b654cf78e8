"""A multi-object benchmark derived from DAVIS 2016: objects cut out with their masks, pasted into other sequences."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.datasets.digest import cores
from harness.datasets.pixels import write_mask
from harness.datasets.protocol import Dataset, TrainingSet, list_readers, load_training_sets
from harness.datasets.sequence import Sequence
from harness.datasets.writers import make_folders, publish, write_frame, write_list
from harness.errors import DataError

MARKER = "DERIVED.txt"
MAX_CUT = 0.1
"""An object is pasted only if no more than this share of its frames shows it cut off by the frame's edge."""

MAX_GROWTH = 4.0
"""Of a pasted object's area, over that in the first frame."""

SHARE = (0.025, 0.09)
"""Of the frame, that a pasted object covers in its first frame."""

ATTEMPTS = 1000
"""To place a number of objects, before one fewer is tried."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """An object of a sequence: where it is in each frame."""

    sequence: Sequence
    height: int
    width: int
    boxes: tuple[Box | None, ...]
    """None where the mask is empty."""

    area: float
    """Of the first mask, pixels."""

    largest: float
    """Area of the largest mask, pixels."""

    cut: float
    """Share of the frames in which it reaches the frame's edge."""


@dataclass(frozen=True, kw_only=True)
class Pasted:
    """An object in another sequence."""

    track: Track
    scale: float
    flip: bool
    start: tuple[float, float]
    """Centre in the first frame, pixels."""

    step: tuple[float, float]
    """Pixels a frame."""


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A sequence with pasted objects. Object 1 is its own; the pasted ones follow."""

    base: Track
    pasted: tuple[Pasted, ...]
    order: tuple[int, ...]
    """Object ids from back to front."""


def compose(root: Path, out: Path, seed: int, done: Callable[[str], object] = lambda name: None) -> Path:
    """Writes a benchmark in the layout of DAVIS 2017 into the new folder `out`, from the DAVIS 2016 under `root`.

    Two to four objects a sequence, crossing and occluding; train from train alone, val from val alone. The same bytes
    for the same seed and source. `done` is called with the name of each finished sequence. Raises DataError for
    damaged sources, StoreError if `out` holds something else or cannot be written."""
    training = load_training_sets()["davis16-train"]
    sources = {split: _tracks(training.dataset, split, root) for split in ("train", "val")}
    text = (
        f"Derived from DAVIS 2016 by harness.datasets with seed {seed}: objects pasted into other sequences. Not DAVIS "
        "2017; its scores compare with no published ones. DAVIS: CC BY-NC 4.0, not to be passed on.\n"
    )

    def write(work: Path) -> None:
        folder = work / "DAVIS2017"
        for split, tracks in sources.items():
            planned = [plan(track, tracks, f"{seed}/{track.sequence.name}") for track in tracks]
            with ThreadPoolExecutor(cores()) as pool:
                for one, _ in zip(planned, pool.map(lambda item: _write(folder, item), planned), strict=True):
                    done(one.base.sequence.name)
            write_list(folder / f"ImageSets/2017/{split}.txt", [one.base.sequence.name for one in planned])

    return publish(out, MARKER, text, write)


def plan(base: Track, tracks: list[Track], seed: str) -> Composition:
    """What is pasted into a sequence, and where: all objects in sight at the start, each pasted one on a line through
    the base's own object. Raises DataError if nothing fits."""
    others = [track for track in tracks if track is not base and _can_be_pasted(track)]
    for number in range(min(Random(seed).choice((1, 2, 2, 3)), len(others)), 0, -1):
        for attempt in range(ATTEMPTS):
            random = Random(f"{seed}/{number}/{attempt}")
            pasted = tuple(_paste(track, base, random) for track in random.sample(others, number))
            order = list(range(1, number + 2))
            random.shuffle(order)
            composition = Composition(base=base, pasted=pasted, order=tuple(order))
            if _ends_inside(composition) and _starts_well(composition):
                return composition
    raise DataError(f"{base.sequence.name}: no object of another sequence could be pasted into it; check the masks")


def render(composition: Composition, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB and object ids of a frame. Raises DataError naming a file that cannot be read."""
    base = composition.base
    own = base.sequence.mask(index) == 1
    original = base.sequence.frame(index).astype(np.float32)
    image, ids = original.copy(), np.zeros(own.shape, np.uint8)
    for object_id in composition.order:
        if object_id == 1:
            image[own] = original[own]
            ids[own] = 1
        elif (piece := _piece(composition.pasted[object_id - 2], index, own.shape)) is not None:
            box, coverage, colours = piece
            image[box] += coverage[..., None] * (colours - image[box])
            ids[box][coverage > 0.5] = object_id
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), ids


def _tracks(dataset: Dataset, split: str, root: Path) -> list[Track]:
    entry = TrainingSet(name=split, title=f"{dataset.title} {split}", dataset=dataset, split=split)
    sequences = [read() for read in list_readers(entry, root).values()]
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(_track, sequences))


def _track(sequence: Sequence) -> Track:
    boxes: list[Box | None] = []
    cut, area, largest = 0, 0.0, 0.0
    height = width = 0
    for index in range(len(sequence)):
        mask = sequence.mask(index)
        height, width = mask.shape
        largest = max(largest, float(mask.sum()))
        area = area or largest
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not rows.size:
            boxes.append(None)
            continue
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        cut += box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height
        boxes.append(box)
    if boxes[0] is None:
        raise DataError(f"{sequence.masks[0]}: the first mask is empty; restore it from the dataset")
    return Track(
        sequence=sequence,
        height=height,
        width=width,
        boxes=tuple(boxes),
        area=area,
        largest=largest,
        cut=cut / len(boxes),
    )


def _can_be_pasted(track: Track) -> bool:
    return track.cut <= MAX_CUT and track.largest <= MAX_GROWTH * track.area


def _paste(track: Track, base: Track, random: Random) -> Pasted:
    scale = (random.uniform(*SHARE) * base.height * base.width / track.area) ** 0.5
    length = len(base.boxes)
    meeting = max(1, round(random.uniform(0.4, 0.65) * length))
    x, y = _centre(base.boxes[min(meeting, length - 1)]) or (base.width / 2, base.height / 2)
    start = (random.uniform(0.1, 0.9) * base.width, random.uniform(0.3, 0.75) * base.height)
    return Pasted(
        track=track,
        scale=scale,
        flip=random.random() < 0.5,
        start=start,
        step=((x - start[0]) / meeting, (y - start[1]) / meeting),
    )


def _starts_well(composition: Composition) -> bool:
    """All objects in the first frame for the better part of what they are alone."""
    base = composition.base
    own = base.sequence.mask(0) == 1
    ids = np.zeros(own.shape, np.uint8)
    alone = {1: int(own.sum())}
    for object_id in composition.order:
        if object_id == 1:
            ids[own] = 1
            continue
        pasted = composition.pasted[object_id - 2]
        alone[object_id] = int(pasted.track.area * pasted.scale**2)
        if (piece := _piece(pasted, 0, own.shape)) is not None:
            ids[piece[0]][piece[1] > 0.5] = object_id
    return all((ids == object_id).sum() >= 0.7 * area for object_id, area in alone.items())


def _ends_inside(composition: Composition) -> bool:
    """The centres of all pasted objects in the last frame."""
    base = composition.base
    for pasted in composition.pasted:
        x, y = (pasted.start[axis] + pasted.step[axis] * (len(base.boxes) - 1) for axis in (0, 1))
        if not (0 <= x < base.width and 0.15 * base.height <= y < 0.9 * base.height):
            return False
    return True


def _piece(
    pasted: Pasted, index: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], NDArray[np.float32], NDArray[np.float32]] | None:
    """Box in the frame, coverage 0..1 and colours of the object there; None where it is not in sight."""
    track = pasted.track
    there = _bounce(index, len(track.boxes))
    box = track.boxes[there]
    if box is None:
        return None
    left, top, right, bottom = box
    width, height = (max(1, round(pasted.scale * extent)) for extent in (right - left, bottom - top))
    x, y = (round(pasted.start[axis] + pasted.step[axis] * index) for axis in (0, 1))
    x, y = x - width // 2, y - height // 2
    inside = slice(max(y, 0), min(y + height, shape[0])), slice(max(x, 0), min(x + width, shape[1]))
    if inside[0].start >= inside[0].stop or inside[1].start >= inside[1].stop:
        return None
    mask = track.sequence.mask(there)[top:bottom, left:right].astype(np.float32)
    frame = track.sequence.frame(there)[top:bottom, left:right].astype(np.float32)
    how = cv2.INTER_AREA if pasted.scale < 1 else cv2.INTER_LINEAR
    coverage, colours = (
        np.asarray(cv2.resize(i, (width, height), interpolation=how), np.float32) for i in (mask, frame)
    )
    if pasted.flip:
        coverage, colours = coverage[:, ::-1], colours[:, ::-1]
    part = slice(inside[0].start - y, inside[0].stop - y), slice(inside[1].start - x, inside[1].stop - x)
    return inside, coverage[part], colours[part]


def _bounce(index: int, length: int) -> int:
    """Frame of a shorter video: forwards, backwards, forwards again."""
    period = max(2 * (length - 1), 1)
    place = index % period
    return place if place < length else period - place


def _centre(box: Box | None) -> tuple[float, float] | None:
    return None if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def _write(folder: Path, composition: Composition) -> None:
    name = composition.base.sequence.name
    frames, masks = make_folders(folder / "JPEGImages/480p" / name, folder / "Annotations/480p" / name)
    for index in range(len(composition.base.boxes)):
        image, ids = render(composition, index)
        write_frame(frames / f"{index:05d}.jpg", image, quality=85)
        write_mask(masks / f"{index:05d}.png", ids)
