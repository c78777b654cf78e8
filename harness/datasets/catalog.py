"""The benchmarks and training sets there are: those of `studies/protocols.yaml`, and those that descriptions add.

A description is a `dataset.yaml` in a data root, or in a folder directly below it, in the same form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.config import resolve
from harness.datasets.files import exists
from harness.datasets.layouts import LAYOUTS
from harness.datasets.protocol import TRAINING_ROLES, Dataset, Protocol, TrainingSet
from harness.errors import StudyError
from harness.yaml_file import read_yaml

DESCRIPTION = "dataset.yaml"

_PARTS = ("datasets", "training", "benchmarks")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Entries of protocol files by name."""

    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    training: Mapping[str, TrainingSet] = field(default_factory=dict)
    benchmarks: Mapping[str, Protocol] = field(default_factory=dict)


def protocols_file() -> Path:
    """Return the path of the shipped `studies/protocols.yaml`."""
    return Path(str(files("studies"))) / "protocols.yaml"


def load_protocols(path: Path | None = None, *, root: Path | None = None) -> Mapping[str, Protocol]:
    """Return the benchmarks of `load_catalog`."""
    return load_catalog(path, root).benchmarks


def find_protocol(name: str, root: Path) -> Protocol:
    """Return a benchmark of `load_protocols` for this data root. Raises StudyError if there is none of that name."""
    protocols = load_protocols(root=root)
    _require(name, protocols, f"{root}: benchmark")
    return protocols[name]


def load_training_sets(path: Path | None = None, *, root: Path | None = None) -> Mapping[str, TrainingSet]:
    """Return the training sets of `load_catalog`."""
    return load_catalog(path, root).training


def load_catalog(path: Path | None = None, root: Path | None = None) -> Catalog:
    """Return the entries of `path` or the shipped file, and of the descriptions in the data root, if one is given.

    Raises StudyError naming file and key."""
    catalog = _load(path or protocols_file(), Catalog())
    if root is not None:
        for description in find_descriptions(root):
            if read_yaml(description).keys() & {*_PARTS}:  # other programs have files of this name too
                catalog = _load(description, catalog, description.parent.relative_to(root))
    return catalog


def find_descriptions(root: Path) -> list[Path]:
    """Return the descriptions in a data root and directly below it; none if it cannot be listed."""
    try:
        folders = [root, *sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))]
    except OSError:
        return []  # whoever looks for a dataset names the folder
    return [folder / DESCRIPTION for folder in folders if exists(folder / DESCRIPTION)]


def _load(path: Path, known: Catalog, place: Path = Path()) -> Catalog:
    """Return the entries known and those of a file, whose datasets are relative to `place` in the data root."""
    document = read_yaml(path)
    if "datasets" not in document or not document.keys() <= {*_PARTS}:
        raise StudyError(
            f"{path}: keys {', '.join(map(str, document))} found; {', '.join(_PARTS)} expected, each with a mapping"
        )
    datasets, training, benchmarks = {**known.datasets}, {**known.training}, {**known.benchmarks}
    for name, entry in _entries(document, "datasets", datasets, path):
        origin = f"{path}: datasets.{name}"
        datasets[name] = _place(resolve(Dataset, {"name": name, "title": name, **entry}, origin), place)
        if datasets[name].layout or not datasets[name].frames:
            _require(datasets[name].layout, LAYOUTS, f"{origin}.layout")
        if datasets[name].layout and datasets[name].frames:
            raise StudyError(f"{origin}: layout and frames found, one of them expected")
    for name, entry in _entries(document, "training", training, path):
        origin = f"{path}: training.{name}"
        filled = _fill(name, entry, datasets, origin)
        if (larger := entry.get("enlarged_by")) is not None:
            _require(larger, training, f"{origin}.enlarged_by, which must stand above it")
            filled["enlarged_by"] = training[larger].model_dump()
        training[name] = resolve(TrainingSet, filled, origin)
        _require_described(training[name], origin)
    for name, entry in _entries(document, "benchmarks", benchmarks, path):
        origin = f"{path}: benchmarks.{name}"
        benchmarks[name] = resolve(Protocol, _fill(name, entry, datasets, origin), origin)
        _require_described(benchmarks[name], origin)
        for role in TRAINING_ROLES:
            if (value := getattr(benchmarks[name], role)) is not None:
                _require(value, training, f"{origin}.{role}")
    return Catalog(datasets=datasets, training=training, benchmarks=benchmarks)


def _entries(
    document: Mapping[str, Any], part: str, known: Mapping[str, Any], path: Path
) -> Iterable[tuple[str, dict[str, Any]]]:
    entries = document.get(part, {})
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise StudyError(f"{path}: {part}: a mapping of names to entries expected")
    for name in entries:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise StudyError(
                f"{path}: {part}: name {name!r} found; 1 to 100 letters, digits, '.', '_' and '-' "
                "expected, the first a letter or digit"
            )
        if name in known:
            raise StudyError(f"{path}: {part}.{name}: there is one of this name already; choose another")
    return list(entries.items())


def _fill(name: str, entry: dict[str, Any], datasets: Mapping[str, Dataset], origin: str) -> dict[str, Any]:
    _require(entry.get("dataset"), datasets, f"{origin}.dataset")
    dataset = datasets[entry["dataset"]]
    title = f"{dataset.title} {entry['split']}" if "split" in entry else dataset.title
    return {"name": name, "title": title, **entry, "dataset": dataset.model_dump()}


def _place(dataset: Dataset, place: Path) -> Dataset:
    """Return the dataset with its folders relative to the data root; absolute ones stay."""
    return dataset.model_copy(update={"folders": tuple(str(place / folder) for folder in dataset.folders)})


def _require_described(entry: TrainingSet | Protocol, origin: str) -> None:
    if entry.held_out is not None and not entry.dataset.frames:
        raise StudyError(f"{origin}.held_out: found with the layout {entry.dataset.layout!r}; only patterns know it")


def _require(value: Any, allowed: Mapping[str, Any], origin: str) -> None:
    if value not in allowed:
        raise StudyError(f"{origin}: {value!r} found; allowed: {', '.join(allowed)}")
