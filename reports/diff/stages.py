"""What differs in the stages behind two scores: options, training, code, libraries, hardware."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.planning.invalidation import Change, changes_between, flatten, option_changes
from harness.results import CellResult
from harness.store.manifest import Manifest
from reports.diff.findings import Finding, Topic, counted, listed, option_rank
from reports.inputs import Budgets, Lineage
from reports.inputs.budgets import Budget, Training

FROM_STAGES: tuple[Topic, ...] = ("options", "training", "code", "libraries", "hardware")
"""Topics of which only the stages say something."""


_RESULTS = (".pt", ".pth", ".png")
"""Endings of files that must be equal if a computation is repeated exactly: networks and masks."""

_VIDEOS = {"video", "videos"}
"""Roles of data of which other topics tell: videos of the benchmark and of a training."""


@dataclass
class Stages:
    """Stages behind two scores: those that correspond and differ, and those that one side alone has."""

    pairs: list[tuple[Manifest, Manifest]] = field(default_factory=list)
    only: tuple[list[Manifest], list[Manifest]] = field(default_factory=lambda: ([], []))
    """Stages of each side in a role that the other side's stage does not have."""

    absent: set[str] = field(default_factory=set)
    """Keys of stages that are no longer in their store."""

    every: tuple[dict[str, Manifest], dict[str, Manifest]] = field(default_factory=lambda: ({}, {}))
    """Key → stage behind each score, the score itself included."""


def pair_stages(first: Manifest, second: Manifest, lineage: Lineage) -> Stages:
    """Return the stages behind two scores, paired by the roles under which they are needed."""
    found = Stages()
    for side, score in zip(found.every, (first, second), strict=True):
        found.absent |= _collect(score, lineage, side)
    seen = set()
    work = [(first, second)]
    while work:
        one, other = work.pop()
        if one.key == other.key or (one.key, other.key) in seen:
            continue
        seen.add((one.key, other.key))
        found.pairs.append((one, other))
        ours, theirs = lineage.needs(one), lineage.needs(other)
        if one.name == "score" and not ours.keys() & theirs.keys():  # no video in common: any two show what differs
            ours, theirs = ({"a video": next(iter(side.values()), None)} for side in (ours, theirs))
        for role in sorted(ours.keys() | theirs.keys()):
            a, b = ours.get(role), theirs.get(role)
            if a and b:
                work.append((a, b))
            elif one.name != "score":  # a video that only one side has is no difference of the stages
                found.only[0].extend([a] if a and role not in theirs else [])
                found.only[1].extend([b] if b and role not in ours else [])
    return found


def _collect(stage: Manifest, lineage: Lineage, into: dict[str, Manifest]) -> set[str]:
    """Add a stage and all that it needs; return the keys of those that are in no store."""
    absent: set[str] = set()
    work = [stage]
    while work:
        stage = work.pop()
        if stage.key in into:
            continue
        into[stage.key] = stage
        needs = lineage.needs(stage)
        absent |= {stage.identity.needs[role] for role, need in needs.items() if need is None}
        work += [need for need in needs.values() if need]
    return absent


def differences(one: CellResult, other: CellResult, stages: Stages, lineage: Lineage) -> Iterator[Finding]:
    """Yield what differs in the stages."""
    sequences = {role for side in stages.every for stage in side.values() if stage.name == "score"
                 for role in stage.identity.needs}  # fmt: skip
    yield from _functions(stages, sequences)
    same_rules = one.benchmark == other.benchmark  # else the rules of the benchmarks have been compared
    yield from (found for found in _changes(stages, sequences) if same_rules or found.topic != "protocol")
    budgets = Budgets(lineage)
    yield from _training(budgets.of(one), budgets.of(other))
    yield from _provenance(stages)
    yield from _recomputed(stages, sequences)
    if one.hardware and other.hardware and one.hardware != other.hardware:
        text = f"seconds per frame measured on: {one.hardware} → {other.hardware}"
        yield Finding(topic="hardware", text=text, first=one.hardware, second=other.hardware)


