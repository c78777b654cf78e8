"""Any dataset of videos, by a description: where frames and masks are, how names map, which frames have truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from harness.config import Config
from harness.datasets.files import FRAME_ENDINGS, describe, exists, read_names
from harness.datasets.layouts.base import Reader, first_ids
from harness.datasets.meta import Meta, categories, is_held_out, read_meta
from harness.datasets.order import in_order
from harness.datasets.palette import VOID
from harness.datasets.patterns import check_pattern, fill, find, fixed_part, names_of
from harness.datasets.pixels import read_mask
from harness.datasets.sequence import Sequence
from harness.errors import DataError

MASKS = (".png", ".bmp")
TRUTH = ("all", "some")


def _pattern(*required: str, more: tuple[str, ...] = (), endings: tuple[str, ...] = ()) -> AfterValidator:
    def check(text: str) -> str:
        return check_pattern(text, required, (*required, *more, "split"), endings) if text else text

    return AfterValidator(check)


class Description(Config):
    """Patterns of the files of a dataset. All paths are relative to its folder; `{split}` stands for the split."""

    frames: Annotated[str, _pattern("sequence", "frame", endings=FRAME_ENDINGS)] = ""
    """Pattern of the frames, such as `JPEGImages/{sequence}/{frame}.jpg`."""

    masks: Annotated[str, _pattern("sequence", "frame", more=("object",), endings=MASKS)] = ""
    """Pattern of the masks; with `{object}`, each object has a file of its own, whose pixels other than 0 it covers.
    Values of `{frame}` are those of the frames, or the same numbers."""

    sequences: Annotated[str, _pattern()] = ""
    """A list of the split's sequences, one name per line. Without it, all that there are."""

    truth: Annotated[str, _pattern(more=("sequence",))] = "some"
    """Which frames have truth: `all` (a mask that is missing is an error), `some` (those that have a mask), or the path
    of a list with one frame per line (`{sequence}` stands for the sequence)."""

    late_objects: bool = False
    """Whether objects may appear after the first mask. Without it, an id that the first mask lacks is an error."""

    values: Literal["ids", "binary"] = "ids"
    """`ids`: values are object ids, and 255 is void. `binary`: one object, any value but 0, so 255 too."""

    objects: Annotated[str, _pattern()] = ""
    """A JSON file of the objects of each video, with their categories, as YouTube-VOS has it."""

    seen: Annotated[str, _pattern()] = ""
    """A file like `objects` whose categories are `seen`; all others are `unseen`."""

    unseen: tuple[str, ...] = ()
    """Sequences whose objects are of unseen categories, if no file says it; those of the others are seen."""

    @model_validator(mode="after")
    def _require_both(self) -> Description:
        if bool(self.frames) != bool(self.masks):
            raise ValueError("frames and masks go together: each is the pattern of a path")
        if self.values == "binary" and (self.late_objects or "{object}" in self.masks):
            raise ValueError(
                "values: binary is for masks of one object: neither late_objects nor {object} goes with it"
            )
        if self.seen and not self.objects:
            raise ValueError("seen needs objects, the file that names the categories")
        if self.objects and "{object}" in self.masks:
            raise ValueError("objects does not go with {object}: whose number it is would not be certain")
        return self

    def place(self, split: str) -> str:
        """Return the folder or list, relative to the dataset's folder, that shows that the split is there."""
        values = {"split": split}
        return fill(self.sequences, values) if self.sequences else fixed_part(self.masks, values)


def described(description: Description, folder: Path, split: str, held_out: bool | None) -> Mapping[str, Reader]:
    """Map sequence names to readers. `held_out`: only the sequences that are held out (True), or only the others.

    What takes more than the first masks is found by harness.datasets.late. Raises DataError for a damaged split."""
    values = {"split": split}
    meta = read_meta(folder / fill(description.objects, values), folder) if description.objects else None
    if description.sequences:
        names = read_names(folder / fill(description.sequences, values), folder)
    else:
        both = [names_of(folder, one, "sequence", values, folder) for one in (description.masks, description.frames)]
        names = sorted({*both[0], *both[1]})
    if not names:
        raise DataError(f"{folder}: no file {fill(description.masks, values)}, {describe(folder)} found; correct it")
    if held_out is not None:
        names = [name for name in names if is_held_out(name, (meta or {}).get(name, {}).values()) == held_out]
        if not names:
            raise DataError(
                f"{folder}: no sequence of {split!r} is {'held out' if held_out else 'left'}; too few for it"
            )
    seen = _seen(description, folder, values, meta, held_out)
    videos = (_Video(description=description, folder=folder, values={**values, "sequence": name}) for name in names)
    return {video.name: partial(_read, video, meta, seen) for video in videos}


def _seen(
    description: Description, folder: Path, values: Mapping[str, str], meta: Meta | None, held_out: bool | None
) -> frozenset[str] | None:
    """Return the categories that are trained on; None if nothing says which they are."""
    if not description.seen or meta is None:
        return None
    if held_out is not None:
        return categories({name: one for name, one in meta.items() if not is_held_out(name, one.values())})
    path = folder / fill(description.seen, values)
    return categories(read_meta(path, folder)) if exists(path) else None  # the part to train on may be elsewhere


