"""Checks of sequences before anything is trained on them: every defect with its file and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from harness.datasets.digest import cached_facts, mask_files
from harness.datasets.files import read_file
from harness.datasets.pixels import DAMAGE, MASK_FORMATS, MATLAB, read_mask
from harness.datasets.png import is_short
from harness.datasets.sequence import Sequence
from harness.errors import DataError

MAX_PIXELS = 80_000_000
"""Larger images are refused before they are decoded: a damaged header asks for any amount of memory."""

VOID = 255


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that a check found."""

    severity: Literal["error", "note"]
    """An error must be mended before the sequence is used; a note is an oddity that is read as intended."""

    sequence: str
    message: str
    """Which file, what was found, what is expected, what to do."""


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What the decoded pixels of one file say."""

    width: int = 0
    height: int = 0
    mode: str = ""
    """As Pillow calls it."""

    values: tuple[int, ...] = ()
    """Stored values, ascending; masks only."""

    error: str = ""
    """Why the file cannot be used; all else is empty then."""

    @property
    def size(self) -> str:
        """`854×480`."""
        return f"{self.width}×{self.height}"


def check_sequences(
    sequences: Iterable[Sequence], cache: Path | None = None, done: Callable[[], object] = lambda: None
) -> list[Problem]:
    """Problems in order of sequences and frames: every file decoded, sizes and ids compared. Raises no DataError.

    `cache`: the SQLite file of `digest`; files that have not changed are not decoded again. `done` is called once a
    file that is looked at. Raises StoreError if the cache cannot be used."""
    return check_files(sequences, cache, done)[0]


def check_files(
    sequences: Iterable[Sequence], cache: Path | None = None, done: Callable[[], object] = lambda: None
) -> tuple[list[Problem], dict[Path, ImageFacts]]:
    """Problems as of check_sequences, and what the file of each frame holds. Decoded on all cores, or known before."""
    sequences = tuple(sequences)
    frames = [path for one in sequences for path in one.frames]
    masks = [path for one in sequences for path in mask_files(one)]
    found = cached_facts("frame 2", frames, cache, _frame_facts, done, _is_sound)
    facts = {path: _facts(text) for path, text in found.items()}
    found = cached_facts("mask 2", masks, cache, _mask_facts, done, _is_sound)
    truth = {path: _facts(text) for path, text in found.items()}
    return [problem for one in sequences for problem in _check(one, facts, truth)], facts


def require_sound(problems: Iterable[Problem]) -> None:
    """Raises one DataError that lists all errors, if there are any."""
    errors = dict.fromkeys(problem.message for problem in problems if problem.severity == "error")
    if errors:
        raise DataError("\n".join(errors))


def _check(sequence: Sequence, frames: dict[Path, ImageFacts], truth: dict[Path, ImageFacts]) -> list[Problem]:
    messages: list[str] = []
    first: tuple[Path, ImageFacts] | None = None
    for path in dict.fromkeys(sequence.frames):
        found = frames[path]
        if found.error:
            messages.append(found.error)
        elif first is None:
            first = (path, found)
        elif found.size != first[1].size:
            messages.append(
                f"{path}: a frame of {found.size}, but {first[0].name} is {first[1].size}; all frames of a video have "
                "one size, fetch the file again"
            )
    for mask in sequence.masks:
        for file in [mask] if isinstance(mask, Path) else mask or ():
            found = truth[file]
            if found.error:
                messages.append(found.error)
            elif first and found.size != first[1].size:
                messages.append(
                    f"{file}: a mask of {found.size}, but the frame {first[0]} is {first[1].size}; "
                    "fetch both files again"
                )
            elif extra := _extra_ids(sequence, found):
                messages.append(
                    f"{file}: object ids {_words(extra)}, which the first mask lacks (it has "
                    f"{_words(sequence.object_ids)}); all objects are given there, fetch the file again"
                )
    if sequence.masks and sequence.masks[0] and all(_is_empty(sequence, m, truth) for m in _first(sequence)):
        messages += _empty_start(sequence)
    errors = [Problem(severity="error", sequence=sequence.name, message=message) for message in messages]
    return errors + _notes(sequence, truth)


def _notes(sequence: Sequence, truth: dict[Path, ImageFacts]) -> list[Problem]:
    notes = []
    alpha = [path for path in mask_files(sequence) if truth[path].mode in {"LA", "RGBA"}]
    if alpha:
        notes.append(f"{alpha[0]}: {_count(alpha, sequence)} an alpha channel, which is ignored")
    empty = [path for path in mask_files(sequence) if _is_empty(sequence, path, truth)]
    if empty and not isinstance(sequence.masks[0], tuple):
        notes.append(f"{empty[0]}: {_count(empty, sequence)} no object in sight")
    return [Problem(severity="note", sequence=sequence.name, message=note) for note in notes]


def _empty_start(sequence: Sequence) -> list[str]:
    if not sequence.scored:
        return []  # a training sequence may begin before its object comes
    return [f"{_first(sequence)[0]}: the first mask is empty; it has to show the objects, fetch the file again"]


def _first(sequence: Sequence) -> tuple[Path, ...]:
    mask = sequence.masks[0]
    return (mask,) if isinstance(mask, Path) else mask or ()


def _is_empty(sequence: Sequence, path: Path, truth: dict[Path, ImageFacts]) -> bool:
    found = truth[path]
    return not found.error and not any(value > sequence.threshold for value in found.values)


def _extra_ids(sequence: Sequence, found: ImageFacts) -> list[int]:
    if sequence.binary or sequence.merged or isinstance(sequence.masks[0], tuple):
        return []
    return sorted(set(found.values) - {0, VOID, *sequence.object_ids})


def _frame_facts(path: Path) -> str:
    try:
        content = read_file(path)
        with Image.open(BytesIO(content), formats=MASK_FORMATS) as image:
            if error := _too_large(path, image):
                return error
            image.load()
            if is_short(content):
                return _text(ImageFacts(error=f"{path}: not a readable image (its pixels end early); fetch it again"))
            return _text(ImageFacts(width=image.width, height=image.height, mode=image.mode))
    except FileNotFoundError:
        return _text(ImageFacts(error=f"{path}: frame missing; restore it from the dataset"))
    except DAMAGE as error:
        return _text(ImageFacts(error=f"{path}: not a readable image ({error}); fetch the file again"))


def _mask_facts(path: Path) -> str:
    mode = ""
    try:
        if path.suffix != MATLAB:
            with Image.open(BytesIO(read_file(path)), formats=MASK_FORMATS) as image:
                if error := _too_large(path, image):
                    return error
                mode = image.mode
        ids = read_mask(path)
    except DataError as error:
        return _text(ImageFacts(error=str(error)))
    except FileNotFoundError:
        return _text(ImageFacts(error=f"{path}: mask missing; restore it from the dataset"))
    except DAMAGE as error:
        return _text(ImageFacts(error=f"{path}: not a readable mask ({error}); fetch the file again"))
    values = tuple(int(value) for value in np.flatnonzero(np.bincount(ids.ravel(), minlength=256)))
    return _text(ImageFacts(width=ids.shape[1], height=ids.shape[0], mode=mode, values=values))


def _too_large(path: Path, image: Image.Image) -> str:
    if image.width * image.height <= MAX_PIXELS:
        return ""
    return _text(ImageFacts(error=f"{path}: {image.width}×{image.height} in its header; damaged, fetch the file again"))


def _text(facts: ImageFacts) -> str:
    return json.dumps(asdict(facts))


def _is_sound(text: str) -> bool:
    """Defects are looked at again every time: a missing right to read leaves no trace in the time stamp."""
    return not _facts(text).error


def _facts(text: str) -> ImageFacts:
    fields = json.loads(text)
    return ImageFacts(**{**fields, "values": tuple(fields["values"])})


def _count(paths: list[Path], sequence: Sequence) -> str:
    if len(paths) == 1:
        return "this mask has"
    return f"this and {len(paths) - 1} more of the {len(mask_files(sequence))} masks have"


def _words(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids)) or "none"
