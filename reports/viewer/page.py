"""The page `compare.html` with its data in `compare/`: two variants of a study, frame by frame.

`compare.html` and `viewer.js` are fixed files. What they show comes as scripts that call `addData`:
`study.js` (benchmarks, variants, mean J of every sequence), and per sequence `frames.js` (names of the frames, J of
every frame), `truth.js` and `masks-<cell>.js` (pictures.py)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.datasets import Sequence, load_benchmark, load_protocols
from harness.errors import DataError, StudyError
from harness.results import CellResult
from harness.score.measures import RECALL_THRESHOLD
from reports.inputs import Part, Scorebook, describe, has_file, main_measure, name_of, natural
from reports.media import COLORS
from reports.viewer.curves import Curves, on_frames, read_curves, thousandths
from reports.viewer.pictures import Volume, write_data, write_frames, write_masks, write_truth

PAGE = "compare.html"

LIMIT = 256_000_000
"""Bytes of the pictures of a report, shared equally by its benchmarks."""

UNREADABLE = "the dataset of these results can no longer be read"


def write_viewer(
    study: str, parts: Iterable[Part], scores: Scorebook, baseline: str, folder: Path, limit: int = LIMIT
) -> list[str]:
    """Write the page and its data into `folder`; return the files, none if no benchmark has results of two variants.

    A sequence is begun only while the pictures of its benchmark are below its share of `limit`, in bytes."""
    chosen = [(part, benchmark, cells) for part in parts for benchmark, cells in comparable(part).items()]
    if not chosen:
        return []
    here = Path(__file__).parent
    (folder / "compare").mkdir()
    shutil.copy(here / PAGE, folder / PAGE)
    shutil.copy(here / "viewer.js", folder / "compare/viewer.js")
    described = [
        write_benchmark(part, benchmark, cells, scores, baseline, folder / "compare", limit // len(chosen))
        for part, benchmark, cells in chosen
    ]
    document = {
        "study": study,
        "threshold": thousandths(RECALL_THRESHOLD),
        "colors": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLORS],
        "benchmarks": [one for one in described if one["sequences"]],
    }
    write_data(folder / "compare/study.js", "study", document)
    files = sorted(path.relative_to(folder).as_posix() for path in (folder / "compare").rglob("*") if path.is_file())
    return [PAGE, *files]


def comparable(part: Part) -> dict[str, tuple[CellResult, ...]]:
    """Return benchmark → cells with J of every frame or with masks, for benchmarks where two variants have them."""
    shown = {
        name: tuple(cell for cell in part.select(name) if cell.masks or has_file(cell, "frames.csv"))
        for name in part.benchmarks
    }
    return {name: cells for name, cells in shown.items() if len({cell.variant for cell in cells}) > 1}


def write_benchmark(
    part: Part,
    benchmark: str,
    cells: tuple[CellResult, ...],
    scores: Scorebook,
    baseline: str,
    folder: Path,
    limit: int,
) -> dict[str, Any]:
    """Write the data of all sequences into `<folder>/<benchmark>/` and return what the page is told of the benchmark.

    Pictures are written of the sequences that differ most first, until they have `limit` bytes."""
    place = f"{benchmark}{part.suffix}"
    curves = [read_curves(cell) for cell in cells]
    means = [scores.sequences(cell, main_measure().name) for cell in cells]
    videos = _videos(benchmark, cells)
    masked = {name for cell in cells for name in cell.masks}
    names = sorted({name for by_sequence in curves for name in by_sequence} | masked & videos.keys(), key=natural)
    volume, drawn, unread = Volume(), set[str](), []
    for name in sorted(names, key=lambda name: -_spread(means, name)):
        target = folder / place / name
        target.mkdir(parents=True)
        pictures: dict[str, Any] = {}
        video = videos.get(name)
        if video and volume.bytes < limit:
            try:
                pictures = _draw(video, cells, target, f"{place}/{name}", volume)
                drawn.add(name)
            except DataError:  # its message names paths of this machine, which a report must not contain
                unread.append(name)
                shutil.rmtree(target)
                target.mkdir()
        write_data(target / "frames.js", f"{place}/{name}/frames", {**_scores(video, name, curves), **pictures})
    variants = {cell.variant: name_of(cell) for cell in part.select(benchmark)}
    shown = list(dict.fromkeys(cell.variant for cell in cells))
    return {
        "name": place,
        "title": f"{part.title(benchmark)}{part.suffix}",
        "about": describe(part, benchmark),
        "pictures": _volume_text(len(names), drawn, unread, volume, limit) if videos else f"No pictures: {UNREADABLE}.",
        "variants": [{"name": name, "title": title} for name, title in variants.items()],
        "pair": sorted(shown, key=lambda name: name == baseline)[:2],
        "cells": [{"variant": one.variant, "seed": None if one.submitted else one.seed} for one in cells],
        "sequences": [
            {"name": name, "J": [thousandths(mean[name]) if name in mean else None for mean in means]} for name in names
        ],
    }


def _draw(
    video: Sequence, cells: tuple[CellResult, ...], folder: Path, name: str, volume: Volume
) -> dict[str, Any]:
    """Write the pictures of a sequence and return what `frames.js` says of them."""
    masks = {number: cell.masks[video.name] for number, cell in enumerate(cells) if video.name in cell.masks}
    width, height = write_frames(video, folder, volume)
    truth = write_truth(video, folder, name, volume)
    return {"size": [width, height], "truth": truth, "masks": write_masks(video, masks, folder, name, volume)}


def _scores(video: Sequence | None, name: str, curves: Iterable[Curves]) -> dict[str, Any]:
    """Return the names of the frames, which are those with a score if there is no video, and J of every cell."""
    given = [by_sequence.get(name, {}) for by_sequence in curves]
    scored = {frame for by_object in given for curve in by_object.values() for frame in curve}
    frames = [video.frame_name(index) for index in range(len(video))] if video else sorted(scored, key=natural)
    return {"frames": frames, "J": [on_frames(by_object, frames) for by_object in given]}


def _videos(benchmark: str, cells: Iterable[CellResult]) -> Mapping[str, Sequence]:
    """Return the sequences of a benchmark by name; none if its data is not on this machine."""
    protocols, root = load_protocols(), next((cell.data_root for cell in cells if cell.data_root), "")
    if benchmark not in protocols or not root:
        return {}
    try:
        return {sequence.name: sequence for sequence in load_benchmark(protocols[benchmark], Path(root))}
    except (DataError, StudyError):
        return {}


def _spread(means: Iterable[Mapping[str, float]], name: str) -> float:
    """Return the largest difference in J between two cells on a sequence; -1 if nothing is scored."""
    values = [mean[name] for mean in means if name in mean]
    return max(values) - min(values) if values else -1.0


def _volume_text(names: int, drawn: set[str], unread: list[str], volume: Volume, limit: int) -> str:
    """Return which sequences have pictures and what a picture takes, as sentences."""
    text = f"Pictures of {'all' if len(drawn) == names else f'{len(drawn)} of'} {names} sequences"
    if len(drawn) + len(unread) < names:
        text += f", those whose J differs most between variants, until {limit / 1e6:.0f} MB were reached"
    if drawn:
        text += f": {volume.frames} frames of {volume.frame_bytes / volume.frames / 1e3:.1f} kB"
    if volume.masks:
        text += f", {volume.masks} masks of {volume.mask_bytes / volume.masks / 1e3:.2f} kB"
    text += "; curves of all." if len(drawn) < names else "."
    return text + (f" Frames or masks can no longer be read: {', '.join(unread)}." if unread else "")
