"""Benchmarks and training sets as data: the entries of `studies/protocols.yaml`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from harness.config import Config, resolve
from harness.datasets.digest import annotation_digest
from harness.datasets.extent import Extent
from harness.datasets.layouts import LAYOUTS
from harness.datasets.sequence import Sequence
from harness.errors import StudyError
from harness.fingerprint import digest_of
from harness.yaml_file import read_yaml

_NOT_A_RULE = {"name", "title", "dataset", "extent", "offline", "pretraining", "sparse"}
"""Fields that change no score; the truth itself shows which videos count."""

Averaging = Literal["sequences", "objects", "classes"]

TRAINING_ROLES = ("pretraining", "offline")
"""Trainings for which a benchmark names a training set."""


class Dataset(Config):
    """A dataset below the data root: the folders to look in, and the layout that reads it."""

    name: str
    title: str
    layout: str
    """A key of LAYOUTS."""

    marker: str
    """File or folder that identifies the dataset's folder; `{split}` stands for the split, `*` for any name."""

    folders: tuple[str, ...]
    """Candidates in this order, relative to the data root."""

    source: str
    zip_folder: str = ""
    """Folder at the top of the zip that its server takes: `Annotations` for YouTube-VOS (public code of XMem, eval.py).
    Empty: the sequences are at the top, as for DAVIS and MOSE."""


class Split(Config):
    """A part of a dataset."""

    name: str
    title: str
    dataset: Dataset
    split: str
    extent: Extent = Extent()
    """What the published split holds. Real data that differs is never compared with published numbers."""

    @property
    def marker(self) -> str:
        """File or folder, relative to the dataset's folder, that shows that the split is there."""
        return self.dataset.marker.replace("{split}", self.split)


class TrainingSet(Split):
    """A split to train on."""

    enlarged_by: TrainingSet | None = None
    """A set with more of the same images (SBD has most of PASCAL VOC's). If it is available, its images are used, with
    the truth of this set for those in both. In the file, its name."""


class Protocol(Split):
    """A benchmark: a split, and how it is scored."""

    multi_object: bool = False
    """Whether objects are distinguished."""

    merge_objects: bool = False
    """Whether all objects of a video count as one."""

    skip_first: int = 0
    skip_last: int = 0
    """Numbers of annotated frames at the start and at the end that are not scored."""

    averaging: Averaging = "sequences"
    alternative: Averaging | None = None
    """A second mean to report, if scorers differ."""

    boundary_tolerance: float = 0.008
    """Tolerance of F as a share of the frame's diagonal (official evaluator)."""

    sparse: bool = False
    """Whether a video with too few annotations to be scored is skipped rather than an error."""

    scored: bool = True
    """False if the truth is not public (test-dev): such a benchmark is segmented and exported only."""

    offline: str | None = None
    pretraining: str | None = None
    """Names of the training sets of off-line training and of pre-training."""

    def fingerprint(self, sequences: Collection[Sequence], cache: Path | None = None) -> str:
        """Return a SHA-256, 64 hex digits, over all that scores must have in common to be compared.

        That is dataset, split, scored frames, boundary tolerance, averaging and the truth itself, but not titles,
        folders and training sets. Raises DataError naming a mask that cannot be read."""
        rules = self.model_dump(mode="json", exclude=_NOT_A_RULE)
        identity = {"rules": rules, "dataset": self.dataset.name, "truth": annotation_digest(sequences, cache)}
        return digest_of(identity)


def protocols_file() -> Path:
    """Return the path of the shipped `studies/protocols.yaml`."""
    return Path(str(files("studies"))) / "protocols.yaml"


def load_protocols(path: Path | None = None) -> Mapping[str, Protocol]:
    """Return benchmarks by name, from `path` or the shipped file. Raises StudyError naming file and key."""
    return _load(path or protocols_file())[0]


def load_training_sets(path: Path | None = None) -> Mapping[str, TrainingSet]:
    """Return training sets by name, from `path` or the shipped file. Raises StudyError naming file and key."""
    return _load(path or protocols_file())[1]


def _load(path: Path) -> tuple[dict[str, Protocol], dict[str, TrainingSet]]:
    document = read_yaml(path)
    parts = ("datasets", "training", "benchmarks")
    if set(document) != set(parts):
        raise StudyError(f"{path}: keys {', '.join(document)} found; {', '.join(parts)} expected, each with a mapping")
    for part in parts:
        if not isinstance(document[part], dict) or not all(
            isinstance(entry, dict) for entry in document[part].values()
        ):
            raise StudyError(f"{path}: {part}: a mapping of names to entries expected")
    datasets: dict[str, Dataset] = {}
    for name, entry in document["datasets"].items():
        datasets[name] = resolve(Dataset, {"name": name, **entry}, f"{path}: datasets.{name}")
        _require(datasets[name].layout, LAYOUTS, f"{path}: datasets.{name}.layout")
    training: dict[str, TrainingSet] = {}
    for name, entry in document["training"].items():
        origin = f"{path}: training.{name}"
        filled = _fill(name, entry, datasets, origin)
        if (larger := entry.get("enlarged_by")) is not None:
            _require(larger, training, f"{origin}.enlarged_by, which must stand above it")
            filled["enlarged_by"] = training[larger].model_dump()
        training[name] = resolve(TrainingSet, filled, origin)
    benchmarks = {}
    for name, entry in document["benchmarks"].items():
        origin = f"{path}: benchmarks.{name}"
        benchmarks[name] = resolve(Protocol, _fill(name, entry, datasets, origin), origin)
        for role in ("offline", "pretraining"):
            if (value := getattr(benchmarks[name], role)) is not None:
                _require(value, training, f"{origin}.{role}")
    return benchmarks, training


def _fill(name: str, entry: dict[str, Any], datasets: Mapping[str, Dataset], origin: str) -> dict[str, Any]:
    _require(entry.get("dataset"), datasets, f"{origin}.dataset")
    return {"name": name, **entry, "dataset": datasets[entry["dataset"]].model_dump()}


def _require(value: Any, allowed: Mapping[str, Any], origin: str) -> None:
    if value not in allowed:
        raise StudyError(f"{origin}: {value!r} found; allowed: {', '.join(allowed)}")
