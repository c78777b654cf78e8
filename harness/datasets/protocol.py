"""Benchmarks and training sets as data: `studies/protocols.yaml`, where its datasets lie, and their sequences."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.config import Config, resolve
from harness.datasets.digest import annotation_digest
from harness.datasets.layouts.base import Layout, Reader
from harness.datasets.layouts.davis import davis16, davis17
from harness.datasets.layouts.sbd import sbd
from harness.datasets.layouts.segtrack import segtrack
from harness.datasets.layouts.voc import voc
from harness.datasets.layouts.youtube_objects import youtube_objects
from harness.datasets.sequence import Sequence
from harness.errors import DataError, StudyError

LAYOUTS: Mapping[str, Layout] = {
    "davis16": davis16,
    "davis17": davis17,
    "youtube-objects": youtube_objects,
    "segtrack": segtrack,
    "voc": voc,
    "sbd": sbd,
}

MARKERS = {"EMBEDDED.txt": "embedded", "DERIVED.txt": "derived"}

_NOT_A_RULE = {"name", "title", "dataset", "offline", "pretraining", "sparse"}  # which videos count shows in the truth

Averaging = Literal["sequences", "objects", "classes"]
DataKind = Literal["embedded", "derived", "real"]


class Dataset(Config):
    """Where a dataset lies under the data root, and who reads it."""

    name: str
    title: str
    layout: str
    """A key of LAYOUTS."""

    marker: str
    """File or folder by which its folder is recognised; `{split}` stands for the split."""

    folders: tuple[str, ...]
    """Looked through in this order, from the data root."""

    source: str
    """Where to get it."""


class TrainingSet(Config):
    """A split to train on."""

    name: str
    title: str
    dataset: Dataset
    split: str

    enlarged_by: TrainingSet | None = None
    """A set that has more of the same images (SBD has most of PASCAL VOC's): where it is at hand, its images are taken,
    those that this one has as well as this one has them. In the file, its name."""

    @property
    def layout(self) -> str:
        """Name of the reader."""
        return self.dataset.layout


class Protocol(Config):
    """A benchmark: a split, and how it is scored."""

    name: str
    title: str
    dataset: Dataset
    split: str

    multi_object: bool = False
    """Objects are told apart."""

    merge_objects: bool = False
    """All objects of a video count as one."""

    skip_first: int = 0
    """Annotated frames at the start that are not scored."""

    skip_last: int = 0
    """Annotated frames at the end that are not scored."""

    averaging: Averaging = "sequences"
    """What the mean is over."""

    alternative: Averaging | None = None
    """A second mean that is reported too, where scorers differ."""

    boundary_tolerance: float = 0.008
    """Of F, as a share of the frame's diagonal (official evaluator)."""

    sparse: bool = False
    """Annotated here and there: a video that has too few annotations to be scored is left out, not an error."""

    scored: bool = True
    """False where the truth is not public (test-dev): segmented and exported only."""

    offline: str | None = None
    """Training set of off-line training."""

    pretraining: str | None = None
    """Training set of pre-training."""

    @property
    def layout(self) -> str:
        """Name of the reader."""
        return self.dataset.layout

    def fingerprint(self, sequences: Iterable[Sequence], cache: Path | None = None) -> str:
        """SHA-256, 64 hex digits, over all that two scores must share to be compared: dataset, split, frames not
        scored, boundary tolerance, averaging and the truth itself. Titles, places and training sets are not in it.

        Raises DataError naming a mask that cannot be read."""
        rules = self.model_dump(mode="json", exclude=_NOT_A_RULE)
        identity = {"rules": rules, "dataset": self.dataset.name, "truth": annotation_digest(sequences, cache)}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def protocols_file() -> Path:
    """The shipped `studies/protocols.yaml`."""
    return Path(str(files("studies"))) / "protocols.yaml"


def load_protocols(path: Path | None = None) -> Mapping[str, Protocol]:
    """Benchmarks by name, from `path` or the shipped file. Raises StudyError naming file and key."""
    return _load(path or protocols_file())[0]


def load_training_sets(path: Path | None = None) -> Mapping[str, TrainingSet]:
    """Training sets by name, from `path` or the shipped file. Raises StudyError naming file and key."""
    return _load(path or protocols_file())[1]


def find_root(root: Path, entry: Protocol | TrainingSet) -> Path:
    """The folder of the entry's dataset under the data root, absolute.

    Raises DataError saying what was looked for, where, and what to do."""
    dataset = entry.dataset
    if not os.path.isdir(root):  # not Path's, which raises where a folder may not be entered
        raise DataError(f"{root}: no such folder; give the folder that holds the datasets")
    try:
        os.fspath(root).encode()
    except UnicodeEncodeError:  # a path that neither prints nor fits into the cache
        raise DataError(f"{os.fsencode(root)!r}: not a UTF-8 name; rename the folder, or give a link to it") from None
    root = root.absolute()  # stages run in other working folders
    marker = dataset.marker.replace("{split}", entry.split)
    for name in dataset.folders:
        if os.path.exists(root / name / marker):
            return root / name
    places = ", ".join(str(root / name) for name in dataset.folders)
    raise DataError(
        f"{root}: {dataset.title} not found ({entry.title}); a folder with {marker} expected in one of "
        f"{places}; get it from {dataset.source}, or leave out what needs it"
    )


def list_readers(entry: Protocol | TrainingSet, root: Path) -> Mapping[str, Reader]:
    """Sequence name → what reads it, in the dataset's order. Raises DataError if the split is not there."""
    larger = entry.enlarged_by if isinstance(entry, TrainingSet) else None
    if larger is None or not _is_there(root, larger):
        return LAYOUTS[entry.dataset.layout](find_root(root, entry), entry.split)
    readers = dict(list_readers(larger, root))
    if _is_there(root, entry):
        own = LAYOUTS[entry.dataset.layout](find_root(root, entry), entry.split)
        readers.update((name, read) for name, read in own.items() if name in readers)
    return readers


def is_at_hand(entry: Protocol | TrainingSet, root: Path) -> bool:
    """Whether the entry's dataset, or one that enlarges it, is under the data root."""
    larger = entry.enlarged_by if isinstance(entry, TrainingSet) else None
    return _is_there(root, entry) or (larger is not None and is_at_hand(larger, root))


def prepare(protocol: Protocol, sequence: Sequence) -> Sequence:
    """The sequence as the benchmark sees it: objects merged where it says so, scored frames marked.

    Raises DataError if no object or no frame is left to score."""
    if protocol.merge_objects:
        sequence = sequence.as_foreground()
    if not sequence.object_ids:
        raise DataError(f"{sequence.masks[0] or sequence.name}: no object in the first mask; fetch the file again")
    if not protocol.scored:
        return sequence
    annotated = [index for index, mask in enumerate(sequence.masks) if mask is not None]
    scored = annotated[protocol.skip_first : len(annotated) - protocol.skip_last]
    if not scored:
        raise DataError(
            f"{sequence.name}: {len(annotated)} annotated frames, none left to score in {protocol.title}, which leaves "
            f"out {protocol.skip_first} at the start and {protocol.skip_last} at the end; restore the masks"
        )
    return replace(sequence, scored=tuple(scored))


def is_left_out(protocol: Protocol, sequence: Sequence) -> bool:
    """Whether a sparsely annotated video has no annotation that counts."""
    annotated = sum(mask is not None for mask in sequence.masks)
    return protocol.sparse and annotated <= protocol.skip_first + protocol.skip_last


def load_benchmark(protocol: Protocol, root: Path) -> tuple[Sequence, ...]:
    """The benchmark's sequences in the dataset's order, first masks decoded at most.

    Raises DataError if the dataset is not under `root`, or a list, folder or first mask is damaged."""
    sequences = (read() for read in list_readers(protocol, root).values())
    return tuple(prepare(protocol, one) for one in sequences if not is_left_out(protocol, one))


def load_training(name: str, root: Path, path: Path | None = None) -> tuple[Sequence, ...]:
    """Sequences of a training set (still images: one frame each), none of them scored.

    Raises StudyError if no training set has that name, DataError as load_benchmark does."""
    sets = load_training_sets(path)
    if name not in sets:
        raise StudyError(f"{path or protocols_file()}: no training set {name!r}; there are {', '.join(sets)}")
    return tuple(read() for read in list_readers(sets[name], root).values())


def _is_there(root: Path, entry: Protocol | TrainingSet) -> bool:
    try:
        find_root(root, entry)
    except DataError:
        return False
    return True


def data_kind(root: Path, entry: Protocol | TrainingSet | None = None) -> DataKind:
    """Whether what lies under `root` (for `entry`, where given) is the embedded miniature, derived, or real."""
    places = [root] if entry is None else [root, find_root(root, entry)]
    for place in places:
        for marker, kind in MARKERS.items():
            if os.path.exists(place / marker):
                return kind  # type: ignore[return-value]
    return "real"


def _load(path: Path) -> tuple[dict[str, Protocol], dict[str, TrainingSet]]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"{path}: cannot be read as YAML ({error})") from None
    parts = ("datasets", "training", "benchmarks")
    if not isinstance(document, dict) or set(document) != set(parts):
        raise StudyError(f"{path}: the keys {', '.join(parts)} expected, each with a mapping by name")
    datasets = {
        name: resolve(Dataset, {"name": name, **entry}, f"{path}: datasets.{name}")
        for name, entry in _entries(document, "datasets", path)
    }
    for name, dataset in datasets.items():
        _require(dataset.layout, LAYOUTS, f"{path}: datasets.{name}.layout")
    training: dict[str, TrainingSet] = {}
    for name, entry in _entries(document, "training", path):
        origin = f"{path}: training.{name}"
        filled = _fill(name, entry, datasets, path)
        if (larger := entry.get("enlarged_by")) is not None:
            _require(larger, training, f"{origin}.enlarged_by, which must stand above it")
            filled["enlarged_by"] = training[larger].model_dump()
        training[name] = resolve(TrainingSet, filled, origin)
    benchmarks = {}
    for name, entry in _entries(document, "benchmarks", path):
        origin = f"{path}: benchmarks.{name}"
        benchmarks[name] = resolve(Protocol, _fill(name, entry, datasets, path), origin)
        for role in ("offline", "pretraining"):
            if (value := getattr(benchmarks[name], role)) is not None:
                _require(value, training, f"{origin}.{role}")
    return benchmarks, training


def _entries(document: Mapping[str, Any], part: str, path: Path) -> list[tuple[str, dict[str, Any]]]:
    entries = document[part]
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise StudyError(f"{path}: {part}: a mapping of names to entries expected")
    return list(entries.items())


def _fill(name: str, entry: dict[str, Any], datasets: Mapping[str, Dataset], path: Path) -> dict[str, Any]:
    _require(entry.get("dataset"), datasets, f"{path}: {name}.dataset")
    return {"name": name, **entry, "dataset": datasets[entry["dataset"]].model_dump()}


def _require(value: Any, allowed: Mapping[str, Any], origin: str) -> None:
    if value not in allowed:
        raise StudyError(f"{origin}: {value!r} found; allowed: {', '.join(allowed)}")
