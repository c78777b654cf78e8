"""What two scores counted: data, videos, objects, frames and rules; and both means over what both counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from harness.datasets import Protocol, load_protocols
from harness.results import CellResult
from harness.score import MEASURES, Measure
from reports.diff.findings import Finding, Topic, counted, listed
from reports.diff.sides import Results
from reports.inputs import Lineage, format_number, has_file, read_columns
from reports.inputs.scores import class_of

_RULES = {
    "split": "split",
    "multi_object": "several objects",
    "merge_objects": "objects merged",
    "skip_first": "frames skipped at the start",
    "skip_last": "frames skipped at the end",
    "averaging": "mean over",
    "boundary_tolerance": "tolerance of F",
    "counting": "objects and frames that count",
    "sparse": "videos with too little truth skipped",
}
"""Field of a protocol → its name in a comparison."""

Frames = Mapping[tuple[str, int], Mapping[str, tuple[float, float]]]
"""Sequence and object → frame → J and F, in time order."""


@dataclass(frozen=True, kw_only=True)
class InCommon:
    """Both means over the videos, objects and frames that both scores counted, averaged as the first one."""

    videos: int
    frames: int
    """Values that were averaged: frames of all objects."""

    averaging: str
    first: float
    second: float


def counting(a: CellResult, b: CellResult, measure: str, lineage: Lineage) -> Iterator[Finding]:
    """Yield the differences in what two scores counted. `measure`: shown of the videos that one side lacks."""
    if a.data_kind != b.data_kind:
        yield Finding(topic="data", text=f"{a.data_kind} → {b.data_kind} data", first=a.data_kind, second=b.data_kind)
    if a.extent != b.extent:
        whole = "the whole benchmark"
        text = f"{a.extent or whole} → {b.extent or whole}"
        yield Finding(topic="videos", text=text, first=a.extent, second=b.extent)
    stages = lineage.score(a), lineage.score(b)
    ours, theirs = (stage.identity.data if stage else {} for stage in stages)
    if a.benchmark == b.benchmark:
        yield from _contents(ours, theirs, same_truth=a.protocol == b.protocol)
    yield from _sequences(a, b, measure)
    yield from _rules(a, b, ours, theirs)


def _contents(ours: Mapping[str, str], theirs: Mapping[str, str], *, same_truth: bool) -> Iterator[Finding]:
    """Yield the videos that both have and that hold other frames or another truth. Mappings: video → digest."""
    common = ours.keys() & theirs.keys()
    differing = sorted(name for name in common if ours[name] != theirs[name])
    if differing:
        what = "frames (the truth is the same)" if same_truth else "frames or truth"
        text = f"other {what} in {len(differing)} of {counted(len(common), 'common video')}: {listed(differing)}"
        digests = [{name: side[name] for name in differing} for side in (ours, theirs)]
        yield Finding(topic="data", text=text, first=digests[0], second=digests[1])


def _sequences(a: CellResult, b: CellResult, measure: str) -> Iterator[Finding]:
    """Yield the differences of the two `sequences.csv`."""
    if not (has_file(a, "sequences.csv") and has_file(b, "sequences.csv")):
        if a.sequences != b.sequences and a.done and b.done:
            text = f"{a.sequences} → {b.sequences} videos"
            yield Finding(topic="videos", text=text, first=a.sequences, second=b.sequences)
        return
    ours, theirs = _table(a, measure), _table(b, measure)
    if ours.keys() != theirs.keys():
        only = [sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())]
        text = f"{len(ours)} → {counted(len(theirs), 'video')}"
        for side, table, names in zip("AB", (ours, theirs), only, strict=True):
            text += f"; only in {side}: {listed(f'{name}{table[name].shown}' for name in names)}" if names else ""
        yield Finding(topic="videos", text=text, first=only[0], second=only[1])
    common = sorted(ours.keys() & theirs.keys())
    numbers = [{name: side[name].objects for name in common} for side in (ours, theirs)]
    yield from _numbers("objects", "objects", *numbers)
    numbers = [{name: side[name].frames for name in common} for side in (ours, theirs)]
    yield from _numbers("frames", "scored frames", *numbers)


def _numbers(topic: Topic, noun: str, ours: Mapping[str, int], theirs: Mapping[str, int]) -> Iterator[Finding]:
    """Yield the videos in which a number differs. Mappings: video that both have → number."""
    differing = [name for name in ours if ours[name] != theirs[name]]
    if differing:
        examples = listed([f"{name} {ours[name]} → {theirs[name]}" for name in differing], 3)
        totals = f"{sum(ours.values()):,} → {sum(theirs.values()):,} {noun}"
        first, second = ({name: side[name] for name in differing} for side in (ours, theirs))
        text = f"{totals} in the videos that both have: {examples}"
        yield Finding(topic=topic, text=text, first=first, second=second)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What a score says of a video."""

    objects: int
    frames: int
    value: float | None

    @property
    def shown(self) -> str:
        """The value in brackets, if it is known."""
        return "" if self.value is None else f" ({format_number(self.value)})"


