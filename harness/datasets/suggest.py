"""A first description of a folder: which files are frames and masks, how their names map, and what is not certain."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets.files import FRAME_ENDINGS, JUNK, describe, is_folder, read_lines
from harness.datasets.meta import read_meta
from harness.datasets.order import in_order, numbering
from harness.datasets.palette import VOID
from harness.datasets.patterns import fill
from harness.datasets.pixels import read_mask
from harness.errors import DataError

LOOKED_AT = 8
"""Sequences whose masks are decoded."""

MOST_VALUES = 64
"""Most values in a mask; a gray frame has more."""

TRAINING = ("train", "training", "trainval")

Parts = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Folders:
    """Place of the sequences of one kind: folders before and after the split, and the folders of each sequence."""

    before: Parts
    after: Parts
    splits: tuple[str, ...]
    """Names of the folders between; empty if there are none."""

    sequences: Mapping[Parts, tuple[Path, ...]]
    """(Split, if there are any; sequence) → folder with its files, or a folder for each object."""

    layered: bool

    @property
    def pattern(self) -> str:
        split = ("{split}",) if self.splits else ()
        return "/".join((*self.before, *split, *self.after, "{sequence}", *(("{object}",) if self.layered else ())))


def suggest(root: Path, home: Path | None = None) -> str:
    """Return a description of the dataset in a folder as the text of a `dataset.yaml`, to be saved in `home`, or there.

    Comments say what was seen and what is not certain. Raises DataError if no folders of frames and masks are found."""
    if not is_folder(root):
        raise DataError(f"{root}: no such folder; give the folder of a dataset")
    root = root.absolute()
    leaves = _leaves(root)
    kinds = {folder: _is_mask(files[0]) for folder, files in leaves.items()}
    pictures = [folder.relative_to(root).parts for folder, is_mask in kinds.items() if not is_mask]
    truths = [folder.relative_to(root).parts for folder, is_mask in kinds.items() if is_mask]
    frames = _gather(root, pictures, ())
    masks = _gather(root, truths, {name[-1] for name in frames.sequences}) if frames else None
    common = sorted(frames.sequences.keys() & masks.sequences.keys()) if frames and masks else []
    if not frames or not masks or not common:
        raise DataError(
            f"{root}: no folders of frames and masks with the same names found, but {describe(root)}; a folder for "
            "each sequence expected, such as JPEGImages/<sequence>/00000.jpg and Annotations/<sequence>/00000.png"
        )
    names = _file_patterns(leaves, frames.sequences[common[0]][0], masks.sequences[common[0]][0])
    looked = [common[index] for index in np.linspace(0, len(common) - 1, min(LOOKED_AT, len(common))).astype(int)]
    pixels = _look(leaves, [masks.sequences[name] for name in looked], layered=masks.layered)
    annotated = {
        name: len({_stem(file) for folder in masks.sequences[name] for file in leaves[folder]}) for name in common
    }
    whole = sum(len(leaves[frames.sequences[name][0]]) for name in common)
    lists, splits = _lists(root, {name[-1] for name in frames.sequences})
    incomplete = sorted(frames.sequences.keys() ^ masks.sequences.keys())
    entries = [*splits] or list(frames.splits)
    training = [one for one in entries if one in TRAINING]
    tested = [one for one in entries if one not in TRAINING] or entries[:1] or [""]
    title = re.sub(r"[^A-Za-z0-9._-]+", "-", root.name).strip("-._")
    title = title if title[:1].isalpha() else f"videos-{title}".rstrip("-")
    trained_on = f"{title}-{training[0]}" if training else "davis17-train"
    lines = [
        "# Written by `vos-harness data describe`. Correct it where it is wrong; docs/own-data.md explains every key.",
        f"# Seen: {len(common)} sequences with {whole} frames, of which {sum(annotated.values())} have a mask.",
        *(f"# Not used: {'/'.join(name)} has frames or masks only." for name in incomplete[:5]),
        "datasets:",
        f"  {title}:",
        f"    frames: {_quoted(f'{frames.pattern}/{names[0]}')}",
        f"    masks: {_quoted(f'{masks.pattern}/{names[1]}')}",
    ]
    if lists:
        lines.append(f"    sequences: {_quoted(lists)}  # the lists of this form: {', '.join(splits)}")
    if sum(annotated.values()) == whole:
        lines.append("    truth: all  # every frame has a mask, so a mask that is missing is an error")
    else:
        lines.append("    truth: some  # frames without a mask are segmented, but not scored")
    lines += pixels.lines(len(looked), len(common))
    if meta := _meta(root, frames, layered=masks.layered):
        lines.append(f"    objects: {_quoted(meta)}  # names the objects of each video")
    if home is not None and home.absolute() != root:
        lines.append(f"    folders: [{_quoted(str(root))}]")
    if training:
        lines.append("training:")
        lines += [f"  {title}-{one}: {{dataset: {title}, split: {_quoted(one)}}}" for one in training]
    lines.append("benchmarks:")
    for one in tested:
        lines += [f"  {title}{'-' * bool(one)}{one}:", f"    dataset: {title}"]
        lines += [f"    split: {_quoted(one)}"] if one else []
        lines += ["    multi_object: true  # false: all objects of a video count as one"] if pixels.several else []
        lines += [
            "    skip_first: 1  # the first mask is given to the methods",
            *_unscored([n for name, n in annotated.items() if one in {"", name[0]} or name[-1] in splits.get(one, ())]),
            "    averaging: objects  # not certain: the mean over all objects, or over sequences",
            f"    offline: {trained_on}  # not certain: what to train on",
            "    pretraining: voc",
        ]
    return "\n".join(lines) + "\n"


def _unscored(annotated: list[int]) -> list[str]:
    """Return the key for sequences without a second mask, from their numbers of masks."""
    if max(annotated, default=0) < 2:
        return ["    scored: false  # no sequence has more than its first mask: segmented and exported only"]
    return ["    sparse: true  # a sequence with one mask only is left out"] if min(annotated) < 2 else []


def _leaves(root: Path) -> dict[Path, list[Path]]:
    """Map each folder that has images to its images, in time order."""
    found: dict[Path, list[Path]] = {}
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in JUNK and not name.startswith("."))
        images = [name for name in files if name.lower().endswith(FRAME_ENDINGS) and not name.startswith(".")]
        if images:
            found[Path(place)] = [Path(place) / name for name in sorted(images)]
    return found


def _is_mask(path: Path) -> bool:
    try:
        return len(np.unique(read_mask(path))) <= MOST_VALUES
    except DataError:
        return False


def _gather(root: Path, leaves: list[Parts], known: Collection[str]) -> _Folders | None:
    """Return the place with the most sequences. `known`: names of sequences, if they are known from the frames."""
    sequences: dict[tuple[Parts, bool], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for parts in leaves:
        if not known or parts[-1] in known:
            depth, layered = 1, False
        elif len(parts) > 1 and parts[-2] in known:
            depth, layered = 2, True
        else:
            continue
        if len(parts) >= depth:
            sequences[parts[:-depth], layered][parts[-depth]].append(root.joinpath(*parts))
    if not sequences:
        return None
    (place, layered), _ = max(sequences.items(), key=lambda item: len(item[1]))
    similar = [one for one, is_layered in sequences if is_layered == layered and len(one) == len(place)]
    differ = [number for number in range(len(place)) if len({one[number] for one in similar}) > 1]
    related = [one for one in similar if sum(a != b for a, b in zip(one, place, strict=True)) <= 1]
    for number in differ:
        group = [one for one in related if one[:number] + one[number + 1 :] == place[:number] + place[number + 1 :]]
        if len(group) > 1 and {one[number] for one in group} & {*TRAINING, "val", "valid", "validation", "test"}:
            found: dict[Parts, tuple[Path, ...]] = {
                (one[number], name): tuple(folders)
                for one in sorted(group)
                for name, folders in sequences[one, layered].items()
            }
            splits = tuple(sorted(one[number] for one in group))
            return _Folders(
                before=place[:number], after=place[number + 1 :], splits=splits, sequences=found, layered=layered
            )
    only: dict[Parts, tuple[Path, ...]] = {
        (name,): tuple(folders) for name, folders in sequences[place, layered].items()
    }
    return _Folders(before=place, after=(), splits=(), sequences=only, layered=layered)


def _file_patterns(leaves: Mapping[Path, list[Path]], frames: Path, masks: Path) -> tuple[str, str]:
    """Return the last parts of both patterns: the same names, or their numbers."""
    endings = [Counter(path.suffix for path in leaves[folder]).most_common(1)[0][0] for folder in (frames, masks)]
    stems = [[_stem(path) for path in leaves[folder]] for folder in (frames, masks)]
    numbers = [numbering(names, folder) for names, folder in zip(stems, (frames, masks), strict=True)]
    if {*stems[0]} & {*stems[1]} or None in numbers:
        return f"{{frame}}{endings[0]}", f"{{frame}}{endings[1]}"
    first, second = (
        f"{one.before}{{frame}}{one.after}{ending}" for one, ending in zip(numbers, endings, strict=True) if one
    )
    return first, second


@dataclass(frozen=True, kw_only=True)
class _Pixels:
    """What the masks of some sequences show."""

    values: frozenset[int]
    late: tuple[str, ...]
    """Sequences with an object that their first mask lacks."""

    several: bool
    layered: bool

    def lines(self, looked: int, of: int) -> list[str]:
        """Return the keys that follow from it."""
        where = f"{looked} of {of} sequences" if looked < of else "all sequences"
        if self.values - {0} == {VOID} and not self.layered:
            return ["    values: binary  # only 0 and 255 found: one object"]
        lines = []
        if self.late:
            lines.append(f"    late_objects: true  # {', '.join(self.late[:3])}: an object that the first mask lacks")
        else:
            lines.append(f"    late_objects: false  # not certain: the first masks of {where} show all objects")
        if VOID in self.values and not self.layered:
            lines.append("    values: ids  # 255 found next to ids: it is void")
        return lines


def _look(leaves: Mapping[Path, list[Path]], sequences: list[tuple[Path, ...]], *, layered: bool) -> _Pixels:
    values: set[int] = set()
    late, several = [], False
    for folders in sequences:
        shown: dict[str, set[object]] = defaultdict(set)
        for folder in folders:
            for path in leaves[folder]:
                found = {int(value) for value in np.unique(read_mask(path))}
                values |= found
                shown[_stem(path)] |= ({folder.name} if found - {0} else set()) if layered else found - {0, VOID}
        order = in_order(shown, folders[0])
        objects = set[object]().union(*shown.values())
        given = next((shown[name] for name in order if shown[name]), set())
        late += (
            [folders[0].parent.name if layered else folders[0].name] if objects - given or not shown[order[0]] else []
        )
        several = several or len(objects) > 1
    return _Pixels(values=frozenset(values), late=tuple(late), several=several, layered=layered)


def _lists(root: Path, names: Collection[str]) -> tuple[str, Mapping[str, list[str]]]:
    """Return the pattern of the lists of sequences in one folder, and split → sequences; empty if there are none."""
    found: dict[Path, dict[str, list[str]]] = defaultdict(dict)
    for place, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in names and name not in JUNK and not name.startswith(".")]
        for file in sorted(files):
            path = Path(place) / file
            if path.suffix == ".txt" and not file.startswith(".") and (lines := _list(path, root, names)):
                found[Path(place)][path.stem] = lines
    if not found:
        return "", {}
    folder = max(found, key=lambda one: len(found[one]))
    return f"{(folder / '{split}').relative_to(root).as_posix()}.txt", found[folder]


def _list(path: Path, root: Path, names: Collection[str]) -> list[str]:
    """Return the lines of a list of sequences; none if it is no such list."""
    try:
        lines = read_lines(path, root)
    except DataError:
        return []
    return lines if {*lines} <= {*names} and len({*lines}) == len(lines) else []


def _meta(root: Path, frames: _Folders, *, layered: bool) -> str:
    """Return the path of a file of objects that can be read; empty if there is none."""
    pattern = "/".join((*frames.before, "{split}", "meta.json")) if frames.splits else "meta.json"
    paths = [root / fill(pattern, {"split": one}) for one in frames.splits or ("",)]
    try:
        return pattern if not layered and all(read_meta(path, root) for path in paths) else ""
    except DataError:
        return ""


def _stem(path: Path) -> str:
    return path.name[: -len(path.suffix)]


def _quoted(text: str) -> str:
    """Return a text as YAML reads it."""
    plain = re.fullmatch(r"[A-Za-z0-9_/.][A-Za-z0-9_/. -]*", text) and not re.fullmatch(
        r"[0-9._]+|true|false|null", text
    )
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
