"""What a study reads: benchmarks and training sets under the data root, checked and digested before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.datasets import (
    Protocol,
    Sequence,
    TrainingSet,
    data_kind,
    digests,
    find_root,
    load_benchmark,
    load_training,
    load_training_sets,
)
from harness.datasets.check import check_sequences
from harness.errors import DataError
from harness.stage import Data

ROLES = ("pretraining", "offline")
"""The training stages that a protocol names a training set for."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkMaterial:
    """One benchmark as it lies on disk."""

    protocol: Protocol
    data_kind: str
    """`embedded`, `derived` or `real`."""

    fingerprint: str
    """Of the protocol with its truth: rows that differ in it do not belong in one table."""

    sequences: Mapping[str, Data]
    training: Mapping[str, Data | None]
    missing: Mapping[str, str]
    """For every None in `training`: what was looked for."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that a study reads."""

    root: Path
    data_kind: str
    benchmarks: Mapping[str, BenchmarkMaterial]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Benchmark → why it is left out."""

    notes: tuple[str, ...] = ()
    """What the check found that is odd but no error."""


def gather(
    protocols: Iterable[Protocol], root: Path, cache: Path, tell: Callable[[str], None] = lambda words: None
) -> Material:
    """The material of these benchmarks under `root`. `cache`: file for what is known of unchanged files.

    A benchmark that is not at hand is left out if another one is. Raises DataError if none is, if `root` is missing, or
    for whatever is damaged in what will be read."""
    root = root.absolute()
    found: dict[str, BenchmarkMaterial] = {}
    absent: dict[str, str] = {}
    errors: list[str] = []
    notes: list[str] = []
    training: dict[str, Data | str] = {}
    sets = load_training_sets()
    for protocol in protocols:
        try:
            find_root(root, protocol)
        except DataError as error:
            absent[protocol.name] = f"no {protocol.dataset.title} under the data root"
            errors.append(str(error))
            continue
        for role in ROLES:
            name = getattr(protocol, role)
            if name is not None and name not in training:
                training[name] = _training(name, root, sets[name], cache, notes, tell)
        found[protocol.name] = _benchmark(protocol, root, cache, training, notes, tell)
    if not found:
        raise DataError("\n".join(errors) or f"{root}: no benchmark asked for")
    return Material(
        root=root, data_kind=data_kind(root), benchmarks=found, absent=absent, notes=tuple(dict.fromkeys(notes))
    )


def _benchmark(
    protocol: Protocol,
    root: Path,
    cache: Path,
    training: Mapping[str, Data | str],
    notes: list[str],
    tell: Callable[[str], None],
) -> BenchmarkMaterial:
    tell(f"checking {protocol.title}")
    sequences = load_benchmark(protocol, root)
    _check(sequences, cache, notes)
    contents = digests(sequences, cache)
    sets: dict[str, Data | None] = {}
    missing: dict[str, str] = {}
    for role in ROLES:
        name = getattr(protocol, role)
        material = training[name] if name is not None else f"{protocol.title} names no training set for it"
        sets[role] = material if isinstance(material, Data) else None
        if isinstance(material, str):
            missing[role] = material
    return BenchmarkMaterial(
        protocol=protocol,
        data_kind=data_kind(root, protocol),
        fingerprint=protocol.fingerprint(sequences, cache),
        sequences={
            sequence.name: Data(name=f"{protocol.name}/{sequence.name}", digest=content, value=sequence)
            for sequence, content in zip(sequences, contents, strict=True)
        },
        training=sets,
        missing=missing,
    )


def _training(
    name: str, root: Path, entry: TrainingSet, cache: Path, notes: list[str], tell: Callable[[str], None]
) -> Data | str:
    """The training set, or in words why there is none. What is there and damaged is an error."""
    try:
        find_root(root, entry)
    except DataError:
        return f"no {entry.title} under the data root"
    tell(f"checking {entry.title}")
    sequences = load_training(name, root)
    _check(sequences, cache, notes)
    together = "\n".join(digests(sequences, cache))
    return Data(name=name, digest=hashlib.sha256(together.encode()).hexdigest(), value=sequences)


def _check(sequences: tuple[Sequence, ...], cache: Path, notes: list[str]) -> None:
    """Raises DataError with all that is wrong in what will be read."""
    problems = check_sequences(sequences, cache)
    errors = [problem.message for problem in problems if problem.severity == "error"]
    notes += [problem.message for problem in problems if problem.severity == "note"]
    if errors:
        shown = errors[:20]
        more = [f"… and {len(errors) - len(shown)} more"] if len(errors) > len(shown) else []
        raise DataError("\n".join([*shown, *more]))
