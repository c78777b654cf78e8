"""Benchmarks and training sets on disk: where their datasets are below a data root, and their sequences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.check import Problem
from harness.datasets.files import exists, is_folder
from harness.datasets.generated import DataKind, data_kind
from harness.datasets.layouts import LAYOUTS, Reader
from harness.datasets.prepare import prepare
from harness.datasets.protocol import Protocol, TrainingSet, load_training_sets, protocols_file
from harness.datasets.sequence import Sequence
from harness.errors import DataError, StudyError
from harness.hardware import cores

Entry = Protocol | TrainingSet


@dataclass(frozen=True, kw_only=True)
class Located:
    """A benchmark or training set, with the folder in which its dataset was found."""

    entry: Entry
    root: Path
    """Data root, absolute."""

    folder: Path
    """Folder of the dataset, absolute."""

    enlarged_by: Located | None = None
    """The set with more of the same images, if it is available."""

    @property
    def kind(self) -> DataKind:
        """Whether the data is embedded, derived or real."""
        return data_kind(self.root, self.folder)

    def readers(self) -> Mapping[str, Reader]:
        """Map sequence name to reader, in the dataset's order. Raises DataError if the split cannot be read."""
        own = LAYOUTS[self.entry.dataset.layout](self.folder, self.entry.split)
        if self.enlarged_by is None:
            return own
        return {name: own.get(name, read) for name, read in self.enlarged_by.readers().items()}


def locate(root: Path, entry: Entry) -> Located:
    """Find the entry's dataset below the data root; if only the set that enlarges it is there, return that one.

    Raises DataError saying what was searched for, where, and what to do."""
    if not is_folder(root):
        raise DataError(f"{root}: no such folder; give the folder that holds the datasets")
    try:
        os.fspath(root).encode()
    except UnicodeEncodeError:  # a path that neither prints nor fits into the cache
        raise DataError(f"{os.fsencode(root)!r}: not a UTF-8 name; rename the folder, or give a link to it") from None
    root = root.absolute()  # stages run in other working folders
    if (located := _locate(root, entry)) is not None:
        return located
    places = ", ".join(str(root / name) for name in entry.dataset.folders)
    raise DataError(
        f"{root}: {entry.dataset.title} not found ({entry.title}); a folder with {entry.marker} expected in one of "
        f"{places}; get it from {entry.dataset.source}, or omit what needs it"
    )


def locate_around(folder: Path, entry: Entry) -> Located | None:
    """Find the entry's dataset if `folder` is a data root, the dataset's folder, or at most two levels inside it."""
    folder = Path(os.path.normpath(folder.absolute()))
    for dataset in (folder, *folder.parents[:2]):
        for root in (dataset.parent, dataset):
            if (located := _locate(root, entry)) is not None and located.folder == dataset:
                return located
    return _locate(folder, entry)


def read_sequences(located: Located) -> tuple[tuple[Sequence, ...], list[Problem]]:
    """Return the sequences that can be read, first masks decoded at most, and why others cannot; uses all cores."""
    try:
        readers = located.readers()
    except DataError as error:
        return (), [Problem(severity="error", sequence="", message=str(error))]

    def attempt(name: str) -> Sequence | Problem | None:
        try:
            return _read(located, readers[name])
        except DataError as error:
            return Problem(severity="error", sequence=name, message=str(error))

    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(attempt, readers))
    sequences = tuple(item for item in found if isinstance(item, Sequence))
    return sequences, [item for item in found if isinstance(item, Problem)]


def load_benchmark(protocol: Protocol, root: Path) -> tuple[Sequence, ...]:
    """Return the benchmark's sequences in the dataset's order, first masks decoded at most. Raises DataError."""
    return _load(locate(root, protocol))


def load_training(name: str, root: Path) -> tuple[Sequence, ...]:
    """Return the sequences of a training set, stills with one frame each. Raises StudyError or DataError."""
    sets = load_training_sets()
    if name not in sets:
        raise StudyError(f"{protocols_file()}: no training set {name!r}; allowed: {', '.join(sets)}")
    return _load(locate(root, sets[name]))


def _load(located: Located) -> tuple[Sequence, ...]:
    sequences = (_read(located, read) for read in located.readers().values())
    return tuple(sequence for sequence in sequences if sequence is not None)


def _locate(root: Path, entry: Entry) -> Located | None:
    larger = entry.enlarged_by if isinstance(entry, TrainingSet) else None
    enlarged_by = _locate(root, larger) if larger else None
    for name in entry.dataset.folders:
        if exists(root / name / entry.marker):
            return Located(entry=entry, root=root, folder=root / name, enlarged_by=enlarged_by)
    return enlarged_by


def _read(located: Located, read: Reader) -> Sequence | None:
    return prepare(located.entry, read()) if isinstance(located.entry, Protocol) else read()