@dataclass(frozen=True, kw_only=True)
class _Video:
    """The files of one sequence. Frames and objects are known by keys: their names, or numbers without zeros."""

    description: Description
    folder: Path
    values: Mapping[str, str]
    """Values of `{split}` and `{sequence}`."""

    @property
    def name(self) -> str:
        return self.values["sequence"]

    @property
    def place(self) -> Path:
        """The folder of the masks."""
        return self.folder / fixed_part(self.description.masks, self.values)

    def frames(self) -> dict[str, Path]:
        """Return key → frame, in time order."""
        place = self.folder / fixed_part(self.description.frames, self.values)
        found: dict[str, Path] = {}
        for values, path in find(self.folder, self.description.frames, self.values, self.folder):
            name = values["frame"]
            if name in found:
                raise DataError(f"{path}: {found[name].name} exists too, one file per frame expected; remove one")
            found[name] = path
        if not found:
            raise DataError(
                f"{place}: no frame {fill(self.description.frames, self.values)} found, but {describe(place)}; restore "
                "the frames, or correct the pattern"
            )
        return {_key(name): found[name] for name in in_order(found, place)}

    def masks(self) -> dict[str, dict[str, Path]]:
        """Return key of the frame → key of the object → file; the object's key is empty if a file has all objects."""
        found: dict[str, dict[str, Path]] = {}
        for values, path in find(self.folder, self.description.masks, self.values, self.folder):
            files = found.setdefault(_key(values["frame"]), {})
            if (other := files.get(key := values.get("object", ""))) is not None:
                raise DataError(f"{path}: {other.name} exists too, one mask per frame expected; remove one")
            files[key] = path
        if not found:
            raise DataError(
                f"{self.place}: no mask {fill(self.description.masks, self.values)} found, but {describe(self.place)}; "
                "restore the masks, correct the pattern, or list the sequences that have truth"
            )
        return found

    def missing(self, frame: str, key: str) -> Path:
        """Return where the mask of a frame would be."""
        return self.folder / fill(self.description.masks, {**self.values, "frame": frame, "object": key})

    def listed(self) -> list[str] | None:
        """Return the keys of the frames with truth; None if no list says it."""
        if self.description.truth in TRUTH:
            return None
        return [_key(name) for name in read_names(self.folder / fill(self.description.truth, self.values), self.folder)]


def _read(video: _Video, meta: Meta | None, seen: frozenset[str] | None) -> Sequence:
    """Read one sequence from its first mask on: no method could know of an object before it."""
    description, frames, masks = video.description, video.frames(), video.masks()
    for key, files in masks.items():
        if key not in frames:
            raise DataError(
                f"{next(iter(files.values()))}: no frame of this name; restore the frame or remove the mask"
            )
    wanted = {*(masks if (listed := video.listed()) is None else listed)}
    if unknown := sorted(wanted - masks.keys()):
        path = video.folder / fill(description.truth, video.values)
        raise DataError(f"{path}: {unknown[0]!r} is listed, but has no mask; restore it, or correct the list")
    if description.truth == "all":
        wanted = {*frames}
    announced = _announced(video, meta, masks)
    objects = in_order({name for files in masks.values() for name in files}, video.place)
    if len(objects) >= VOID:
        raise DataError(f"{video.place}: {len(objects)} objects found, {VOID - 1} at most expected; split the sequence")
    order = [*frames]
    order = order[next(number for number, key in enumerate(order) if key in wanted) :]

    def mask(key: str) -> Path | tuple[Path | None, ...] | None:
        if key not in wanted:
            return None
        files, is_whole = masks.get(key, {}), description.truth == "all"
        paths = tuple(files.get(one) or (video.missing(frames[key].stem, one) if is_whole else None) for one in objects)
        return paths if "{object}" in description.masks else paths[0]

    truth = tuple(mask(key) for key in order)
    return Sequence(
        name=video.name,
        frames=tuple(frames[key] for key in order),
        masks=truth,
        object_ids=tuple(announced) if announced else _objects(video, truth[0], objects),
        categories=tuple("seen" if one in seen else "unseen" for one in announced.values()) if seen is not None else (),
        binary=description.values == "binary",
    )


def _objects(video: _Video, first: Path | tuple[Path | None, ...] | None, objects: list[str]) -> tuple[int, ...]:
    """Return the ids in the first mask; none if objects may appear later. Raises DataError for one that it lacks."""
    if video.description.late_objects or not first:
        return ()
    if isinstance(first, Path):
        return (1,) if video.description.values == "binary" else first_ids(first)
    for name, path in zip(objects, first, strict=True):
        if path is None or not read_mask(path).any():
            raise DataError(
                f"{path or video.place / name}: the first mask lacks object {name}; restore its mask, or allow objects "
                "that appear later with late_objects: true"
            )
    return tuple(range(1, len(objects) + 1))


def _announced(video: _Video, meta: Meta | None, masks: Mapping[str, Mapping[str, Path]]) -> Mapping[int, str]:
    """Return object id → category, as the file of the objects says it, ascending; empty without such a file."""
    if meta is None:
        return {}
    path = video.folder / fill(video.description.objects, video.values)
    if not (objects := meta.get(video.name)):
        raise DataError(f"{path}: no object of {video.name} in it; download it again")
    for number, one in objects.items():
        if one.first and _key(one.first) not in masks:
            raise DataError(
                f"{video.missing(one.first, '')}: the first mask of object {number} is missing, although {path.name} "
                "says that the object appears there; restore it from the dataset"
            )
    return {number: objects[number].category for number in sorted(objects)}


def _key(name: str) -> str:
    return str(int(name)) if name.isascii() and name.isdigit() else name