def given_options(one: CellResult, other: CellResult) -> Iterator[Finding]:
    """Yield the differences of the options that the studies give, for results whose stages are not known."""
    ours, theirs = flatten(one.options), flatten(other.options)
    for name in sorted(ours.keys() | theirs.keys()):
        first, second = (side.get(name, "not given") for side in (ours, theirs))
        if first != second:
            yield Finding(topic="options", text=f"{name}: {first} → {second}", first=first, second=second)


def _functions(stages: Stages, sequences: Iterable[str]) -> Iterator[Finding]:
    """Yield stages that are computed by another function, and stages that only one side has."""
    runs = dict.fromkeys((a.identity.run, b.identity.run) for a, b in stages.pairs if a.identity.run != b.identity.run)
    for first, second in runs:
        yield Finding(topic="method", text=f"computed by {first} → {second}", first=first, second=second)
    for side, found in zip("AB", stages.only, strict=True):
        for kind in dict.fromkeys(kind_of(stage, sequences) for stage in found):
            sides = {"A": (kind, None), "B": (None, kind)}[side]
            yield Finding(topic="method", text=f"only {side} has: {kind}", first=sides[0], second=sides[1])


def kind_of(stage: Manifest, sequences: Iterable[str]) -> str:
    """Return what a stage does, whatever its video or data.

    `one-shot on the crop of blackswan` → `one-shot on the crop`; `train network, pre-training on voc` →
    `train network pre-training`."""
    label, _, rest = stage.label.partition(", ")
    phase, on, _ = rest.partition(" on ")
    label += f" {phase}" if on else ""
    names = "|".join(map(re.escape, sorted(sequences, key=len, reverse=True)))
    return re.sub(rf"\s*(\bof\s+)?(?<![\w-])({names})(?![\w-])", "", label).strip() if names else label


def _changes(stages: Stages, sequences: set[str]) -> Iterator[Finding]:
    """Yield options, versions, inputs and code of the stages that correspond."""
    found: dict[tuple[Topic, str, str], dict[str, None]] = {}
    modules: dict[str, dict[str, None]] = {}
    for a, b in sorted(stages.pairs, key=lambda pair: pair[0].label):
        if a.identity.run != b.identity.run:
            continue
        kind = kind_of(a, sequences)
        for change in changes_between(a.identity, b.identity, option_changes(a.identity, b.identity)):
            if change.what == "code":
                modules.setdefault(change.name, {})[kind] = None
            elif topic := _topic(change, a):
                found.setdefault((topic, *_described(change, a, b)), {})[kind] = None
    for (topic, name, values), kinds in sorted(found.items(), key=lambda item: option_rank(item[0][1])):
        old, _, new = values.partition(" → ")
        yield Finding(topic=topic, text=f"{name}: {values} ({listed(kinds, 2)})", first=old, second=new)
    yield from _code(stages, modules)


def _topic(change: Change, stage: Manifest) -> Topic | None:
    """Return the topic of a change; None for one that seeds, videos or machines show already."""
    if change.what == "config" and stage.name == "score":
        return "protocol"
    if change.what == "config":
        return None if change.name.rpartition(".")[2] == "seed" else "options"
    if change.what in ("scheme", "version"):
        return "code"
    is_video = stage.name == "score" or change.name in _VIDEOS
    return "options" if change.what == "data" and not is_video else None


def _described(change: Change, a: Manifest, b: Manifest) -> tuple[str, str]:
    """Return the name of a change and its values as `old → new`."""
    if change.what == "data":
        old, new = (side.identity.data.get(change.name, "none")[:8] for side in (a, b))
        return f"{change.name}, content", f"{old} → {new}"
    names = {"scheme": "way in which keys are made", "version": "version of the stage"}
    return names.get(change.what, change.name), f"{change.old} → {change.new}"


