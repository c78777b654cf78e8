"""The page `compare.html` with its data in `compare/`: two variants of a study, frame by frame.

`compare.html` and `viewer.js` are fixed files. What they show comes as scripts that call `addData`: `study.js`
(benchmarks, variants, mean J of every sequence), and for every sequence `frames.js` (names of its frames and J of
each), `truth.js` and `masks-<cell>.js` (pictures.py)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.datasets import Sequence
from harness.errors import DataError, StudyError
from harness.report import LOCAL
from harness.results import CellResult
from harness.score.measures import RECALL_THRESHOLD
from reports.inputs import Part, Scorebook, Videos, describe, has_file, main_measure, name_of, natural
from reports.media import COLORS
from reports.viewer.curves import Curves, on_frames, read_curves, thousandths
from reports.viewer.pictures import Size, Volume, truth_pictures, write_data, write_frames, write_masks, write_pictures

PAGE = "compare.html"

FOLDER = "compare"
"""Name of the folder with the page's data."""

LIMIT = 256_000_000
"""Bytes of all pictures of a report, shared equally by its benchmarks."""


def write_viewer(
    study: str,
    parts: Iterable[Part],
    scores: Scorebook,
    videos: Videos,
    baseline: str,
    folder: Path,
    limit: int = LIMIT,
) -> list[str]:
    """Write the page and its data into `folder`; return the files, none if no benchmark has results of two variants.

    `baseline`: a variant that the page does not show first. No sequence of a benchmark gets pictures once those before
    it have reached the benchmark's share of `limit`, in bytes."""
    chosen = [one for part in parts for benchmark in part.benchmarks if (one := _find(part, benchmark, scores, videos))]
    if not chosen:
        return []
    here, target = Path(__file__).parent, folder / FOLDER
    target.mkdir()
    (target / LOCAL).touch()
    shutil.copy(here / PAGE, folder / PAGE)
    shutil.copy(here / "viewer.js", target / "viewer.js")
    writer = Writer(scores=scores, baseline=baseline, folder=target, limit=limit // len(chosen))
    document = {
        "study": study,
        "threshold": thousandths(RECALL_THRESHOLD),
        "colors": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLORS],
        "benchmarks": [writer.write(one) for one in chosen],
    }
    write_data(target / "study.js", "study", document)
    return [PAGE, *sorted(path.relative_to(folder).as_posix() for path in target.rglob("*") if path.is_file())]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What can be compared on one benchmark."""

    part: Part
    name: str
    cells: tuple[CellResult, ...]
    """Cells with J of every frame or with masks."""

    videos: Mapping[str, Sequence]
    """Sequences whose frames are on this machine."""

    sequences: tuple[str, ...]


def _find(part: Part, benchmark: str, scores: Scorebook, known: Videos) -> Benchmark | None:
    """Return what can be compared on a benchmark; None without sequences or with one variant only."""
    scored = [cell for cell in part.select(benchmark) if has_file(cell, "frames.csv")]
    cells = tuple(cell for cell in part.select(benchmark) if cell.masks or cell in scored)
    videos = _by_name(cells, known)
    names = {name for cell in scored for name in scores.sequences(cell, main_measure([cell]).name)}
    names |= {name for cell in cells for name in cell.masks if name in videos}
    if not names or len({cell.variant for cell in cells}) < 2:
        return None
    order = tuple(sorted(names, key=natural))
    return Benchmark(part=part, name=benchmark, cells=cells, videos=videos, sequences=order)


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes the data of benchmarks."""

    scores: Scorebook
    baseline: str
    folder: Path
    limit: int
    """Bytes of the pictures of one benchmark."""

    written: dict[tuple[Path, ...], tuple[str, Size]] = field(default_factory=dict)
    """Files of frames → where their pictures are, and at what size: benchmarks may share videos."""

    def write(self, found: Benchmark) -> dict[str, Any]:
        """Write the data of all sequences and return what `study.js` says of the benchmark.

        The sequences that differ most come first, since later ones may get no pictures."""
        part, cells, names = found.part, found.cells, found.sequences
        place = f"{found.name}{part.suffix}"
        curves = [read_curves(cell) for cell in cells]
        means = [self.scores.sequences(cell, main_measure(cells).name) for cell in cells]
        volume, drawn, unread = Volume(), 0, list[str]()
        for name in sorted(names, key=lambda name: -_spread(means, name)):
            (self.folder / place / name).mkdir(parents=True)
            video, pictures = found.videos.get(name), dict[str, Any]()
            if video and volume.bytes < self.limit:
                try:
                    pictures = self._draw(video, cells, f"{place}/{name}", volume)
                    drawn += 1
                except DataError:  # its message names paths of this machine, which a report must not contain
                    unread.append(name)
            script = self.folder / place / name / "frames.js"
            write_data(script, f"{place}/{name}/frames", {**_by_frame(video, name, curves), **pictures})
        scores = {name: [thousandths(mean[name]) if name in mean else None for mean in means] for name in names}
        titles = {cell.variant: name_of(cell) for cell in part.select(found.name)}
        shown = dict.fromkeys(cell.variant for cell in cells)
        return {
            "name": place,
            "title": f"{part.title(found.name)}{part.suffix}",
            "about": describe(part, found.name),
            "measure": main_measure(cells).title,
            "pictures": _extent(len(names), drawn, unread, volume, self.limit if found.videos else 0),
            "variants": [{"name": name, "title": title} for name, title in titles.items()],
            "pair": sorted(shown, key=lambda variant: variant == self.baseline)[:2],
            "cells": [{"variant": one.variant, "seed": None if one.submitted else one.seed} for one in cells],
            "sequences": [{"name": name, "J": values} for name, values in scores.items()],
        }

    def _draw(self, video: Sequence, cells: Iterable[CellResult], name: str, volume: Volume) -> dict[str, Any]:
        """Write the pictures of a sequence and return what `frames.js` says of them. Raises DataError."""
        folder = self.folder / name
        if video.frames not in self.written:
            self.written[video.frames] = name, write_frames(video, folder, volume)
        place, size = self.written[video.frames]
        truth = truth_pictures(video)
        if any(truth):
            write_pictures(folder, name, "truth", truth, volume)
        masks = {number: cell.masks[video.name] for number, cell in enumerate(cells) if video.name in cell.masks}
        scripts = write_masks(video, masks, folder, name, volume)
        return {"size": size, "place": place, "truth": any(truth), "masks": scripts}


