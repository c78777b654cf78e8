"""What is below a data root: every split of every dataset in `studies/protocols.yaml` or a description, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.datasets.catalog import load_catalog
from harness.datasets.check import Problem, check_files
from harness.datasets.locate import Entry, Located, locate, read_sequences
from harness.datasets.sequence import Sequence
from harness.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Part:
    """One split of one dataset on disk."""

    located: Located
    sequences: tuple[Sequence, ...]
    problems: tuple[Problem, ...]
    sizes: tuple[str, ...] = ()
    """Frame sizes such as `854×480`, the most frequent first."""

    @property
    def entry(self) -> Entry:
        """The benchmark or training set."""
        return self.located.entry

    @property
    def files(self) -> int:
        """Number of frames and masks."""
        return sum(len(one) + len(one.mask_files) for one in self.sequences)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that must be fixed."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def list_entries(root: Path | None = None) -> list[Entry]:
    """Return one entry per split, of the descriptions in a data root too.

    That is benchmarks without their merged forms, and single training sets without parts of others. Raises StudyError
    for a description that cannot be used."""
    catalog = load_catalog(root=root)
    benchmarks = [protocol for protocol in catalog.benchmarks.values() if not protocol.merge_objects]
    whole = [entry for entry in catalog.training.values() if entry.held_out is None]
    return [*benchmarks, *(entry.model_copy(update={"enlarged_by": None}) for entry in whole)]


def find_parts(root: Path, entries: Iterable[Entry], cache: Path | None = None) -> list[Part]:
    """Return the available parts, unchecked, with the problems of reading them. Raises DataError if there are none."""
    parts, absent = [], []
    for entry in entries:
        try:
            located = locate(root, entry)
        except DataError as error:
            absent.append(str(error))
            continue
        sequences, problems = read_sequences(located, cache)
        if not problems and (extent := located.difference(sequences)):
            problems = [Problem(severity="note", sequence="", message=f"{extent}, not the published whole")]
        parts.append(Part(located=located, sequences=sequences, problems=tuple(problems)))
    if not parts:
        raise DataError("\n".join(dict.fromkeys(absent)))
    return parts


def check_part(part: Part, cache: Path | None, done: Callable[[], object] = lambda: None) -> Part:
    """Return the part with its files checked; `done` is called per file. Raises StoreError for an unusable cache."""
    problems, facts = check_files(part.sequences, cache, done)
    counts = Counter(frame.size for frame in facts.values() if not frame.error)
    sizes = sorted(counts, key=lambda size: (-counts[size], size))
    return replace(part, problems=(*part.problems, *problems), sizes=tuple(sizes))
