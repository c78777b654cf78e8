"""Benchmarks and training sets on disk: where their datasets are below a data root, and their sequences."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.catalog import load_training_sets, protocols_file
from harness.datasets.check import Problem, require_sound
from harness.datasets.extent import Extent, extent_of
from harness.datasets.files import exists, is_folder
from harness.datasets.generated import DataKind, data_kind
from harness.datasets.late import announce
from harness.datasets.layouts import Reader
from harness.datasets.mixture import require_own_masks
from harness.datasets.prepare import prepare
from harness.datasets.protocol import Protocol, TrainingSet
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

    @property
    def expected(self) -> Extent:
        """The published extent; empty for generated data, which has an extent of its own."""
        source = self.enlarged_by.entry if self.enlarged_by else self.entry
        return source.extent if self.kind == "real" else Extent()

    def difference(self, sequences: Collection[Sequence]) -> str:
        """Return how far these sequences, all that can be used, are from the published extent; empty if they are it.

        Videos that a sparse benchmark skips belong to its extent. Raises DataError if the split cannot be read."""
        found = extent_of(sequences)
        if isinstance(self.entry, Protocol) and self.entry.sparse:
            found = found.model_copy(update={"sequences": len(self.readers())})
        return self.expected.difference(found)

    def readers(self) -> Mapping[str, Reader]:
        """Map sequence name to reader, in the dataset's order. Raises DataError if the split cannot be read."""
        own = self.entry.readers(self.folder)
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


def read_sequences(located: Located, cache: Path | None = None) -> tuple[tuple[Sequence, ...], list[Problem]]:
    """Return the sequences that can be read, and why others cannot; uses all cores.

    First masks are decoded at most, and all where objects may appear late (`cache`: as in `check_sequences`)."""
    try:
        readers = located.readers()
    except DataError as error:
        return (), [Problem(severity="error", sequence="", message=str(error))]

    def read(name: str) -> Sequence | Problem:
        try:
            return readers[name]()
        except DataError as error:
            return Problem(severity="error", sequence=name, message=str(error))

    def finish(item: Sequence | Problem) -> Sequence | Problem | None:
        if isinstance(item, Problem):
            return item
        try:
            return _prepare(located.entry, item)
        except DataError as error:
            return Problem(severity="error", sequence=item.name, message=str(error))

    with ThreadPoolExecutor(cores()) as pool:
        raw = _announced(located, list(pool.map(read, readers)), cache)
        try:
            require_own_masks([item for item in raw if isinstance(item, Sequence)])
        except DataError as error:
            return (), [Problem(severity="error", sequence="", message=str(error))]
        found = list(pool.map(finish, raw))
    sequences = tuple(item for item in found if isinstance(item, Sequence))
    return sequences, [item for item in found if isinstance(item, Problem)]


def load_benchmark(protocol: Protocol, root: Path, cache: Path | None = None) -> tuple[Sequence, ...]:
    """Return the benchmark's sequences in the dataset's order, decoded as `read_sequences` does. Raises DataError."""
    return _load(locate(root, protocol), cache)


def load_training(name: str, root: Path) -> tuple[Sequence, ...]:
    """Return the sequences of a training set, stills with one frame each. Raises StudyError or DataError."""
    sets = load_training_sets(root=root)
    if name not in sets:
        raise StudyError(f"{protocols_file()}: no training set {name!r}; allowed: {', '.join(sets)}")
    return _load(locate(root, sets[name]))


def _load(located: Located, cache: Path | None = None) -> tuple[Sequence, ...]:
    found = _announced(located, [read() for read in located.readers().values()], cache)
    require_sound(item for item in found if isinstance(item, Problem))
    raw = [item for item in found if isinstance(item, Sequence)]
    require_own_masks(raw)
    sequences = (_prepare(located.entry, sequence) for sequence in raw)
    return tuple(sequence for sequence in sequences if sequence is not None)


def _announced(located: Located, items: list[Sequence | Problem], cache: Path | None) -> list[Sequence | Problem]:
    """Return what was read, with the objects of a described dataset that its first masks do not show."""
    if not located.entry.dataset.frames:
        return items
    known = iter(announce(located.entry.dataset, (item for item in items if isinstance(item, Sequence)), cache))
    return [next(known) if isinstance(item, Sequence) else item for item in items]


def _locate(root: Path, entry: Entry) -> Located | None:
    larger = entry.enlarged_by if isinstance(entry, TrainingSet) else None
    enlarged_by = _locate(root, larger) if larger else None
    for name in entry.dataset.folders:
        if _has_marker(root / name, entry.marker):
            return Located(entry=entry, root=root, folder=root / name, enlarged_by=enlarged_by)
    return enlarged_by


def _has_marker(folder: Path, marker: str) -> bool:
    pattern, star, last = marker.rpartition("*/")
    if not star:
        return exists(folder / marker)
    return any(_may_exist(place / last) for place in folder.glob(f"{pattern}*"))


def _may_exist(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True  # the reader of the dataset names it
    except OSError:
        return False
    return True


def _prepare(entry: Entry, sequence: Sequence) -> Sequence | None:
    return prepare(entry, sequence) if isinstance(entry, Protocol) else sequence
