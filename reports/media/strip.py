"""Strip of frames at the top of a report: the truth, the main variant, and the one that differs most from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from harness.datasets import Sequence
from harness.errors import DataError, StudyError
from harness.results import CellResult
from reports.inputs import (
    Part,
    Scorebook,
    Videos,
    cells_with_masks,
    evenly,
    format_number,
    main_measure,
    main_variant,
    name_of,
)
from reports.media.sheets import Tile, predicted, truths

FRAMES = 4  # columns of the strip
TILE = 320  # width of a frame, pixels


def draw_strip(
    part: Part, benchmark: str, scores: Scorebook, videos: Videos, baseline: str, folder: Path
) -> tuple[Mapping[str, str], str]:
    """Write `<folder>/strip/<row>.jpg` and return label → path relative to `folder`, with a caption.

    Without scores, masks or frames on this machine, there are no rows."""
    cells = {cell.variant: cell for cell in cells_with_masks(part, benchmark, baseline)}
    main = main_variant(part, benchmark, baseline)
    values = scores.by_sequence(part, benchmark, main_measure(part.select(benchmark)).name)
    known = {name: given for name, given in values.items() if main in given}
    if main not in cells or not known:
        return {}, ""
    others = [name for name, cell in cells.items() if baseline not in {name, cell.method} and name != main]
    other, video = most_different(known, main, others)
    shown = [("truth", None), *((_label(cells[name], known[video]), cells[name]) for name in (main, other) if name)]
    try:
        sequence = next((one for one in videos.of([cells[main]]) if one.name == video), None)
        if sequence is None:
            return {}, ""
        indices = _indices(sequence)
        pictures = [_row(sequence, indices, cell) for _, cell in shown]
    except (DataError, StudyError):  # the contact sheets say that the data cannot be read
        return {}, ""
    rows = {label: f"strip/{place}.jpg" for place, (label, _) in enumerate(shown)}
    (folder / "strip").mkdir()
    for path, picture in zip(rows.values(), pictures, strict=True):
        picture.save(folder / path, quality=82)
    why = f", the video on which {other}, the variant farthest from {main}, differs from it most" if other else ""
    names = ", ".join(sequence.frame_name(index) for index in indices)
    return rows, f"Frames {names} of {video}{why}."


def most_different(values: Mapping[str, Mapping[str, float]], main: str, others: list[str]) -> tuple[str, str]:
    """Return the variant whose scores are farthest from those of `main`, and the video on which they differ most.

    `values`: video → variant → score; every video has one of `main`. Distance is the mean absolute difference over the
    videos. Without others, the variant is empty and the video the one with the middle score."""

    def gaps(name: str) -> dict[str, float]:
        return {video: abs(given[name] - given[main]) for video, given in values.items() if name in given}

    means = {name: float(np.mean(list(gaps(name).values()))) for name in others if gaps(name)}
    if not means:
        ranked = sorted(values, key=lambda video: values[video][main])
        return "", ranked[len(ranked) // 2]
    other = max(means, key=lambda name: means[name])
    found = gaps(other)
    return other, max(found, key=lambda video: found[video])


def _indices(sequence: Sequence) -> list[int]:
    """Return the frames to show: evenly spaced, with a truth if possible, after the first, which is given."""
    later = range(1, len(sequence))
    marked = [index for index in later if sequence.masks[index] is not None] or list(later) or [0]
    return [marked[place] for place in evenly(len(marked), FRAMES)]


def _row(sequence: Sequence, indices: list[int], cell: CellResult | None) -> Image.Image:
    """Return the frames side by side with the masks of a cell, or with the truth."""
    frames = [sequence.frame(index) for index in indices]
    if cell:
        masks, absent = predicted(cell, sequence, indices), "no mask"
    else:
        masks, absent = truths(sequence, indices), "no truth"
    tiles = [Tile(frame, round(TILE * frame.shape[0] / frame.shape[1]), TILE) for frame in frames]
    shown = [tile.overlay(mask, absent) for tile, mask in zip(tiles, masks, strict=True)]
    return Image.fromarray(np.concatenate(shown, axis=1))


def _label(cell: CellResult, values: Mapping[str, float]) -> str:
    value = values.get(cell.variant)
    score = "" if value is None else f", {main_measure([cell]).title} {format_number(value)} on this video"
    return f"{name_of(cell)}{score}"
