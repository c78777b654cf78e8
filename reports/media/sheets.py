"""Contact sheets: one PNG per sequence, evenly sampled frames × the truth and every variant, with objects overlaid."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from harness.datasets import MaskFile, Sequence, predicted_masks, read_predicted
from harness.errors import DataError, StudyError
from harness.hardware import cores
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

FRAMES = 6  # columns of a sheet
SHEETS = 24  # at most, per benchmark; of more sequences, evenly spaced ones are drawn
TILE = 176  # width of a frame, pixels; smaller frames are enlarged
LABEL = 150  # width of the labels, pixels
LINE = 18  # height of a line of text, pixels

COLORS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167)),
    *((0, 114, 178), (240, 228, 66), (213, 94, 0), (255, 255, 255)),
)
"""RGB of object 1, 2, …: the palette of Okabe and Ito, distinguishable for color-blind readers."""

VOID = 255


def draw_sheets(
    parts: Iterable[Part], scores: Scorebook, videos: Videos, baseline: str, folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Draw `<folder>/sheets/<benchmark>/<sequence>.png`.

    Returns title → path relative to `folder`, and title → reason for sheets that were not drawn."""
    drawn: dict[str, str] = {}
    undrawn: dict[str, str] = {}
    for part in parts:
        for benchmark in part.benchmarks:
            cells = cells_with_masks(part, benchmark, baseline)
            title = f"{benchmark}{part.suffix}"
            if not cells:
                undrawn[title] = _why_no_masks(part, benchmark)
            elif not any(cell.data_root for cell in cells):
                undrawn[title] = "the results do not say where the frames are"
            else:
                try:
                    sequences = videos.of(cells)
                    known = [one for one in sequences if any(one.name in cell.masks for cell in cells)]
                    chosen = [known[index] for index in evenly(len(known), SHEETS)]
                    (folder / "sheets" / title).mkdir(parents=True)
                    with ThreadPoolExecutor(cores()) as pool:  # most of the work is done by C libraries
                        pictures = pool.map(partial(_draw, cells, scores), chosen)
                        for sequence, picture in zip(chosen, pictures, strict=True):
                            path = f"sheets/{title}/{sequence.name}.png"
                            (folder / path).write_bytes(picture)
                            drawn[f"{title}, {sequence.name}"] = path
                    if len(chosen) < len(sequences):
                        undrawn[title] = f"{len(chosen)} of {len(sequences)} sequences drawn, evenly spaced"
                except (DataError, StudyError):
                    # The message names paths of this machine, which a report must not contain.
                    undrawn[title] = "the dataset of these results can no longer be read"
    return drawn, undrawn