def _by_frame(video: Sequence | None, name: str, curves: Iterable[Curves]) -> dict[str, Any]:
    """Return the names of the frames, of the scored ones if there is no video, and J as cells × objects × frames."""
    given = [by_sequence.get(name, {}) for by_sequence in curves]
    scored = {frame for by_object in given for curve in by_object.values() for frame in curve}
    frames = [video.frame_name(index) for index in range(len(video))] if video else sorted(scored, key=natural)
    return {"frames": frames, "J": [on_frames(by_object, frames) for by_object in given]}


def _by_name(cells: Iterable[CellResult], videos: Videos) -> Mapping[str, Sequence]:
    """Return the sequences of the benchmark of these cells by name; none if they are not on this machine."""
    try:
        return {sequence.name: sequence for sequence in videos.of(cells)}
    except (DataError, StudyError):
        return {}


def _spread(means: Iterable[Mapping[str, float]], name: str) -> float:
    """Return the largest difference between two cells on a sequence; -1 if nothing is scored."""
    values = [mean[name] for mean in means if name in mean]
    return max(values) - min(values) if values else -1.0


def _extent(names: int, drawn: int, unread: list[str], volume: Volume, limit: int) -> str:
    """Return which sequences have pictures and how large these are, as sentences. `limit`: 0 without a dataset."""
    if not limit:
        return "No pictures: the dataset of these results can no longer be read. The curves are complete."
    text = f"Pictures of {'all' if drawn == names else f'{drawn} of'} {names} sequences"
    if drawn + len(unread) < names:
        text += f", those whose J differs most between variants, until {limit / 1e6:.0f} MB were reached"
    if unread:
        text += f", not of {', '.join(unread)}, whose files can no longer be read"
    each = [
        f"{count} {what} of {size / count / 1e3:.1f} kB"
        for what, count, size in (
            ("frames", volume.frames, volume.frame_bytes),
            ("masks", volume.masks, volume.mask_bytes),
        )
        if count
    ]
    if drawn and not volume.frames:
        each.insert(0, "frames as written for another benchmark")
    return f"{text}: {', '.join(each)}." if each else f"{text}."