def _table(cell: CellResult, measure: str) -> Mapping[str, _Row]:
    """Return the rows of the sequences that have a score."""
    columns = read_columns(cell, "sequences.csv")
    names = columns["sequence"]
    empty = ("",) * len(names)
    rows = zip(names, *(columns.get(name, empty) for name in ("objects", "frames", measure)), strict=True)
    return {
        name: _Row(objects=int(objects), frames=int(frames or 0), value=float(value) if value else None)
        for name, objects, frames, value in rows
        if objects
    }


def _rules(a: CellResult, b: CellResult, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what differs in the rules and in the truth. Mappings: video → digest of its frames and truth."""
    if a.benchmark != b.benchmark:
        text = f"{a.benchmark_title} → {b.benchmark_title}"
        yield Finding(topic="protocol", text=text, first=a.benchmark, second=b.benchmark)
        protocols = load_protocols()
        if a.benchmark in protocols and b.benchmark in protocols:
            yield from _protocols(protocols[a.benchmark], protocols[b.benchmark])
    elif a.protocol != b.protocol and a.protocol and b.protocol:
        why = "rules or truth differ"
        if ours and ours == theirs:
            why = "rules differ (tolerance or averaging); the truth is the same"
        elif (common := ours.keys() & theirs.keys()) and all(ours[name] == theirs[name] for name in common):
            why = "differs by the videos; those in common have the same truth and scored frames"
        text = f"{why} (fingerprint {a.protocol[:8]} → {b.protocol[:8]})"
        yield Finding(topic="protocol", text=text, first=a.protocol, second=b.protocol)


def _protocols(ours: Protocol, theirs: Protocol) -> Iterator[Finding]:
    if ours.dataset.name != theirs.dataset.name:
        names = ours.dataset.title, theirs.dataset.title
        yield Finding(topic="protocol", text=f"dataset: {names[0]} → {names[1]}", first=names[0], second=names[1])
    for field, title in _RULES.items():
        first, second = getattr(ours, field), getattr(theirs, field)
        if first != second:
            yield Finding(topic="protocol", text=f"{title}: {first} → {second}", first=first, second=second)


def recount(one: Results, other: Results, measure: str) -> InCommon | None:
    """Return both means over what both counted; None if they have nothing in common, or nothing differs.

    It is exact: it is computed from the frames. Raises ReportError for a score file that cannot be read."""
    protocols = load_protocols()
    rules = [protocols.get(side.first.benchmark) for side in (one, other)]
    if rules[0] is None or rules[1] is None or rules[0].merge_objects != rules[1].merge_objects:
        return None  # then an object of one score is not an object of the other
    cells = one.done, other.done
    if not all(cell_list and all(has_file(cell, "frames.csv") for cell in cell_list) for cell_list in cells):
        return None
    frames = [[_frames(cell) for cell in cell_list] for cell_list in cells]
    everything = [found for side in frames for found in side]
    common: dict[tuple[str, int], list[str]] = {}
    for key in set.intersection(*(set(found) for found in everything)):
        names = set.intersection(*(set(found[key]) for found in everything))
        if names:
            common[key] = [name for name in everything[0][key] if name in names]
    if not common:
        return None
    if not all(one.source in ("J", "F") and not one.partial for one in _parts(measure)):
        return None  # its values by frame are not among those of the comparison
    averaging = rules[0].averaging
    means = [fmean(_mean(found, common, measure, averaging) for found in side) for side in frames]
    return InCommon(
        videos=len({name for name, _ in common}),
        frames=sum(map(len, common.values())),
        averaging=averaging,
        first=means[0],
        second=means[1],
    )


def _frames(cell: CellResult) -> Frames:
    columns = read_columns(cell, "frames.csv")
    found: dict[tuple[str, int], dict[str, tuple[float, float]]] = {}
    texts = (columns[name] for name in ("sequence", "object", "frame", "J", "F"))
    for sequence, number, frame, j, f in zip(*texts, strict=True):
        found.setdefault((sequence, int(number)), {})[frame] = float(j), float(f)
    return found


def _mean(found: Frames, common: Mapping[tuple[str, int], list[str]], measure: str, averaging: str) -> float:
    """Return the benchmark's mean of a measure over these frames."""
    by_sequence: dict[str, list[float]] = {}
    for key in sorted(common):
        values = np.array([found[key][frame] for frame in common[key]])
        by_sequence.setdefault(key[0], []).append(_statistic(values, measure))
    if averaging == "objects":
        return fmean(value for values in by_sequence.values() for value in values)
    means = {name: fmean(values) for name, values in by_sequence.items()}
    if averaging == "sequences":
        return fmean(means.values())
    classes: dict[str, list[float]] = {}
    for name, value in means.items():
        classes.setdefault(class_of(name), []).append(value)
    return fmean(map(fmean, classes.values()))


def _statistic(values: NDArray[np.float64], measure: str) -> float:
    """Return a measure of one object. `values`: frames × 2 (J and F)."""
    found = (
        one.statistic(values[:, "JF".index(one.source)]) for one in _parts(measure) if one.statistic and one.source
    )
    return fmean(found)


def _parts(measure: str) -> list[Measure]:
    """Return the measures of single objects whose mean a measure is, or itself."""
    return [MEASURES[name] for name in MEASURES[measure].mean_of or (measure,)]
