"""What lies under a data root: every split of every dataset that `studies/protocols.yaml` knows, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from harness.datasets.check import ImageFacts, Problem, check_files
from harness.datasets.digest import cores, mask_files
from harness.datasets.protocol import (
    Protocol,
    TrainingSet,
    data_kind,
    find_root,
    is_left_out,
    list_readers,
    load_protocols,
    load_training_sets,
    prepare,
)
from harness.datasets.sequence import Sequence
from harness.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Part:
    """One split of one dataset, as it lies on disk."""

    entry: Protocol | TrainingSet
    folder: Path
    kind: str
    """`embedded`, `derived` or `real`."""

    sequences: tuple[Sequence, ...]
    problems: tuple[Problem, ...]
    sizes: tuple[str, ...] = field(default=())
    """Frame sizes, `854×480`, the most frequent first."""

    @property
    def files(self) -> int:
        """Frames and masks."""
        return sum(len(one) + len(mask_files(one)) for one in self.sequences)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be mended."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def list_entries(path: Path | None = None) -> list[Protocol | TrainingSet]:
    """One entry a split: benchmarks without their merged forms, training sets by themselves. Raises StudyError."""
    benchmarks = [protocol for protocol in load_protocols(path).values() if not protocol.merge_objects]
    training = [entry.model_copy(update={"enlarged_by": None}) for entry in load_training_sets(path).values()]
    return [*benchmarks, *training]


def find_parts(root: Path, entries: Iterable[Protocol | TrainingSet]) -> list[Part]:
    """The parts that are there, read but not yet checked; what cannot be read is among their problems.

    Raises DataError if nothing is there."""
    parts, absent = [], []
    for entry in entries:
        try:
            parts.append(_read(root.absolute(), entry, find_root(root, entry)))
        except DataError as error:
            absent.append(str(error))
    if not parts:
        raise DataError("\n".join(dict.fromkeys(absent)))
    return parts


def check_part(part: Part, cache: Path | None, done: Callable[[], object] = lambda: None) -> Part:
    """The part with its files looked at. `done` is called once a file. Raises StoreError if the cache is unusable."""
    problems, facts = check_files(part.sequences, cache, done)
    return Part(
        entry=part.entry,
        folder=part.folder,
        kind=part.kind,
        sequences=part.sequences,
        problems=(*part.problems, *problems),
        sizes=_sizes(facts.values()),
    )


def read_sequences(entry: Protocol | TrainingSet, root: Path) -> tuple[tuple[Sequence, ...], list[Problem]]:
    """The sequences that can be read, first masks decoded at most, and why the others cannot. Raises no DataError."""
    try:
        readers = list_readers(entry, root)
    except DataError as error:
        return (), [Problem(severity="error", sequence="", message=str(error))]

    def attempt(name: str) -> Sequence | Problem | None:
        try:
            sequence = readers[name]()
            if isinstance(entry, Protocol):
                return None if is_left_out(entry, sequence) else prepare(entry, sequence)
            return sequence
        except DataError as error:
            return Problem(severity="error", sequence=name, message=str(error))

    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(attempt, readers))
    sequences = tuple(item for item in found if isinstance(item, Sequence))
    return sequences, [item for item in found if isinstance(item, Problem)]


def _read(root: Path, entry: Protocol | TrainingSet, folder: Path) -> Part:
    sequences, problems = read_sequences(entry, root)
    return Part(entry=entry, folder=folder, kind=data_kind(root, entry), sequences=sequences, problems=tuple(problems))


def _sizes(facts: Iterable[ImageFacts]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for found in facts:
        if not found.error:
            counts[found.size] = counts.get(found.size, 0) + 1
    return tuple(sorted(counts, key=lambda size: (-counts[size], size)))