def _code(stages: Stages, modules: Mapping[str, Mapping[str, None]]) -> Iterator[Finding]:
    """Yield the modules that differ, by the stages that reach them."""
    by_kinds: dict[tuple[str, ...], list[str]] = {}
    for module, kinds in modules.items():
        by_kinds.setdefault(tuple(kinds), []).append(module)
    for those, names in by_kinds.items():
        text = f"{counted(len(names), 'module')} of {listed(those, 3)}: {listed(names, 6)}"
        yield Finding(topic="code", text=text, first=None, second=names)
    if modules:
        first, second = (_set(side, lambda stage: stage.revision[:12] or "unknown") for side in stages.every)
        if first != second:
            yield Finding(topic="code", text=f"revision: {first} → {second}", first=first, second=second)


def _training(ours: Budget, theirs: Budget) -> Iterator[Finding]:
    """Yield the differences in training data, steps and samples, network by network."""
    if ours.trainings == theirs.trainings:
        return
    if unequal := ours.difference(theirs):
        yield Finding(topic="training", text=f"unequal: {unequal}")
    for network in dict.fromkeys([*ours.samples, *theirs.samples]):
        sides = [[one for one in budget.trainings if one.network == network] for budget in (ours, theirs)]
        first, second = map(_trainings, sides)
        if first != second:
            yield Finding(topic="training", text=f"{network}: {first} → {second}", first=first, second=second)
        elif (digests := [{one.data: one.digest for one in side} for side in sides])[0] != digests[1]:
            names = [name for name in digests[0] if digests[0][name] != digests[1].get(name)]
            text = f"{network}: other videos or images under the name {listed(names)}"
            yield Finding(topic="training", text=text, first=digests[0], second=digests[1])


def _trainings(stages: list[Training]) -> str:
    if not stages:
        return "not trained"
    steps = " + ".join(f"{one.steps:,} steps on {one.data}" for one in stages)
    first = stages[0]
    weights = next((f", from {one.weights}" for one in stages if one.weights), "")
    return f"{first.backbone} at {first.size}, {steps} ({sum(one.samples for one in stages):,} samples){weights}"


def _provenance(stages: Stages) -> Iterator[Finding]:
    """Yield versions of libraries, kinds of device and machines."""
    libraries = [_libraries(side.values()) for side in stages.every]
    for name in sorted(libraries[0].keys() | libraries[1].keys()):
        first, second = (", ".join(sorted(side.get(name, {"unused"}))) for side in libraries)
        if first != second:
            yield Finding(topic="libraries", text=f"{name} {first} → {second}", first=first, second=second)
    for what, read in (
        ("device", lambda stage: stage.identity.environment.get("device", "")),
        ("machine", lambda stage: stage.hardware),
    ):
        first, second = (_set(side, read) for side in stages.every)
        if first != second and "unknown" not in (first, second):
            yield Finding(topic="hardware", text=f"{what}: {first} → {second}", first=first, second=second)


def _recomputed(stages: Stages, sequences: set[str]) -> Iterator[Finding]:
    """Yield stages of the same key whose networks or masks differ: they were computed twice, in two homes."""
    ours, theirs = stages.every
    kinds: dict[str, int] = {}
    for key in ours.keys() & theirs.keys():
        digests = [
            {file: facts.get("sha256") for file, facts in side[key].files.items() if file.endswith(_RESULTS)}
            for side in (ours, theirs)
        ]
        if digests[0] != digests[1]:
            kind = kind_of(ours[key], sequences)
            kinds[kind] = kinds.get(kind, 0) + 1
    for kind, count in sorted(kinds.items()):
        text = f"computed twice from the same inputs, with other results: {kind} ({counted(count, 'stage')})"
        yield Finding(topic="hardware", text=text, second=count)


def _libraries(stages: Iterable[Manifest]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for stage in stages:
        known = {**stage.provenance.get("libraries", {}), "Python": stage.provenance.get("python", "")}
        for name, version in known.items():
            if version:
                found.setdefault(name, set()).add(version)
    return found


def _set(stages: Mapping[str, Manifest], read: Any) -> str:
    return ", ".join(sorted({read(stage) for stage in stages.values()} - {""})) or "unknown"
