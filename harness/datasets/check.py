"""Checks of sequences before anything is trained on them: every defect with its file and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from harness.datasets.facts import file_facts
from harness.datasets.files import read_file
from harness.datasets.mixture import ADVICE, are_ids, ids_in_binary
from harness.datasets.palette import VOID
from harness.datasets.pixels import DAMAGE, MASK_FORMATS, MATLAB, read_mask
from harness.datasets.png import is_short
from harness.datasets.sequence import Sequence
from harness.errors import DataError

MAX_PIXELS = 80_000_000
"""Larger images are rejected before they are decoded: a damaged header can ask for any amount of memory."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A finding of a check."""

    severity: Literal["error", "note"]
    """An error must be fixed before the sequence is used; a note is an oddity that is read as intended."""

    sequence: str
    message: str
    """Which file, what was found, what is expected, what to do."""


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What the decoded pixels of one file show."""

    width: int = 0
    height: int = 0
    mode: str = ""
    values: Collection[int] = ()
    """Stored values, ascending; masks only."""

    error: str = ""
    """Why the file cannot be used; everything else is empty then."""

    @property
    def size(self) -> str:
        """Width and height, such as `854×480`."""
        return f"{self.width}×{self.height}"


def check_sequences(sequences: Collection[Sequence], cache: Path | None = None) -> list[Problem]:
    """Return problems in the order of sequences and frames: every file is decoded, sizes and ids are compared.

    `cache` is the SQLite file of `content_digests`; unchanged files are not decoded again. Raises StoreError if the
    cache cannot be used, and no DataError."""
    return check_files(sequences, cache)[0]


def check_files(
    sequences: Collection[Sequence], cache: Path | None, done: Callable[[], object] = lambda: None
) -> tuple[list[Problem], dict[Path, ImageFacts]]:
    """Return the problems that `check_sequences` finds, and what the file of each frame holds; uses all cores.

    `done` is called once per file."""
    # The number is a version: raise it when the facts change.
    frames = _facts("frame 2", _decode_frame, (path for one in sequences for path in one.frames), cache, done)
    truth = mask_facts(sequences, cache, done)
    return [problem for one in sequences for problem in _check(one, frames, truth)], frames


def mask_facts(
    sequences: Collection[Sequence], cache: Path | None, done: Callable[[], object] = lambda: None
) -> dict[Path, ImageFacts]:
    """Return what the file of each mask holds, from the cache of `check_sequences`; uses all cores.

    `done` is called once per file. Raises StoreError if the cache cannot be used."""
    truth: dict[Path, ImageFacts] = {}
    for threshold in sorted({one.threshold for one in sequences}):
        paths = (path for one in sequences if one.threshold == threshold for path in one.mask_files)
        # The number is a version: raise it when the facts change.
        truth |= _facts(f"mask 3 {threshold}", partial(_decode_mask, threshold or None), paths, cache, done)
    return truth


def require_sound(problems: Iterable[Problem]) -> None:
    """Raise one DataError that lists all errors, if there are any."""
    errors = dict.fromkeys(problem.message for problem in problems if problem.severity == "error")
    if errors:
        raise DataError("\n".join(errors))


def _check(sequence: Sequence, frames: Mapping[Path, ImageFacts], truth: Mapping[Path, ImageFacts]) -> list[Problem]:
    messages: list[str] = []
    first: tuple[Path, ImageFacts] | None = None
    for path in dict.fromkeys(sequence.frames):
        frame = frames[path]
        if frame.error:
            messages.append(frame.error)
        elif first is None:
            first = (path, frame)
        elif frame.size != first[1].size:
            messages.append(
                f"{path}: a frame of {frame.size}, but {first[0].name} is {first[1].size}; all frames of a video have "
                "one size, download the file again"
            )
    masks, allowed = sequence.mask_files, {0, VOID, *sequence.object_ids}
    layered = any(isinstance(mask, tuple) for mask in sequence.masks)
    for path in masks:
        mask = truth[path]
        if mask.error:
            messages.append(mask.error)
        elif first and mask.size != first[1].size:
            messages.append(
                f"{path}: a mask of {mask.size}, but the frame {first[0]} is {first[1].size}; download both files again"
            )
        elif sequence.binary and not sequence.threshold and are_ids(mask.values):
            messages.append(ids_in_binary(path, mask.values))
        elif sequence.values == "ids" and not layered and (extra := {*mask.values} - allowed):
            messages.append(
                f"{path}: object ids {_listed(sorted(extra))}, which the first mask lacks (it has "
                f"{_listed(sequence.object_ids)}); it must show all objects, download the file again; "
                "in a dataset of your own, late_objects: true allows later ones"
            )
    values = {value for path in masks for value in truth[path].values}
    if sequence.values == "ids" and not layered and values - {0} == {VOID}:
        messages.append(
            f"{masks[0]}: 255 is the only value of this sequence but 0, and it is void, object ids 1, 2, … expected; "
            f"{ADVICE}"
        )
    problems = [Problem(severity="error", sequence=sequence.name, message=message) for message in messages]
    notes = []
    alpha = [path for path in masks if truth[path].mode in {"LA", "RGBA"}]
    if alpha:
        notes.append(f"{alpha[0]}: {_count(alpha, masks)} an alpha channel, which is ignored")
    empty = [path for path in masks if not truth[path].error and not any(truth[path].values)]
    if empty and not layered:
        notes.append(f"{empty[0]}: {_count(empty, masks)} no object in sight")
    return problems + [Problem(severity="note", sequence=sequence.name, message=note) for note in notes]


def _facts(
    kind: str,
    decode: Callable[[Path], ImageFacts],
    paths: Iterable[Path],
    cache: Path | None,
    done: Callable[[], object],
) -> dict[Path, ImageFacts]:
    compute = partial(_image_facts, kind.split(maxsplit=1)[0], decode)
    # A missing permission leaves no trace in the time stamp.
    texts = file_facts(kind, paths, cache, compute, done, lambda text: not json.loads(text)["error"])
    return {path: ImageFacts(**json.loads(text)) for path, text in texts.items()}


def _image_facts(kind: str, decode: Callable[[Path], ImageFacts], path: Path) -> str:
    try:
        facts = decode(path)
    except DataError as error:
        facts = ImageFacts(error=str(error))
    except FileNotFoundError:
        facts = ImageFacts(error=f"{path}: {kind} missing; restore it from the dataset")
    except DAMAGE as error:
        noun = "image" if kind == "frame" else "mask"
        facts = ImageFacts(error=f"{path}: not a readable {noun} ({error}); download the file again")
    return json.dumps(asdict(facts))


def _decode_frame(path: Path) -> ImageFacts:
    content = read_file(path)
    with Image.open(BytesIO(content), formats=MASK_FORMATS) as image:
        _require_plausible_size(path, image)
        image.load()
        if is_short(content):
            raise DataError(f"{path}: not a readable image (its pixels end early); download the file again")
        return ImageFacts(width=image.width, height=image.height, mode=image.mode)


def _decode_mask(jpeg_threshold: int | None, path: Path) -> ImageFacts:
    mode = ""
    if path.suffix != MATLAB:
        with Image.open(BytesIO(read_file(path)), formats=MASK_FORMATS) as image:
            _require_plausible_size(path, image)
            mode = image.mode
    ids = read_mask(path, jpeg_threshold)
    values = np.flatnonzero(np.bincount(ids.ravel())).tolist()
    return ImageFacts(width=ids.shape[1], height=ids.shape[0], mode=mode, values=values)


def _require_plausible_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{path}: {image.width}×{image.height} in its header; damaged, download the file again")


def _count(paths: list[Path], masks: list[Path]) -> str:
    if len(paths) == 1:
        return "this mask has"
    return f"this and {len(paths) - 1} more of the {len(masks)} masks have"


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids)) or "none"
