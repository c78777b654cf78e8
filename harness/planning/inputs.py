"""The inputs of a study: benchmarks and training sets under the data root, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.datasets import (
    TRAINING_ROLES,
    Located,
    Problem,
    Protocol,
    Sequence,
    TrainingSet,
    check_sequences,
    content_digests,
    data_kind,
    load_training_sets,
    locate,
    read_sequences,
    require_sound,
)
from harness.errors import DataError
from harness.fingerprint import text_digest
from harness.stage import Data


@dataclass(frozen=True, kw_only=True)
class BenchmarkInputs:
    """One benchmark as it lies on disk."""

    protocol: Protocol
    data_kind: str
    """`embedded`, `derived` or `real`."""

    fingerprint: str
    """Fingerprint of the protocol with its truth: results that differ in it do not belong in one table."""

    sequences: Mapping[str, Data]
    training: Mapping[str, Data | None]
    missing: Mapping[str, str]
    """Role of every None in `training` → what was looked for."""

    extent: str = ""
    """How the data differs from the published benchmark, such as `2 of 20 sequences`; empty if it does not."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything that a study reads."""

    root: Path
    data_kind: str
    benchmarks: Mapping[str, BenchmarkInputs]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Benchmark → why it is skipped."""

    training: Mapping[str, Data | str] = field(default_factory=dict)
    """Every training set that was asked for, or a sentence that says why there is none."""

    notes: tuple[str, ...] = ()
    """What the check found odd but no error."""

    partial: Mapping[str, str] = field(default_factory=dict)
    """Title of every benchmark and training set whose data is not the published whole → its extent."""


def gather(
    protocols: Iterable[Protocol],
    root: Path,
    cache: Path,
    report: Callable[[str], None] = lambda text: None,
    training_sets: Iterable[str] = (),
) -> Inputs:
    """Return the inputs of these benchmarks under `root`, with further `training_sets`, by name.

    `cache` is the file for what is known of unchanged files. `report` is called with what is being checked. A benchmark
    that is not available is skipped if another one is. Raises DataError if none is, if `root` is missing, or with every
    defect of all that will be read."""
    root = root.absolute()
    found: dict[str, BenchmarkInputs] = {}
    absent: dict[str, str] = {}
    missing: list[str] = []
    problems: list[Problem] = []
    partial: dict[str, str] = {}
    training: dict[str, Data | str] = {}
    sets = load_training_sets(root=root)
    for protocol in protocols:
        try:
            located = locate(root, protocol)
        except DataError as error:
            absent[protocol.name] = f"no {protocol.dataset.title} under the data root"
            missing.append(str(error))
            continue
        for role in TRAINING_ROLES:
            name = getattr(protocol, role)
            if name is not None and name not in training:
                training[name] = _training(root, sets[name], cache, problems, partial, report)
        if (inputs := _benchmark(protocol, located, cache, training, problems, partial, report)) is not None:
            found[protocol.name] = inputs
    for name in training_sets:
        if found and name not in training:
            training[name] = _training(root, sets[name], cache, problems, partial, report)
    require_sound(problems)
    if not found:
        raise DataError("\n".join(missing) or f"{root}: no benchmark asked for")
    notes = tuple(dict.fromkeys(problem.message for problem in problems))
    return Inputs(
        root=root,
        data_kind=data_kind(root),
        benchmarks=found,
        absent=absent,
        training=training,
        notes=notes,
        partial=partial,
    )


def _benchmark(
    protocol: Protocol,
    located: Located,
    cache: Path,
    training: Mapping[str, Data | str],
    problems: list[Problem],
    partial: dict[str, str],
    report: Callable[[str], None],
) -> BenchmarkInputs | None:
    """Return the inputs of a benchmark; None if it is damaged: then its defects are among `problems`."""
    report(f"checking {protocol.title}")
    sequences = _read(located, cache, problems, partial)
    if not sequences:
        return None
    contents = content_digests(sequences, cache)
    sets: dict[str, Data | None] = {}
    missing: dict[str, str] = {}
    for role in TRAINING_ROLES:
        name = getattr(protocol, role)
        data = training[name] if name is not None else f"{protocol.title} names no training set for it"
        sets[role] = data if isinstance(data, Data) else None
        if isinstance(data, str):
            missing[role] = data
    return BenchmarkInputs(
        protocol=protocol,
        data_kind=located.kind,
        fingerprint=protocol.fingerprint(sequences, cache),
        sequences={
            sequence.name: Data(name=f"{protocol.name}/{sequence.name}", digest=content, value=sequence)
            for sequence, content in zip(sequences, contents, strict=True)
        },
        training=sets,
        missing=missing,
        extent=partial.get(protocol.title, ""),
    )


def _training(
    root: Path,
    entry: TrainingSet,
    cache: Path,
    problems: list[Problem],
    partial: dict[str, str],
    report: Callable[[str], None],
) -> Data | str:
    """Return a training set, or a sentence that says why there is none."""
    try:
        located = locate(root, entry)
    except DataError:
        return f"no {entry.title} under the data root"
    report(f"checking {entry.title}")
    sequences = _read(located, cache, problems, partial)
    if not sequences:
        return f"{entry.title} is damaged"
    return Data(name=entry.name, digest=text_digest("\n".join(content_digests(sequences, cache))), value=sequences)


def _read(located: Located, cache: Path, problems: list[Problem], partial: dict[str, str]) -> tuple[Sequence, ...]:
    """Return the sequences after a check of every file; none if any is damaged. Adds to `problems` and `partial`."""
    sequences, found = read_sequences(located, cache)
    found += check_sequences(sequences, cache)
    if not sequences and not found:
        entry = located.entry
        message = f"{located.root}: {entry.title} has no video that can be scored; get it from {entry.dataset.source}"
        found.append(Problem(severity="error", sequence="", message=message))
    problems += found
    if any(problem.severity == "error" for problem in found):
        return ()
    if extent := located.difference(sequences):
        partial[located.entry.title] = extent
    return sequences