def highlights(parts: Iterable[Part], sheets: dict[str, str], scores: Scorebook, baseline: str) -> dict[str, str]:
    """Return the sheets of the worst, the middle and the best sequence of each benchmark, as title → path.

    The main measure of the main variant decides; the titles state it. `sheets`: title → path of all that were drawn."""
    chosen: dict[str, str] = {}
    for part in parts:
        for benchmark in part.benchmarks:
            title, main = f"{benchmark}{part.suffix}", main_measure(part.select(benchmark))
            variants = part.variants_on(benchmark)
            variant = main_variant(part, benchmark, baseline) or variants[0]
            values = scores.by_sequence(part, benchmark, main.name)
            shown = (name for name, given in values.items() if variant in given and f"{title}, {name}" in sheets)
            ranked = sorted((values[name][variant], name) for name in shown)
            for place, index in {"worst": 0, "middle": len(ranked) // 2, "best": len(ranked) - 1}.items():
                if ranked and (place == "worst" or index > 0):
                    value, name = ranked[index]
                    text = f"{title}, {name}: {place} of {variant}, {main.title} {format_number(value)}"
                    chosen.setdefault(text, sheets[f"{title}, {name}"])
    return chosen


def _draw(cells: Iterable[CellResult], scores: Scorebook, sequence: Sequence) -> bytes:
    return as_png(sheet(sequence, cells, scores))


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return RGB as a PNG.

    Photographs hardly repeat, so only runs of one value are looked for: as small as a full search, in a fifth of the
    time."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_type=zlib.Z_RLE)
    return file.getvalue()


def sheet(sequence: Sequence, cells: Iterable[CellResult], scores: Scorebook) -> NDArray[np.uint8]:
    """Return the sheet as RGB: a line of frame names, then overlays of the truth and of each of `cells`, one per row.

    Raises DataError if a frame or a mask of the truth cannot be read."""
    indices = evenly(len(sequence), FRAMES)
    frames = [sequence.frame(index) for index in indices]
    height = round(TILE * frames[0].shape[0] / frames[0].shape[1])
    shown, given = [Tile(frame, height) for frame in frames], truths(sequence, indices)
    strips = [("truth", "", [tile.overlay(mask, "no truth") for tile, mask in zip(shown, given, strict=True)])]
    for cell in cells:
        masks = predicted(cell, sequence, indices)
        tiles = [tile.overlay(mask, "no mask") for tile, mask in zip(shown, masks, strict=True)]
        strips.append((name_of(cell), _score(cell, sequence.name, scores), tiles))
    canvas = Image.new("RGB", (LABEL + TILE * len(indices), LINE + height * len(strips)), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    draw.text((4, 1), sequence.name[:20], (0, 0, 0), font)
    for place, index in enumerate(indices):
        draw.text((LABEL + place * TILE + 4, 1), f"frame {sequence.frame_name(index)}", (0, 0, 0), font)
    for turn, (label, score, tiles) in enumerate(strips):
        top = LINE + turn * height
        draw.text((4, top + 2), label[:22], (0, 0, 0), font)
        draw.text((4, top + 2 + LINE), score, (70, 70, 70), font)
        for place, tile in enumerate(tiles):
            canvas.paste(Image.fromarray(tile), (LABEL + place * TILE, top))
    return np.asarray(canvas, np.uint8)


class Tile:
    """A frame at the size at which it is shown."""

    def __init__(self, frame: NDArray[np.uint8], height: int, width: int = TILE) -> None:
        """`frame`: RGB; `height` and `width`: of the tile, pixels."""
        way = cv2.INTER_AREA if frame.shape[1] > width else cv2.INTER_LINEAR
        self._size = frame.shape[:2]
        self._tints: dict[tuple[int, int, int], NDArray[np.uint8]] = {}
        self._pixels = np.asarray(cv2.resize(frame, (width - 2, height - 2), interpolation=way), np.uint8)

    def overlay(self, mask: NDArray[np.uint8] | None, absent: str = "") -> NDArray[np.uint8]:
        """Return the tile, with a white frame, with the objects of `mask` tinted and outlined.

        Ids 0 and 255 are not drawn. Without a mask of the frame's size, the tile is gray and shows `absent`."""
        tile = self._pixels
        height, width = tile.shape[:2]
        if mask is None or mask.shape != self._size:
            gray = np.repeat(tile.mean(axis=2, keepdims=True) / 2, 3, axis=2).astype(np.uint8)
            text = absent if mask is None else "mask of another size"
            place = (6, (height + 2) // 2)
            cv2.putText(gray, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
            return _framed(gray)
        ids = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        objects = [int(one) for one in np.flatnonzero(np.bincount(ids.ravel())) if one not in (0, VOID)]
        inside = {one: (ids == one).view(np.uint8) for one in objects}
        out = tile.copy()
        for one, pixels in inside.items():
            cv2.copyTo(self._tinted(_color(one)), pixels, out)
        for one, pixels in inside.items():
            contours, _ = cv2.findContours(pixels, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(out, contours, -1, _color(one), 1)
        return _framed(out)

    def _tinted(self, color: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return the whole tile in that tint, which is computed once for the masks of all variants."""
        if color not in self._tints:
            self._tints[color] = (0.5 * self._pixels + 0.5 * np.array(color)).round().astype(np.uint8)
        return self._tints[color]


def _color(one: int) -> tuple[int, int, int]:
    return COLORS[(one - 1) % len(COLORS)]


def _framed(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.full((tile.shape[0] + 2, tile.shape[1] + 2, 3), 255, np.uint8)
    out[1:-1, 1:-1] = tile
    return out


def truths(sequence: Sequence, indices: Iterable[int]) -> list[NDArray[np.uint8] | None]:
    """Return the truth of these frames; None if there is none. Raises DataError."""
    return [sequence.mask(index) if sequence.masks[index] is not None else None for index in indices]


def predicted(cell: CellResult, sequence: Sequence, indices: Iterable[int]) -> list[NDArray[np.uint8] | None]:
    """Return the cell's masks of these frames, with one object if the benchmark has one; None if there is no mask."""
    folder = cell.masks.get(sequence.name)
    masks = predicted_masks(Path(folder)) if folder and Path(folder).is_dir() else {}
    found = (masks.get(sequence.frame_name(index)) for index in indices)
    return [None if mask is None else object_ids(mask, sequence) for mask in found]


def object_ids(mask: MaskFile, sequence: Sequence) -> NDArray[np.uint8]:
    """Return the ids of a method's mask, with one object if the benchmark has one. Raises DataError."""
    ids = read_predicted(mask)
    return ids if sequence.values == "ids" else (ids != 0).astype(np.uint8)


def _score(cell: CellResult, sequence: str, scores: Scorebook) -> str:
    if not cell.done:
        return cell.status
    value = scores.sequences(cell, main_measure([cell]).name).get(sequence)
    return "" if value is None else f"{main_measure([cell]).title} {format_number(value)}"


def _why_no_masks(part: Part, benchmark: str) -> str:
    if any(cell.done and not cell.masks for cell in part.select(benchmark)):
        return "the masks are in a store that is not on this machine"
    return "no variant has masks yet"
