"""Contact sheets: one PNG a sequence, frames evenly sampled × the truth and every variant, objects overlaid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from harness.datasets import Sequence, load_benchmark, load_protocols
from harness.datasets.pixels import read_mask
from harness.errors import DataError, StudyError
from reports.formats.markdown import number
from reports.inputs.cells import Part, Row
from reports.inputs.scores import Scorebook
from reports.inputs.spec import TableSet
from reports.tables.content import Content
from reports.tables.details import BY_SEQUENCE

FRAMES = 6
"""Columns of a sheet."""

SHEETS = 24
"""At most so many a benchmark; of more sequences, evenly chosen ones are drawn."""

TILE = 176
"""Width of a frame, pixels; smaller frames are enlarged."""

LABEL = 150
"""Width of the labels, pixels."""

LINE = 18
"""Height of a line of text, pixels."""

COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167)),
    *((0, 114, 178), (240, 228, 66), (213, 94, 0), (255, 255, 255)),
)
"""RGB of object 1, 2, …: the palette of Okabe and Ito, told apart by the colour-blind as well."""

VOID = 255


def draw_sheets(
    parts: tuple[Part, ...], tables: TableSet, scores: Scorebook, folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Draws `<folder>/sheets/<benchmark>/<sequence>.png`.

    Returns title → path relative to `folder`, and title → reason for what could not or need not be drawn."""
    drawn: dict[str, str] = {}
    undrawn: dict[str, str] = {}
    protocols = load_protocols()
    for turn, part in enumerate(parts):
        suffix = "" if len(parts) == 1 else f"-part{turn + 1}"
        for benchmark in part.benchmarks:
            rows = shown_rows(part, benchmark, tables.baseline)
            title = f"{benchmark}{suffix}"
            root = next((row.data_root for row in rows if row.data_root), "")
            if not rows:
                undrawn[title] = why_no_masks(part, benchmark)
            elif benchmark not in protocols or not root:
                undrawn[title] = "the rows do not say where the frames are"
            else:
                try:
                    sequences = load_benchmark(protocols[benchmark], Path(root))
                    chosen = choose(sequences, rows)
                    for sequence in chosen:
                        path = folder / "sheets" / title / f"{sequence.name}.png"
                        path.parent.mkdir(parents=True, exist_ok=True)
                        picture = Image.fromarray(sheet(sequence, rows, scores))
                        picture.save(path, format="PNG", compress_level=4)  # as small as with 6, in half of the time
                        drawn[f"{title}, {sequence.name}"] = path.relative_to(folder).as_posix()
                    if len(chosen) < len(sequences):
                        undrawn[title] = f"{len(chosen)} of {len(sequences)} sequences drawn, evenly chosen"
                except (DataError, StudyError):
                    # The message names paths of this machine, which a report must not hold.
                    undrawn[title] = "the dataset that these rows were measured on cannot be read any more"
    return drawn, undrawn


def shown_rows(part: Part, benchmark: str, baseline: str) -> tuple[Row, ...]:
    """One row a variant that has masks, of its first seed; none if the baseline is alone."""
    rows: dict[str, Row] = {}
    for row in part.rows:
        if row.benchmark == benchmark and row.masks:
            rows.setdefault(row.variant, row)
    return () if set(rows) <= {baseline} else tuple(rows.values())


def why_no_masks(part: Part, benchmark: str) -> str:
    """Of a benchmark that has no sheet."""
    if any(row.done and not row.masks for row in part.rows if row.benchmark == benchmark):
        return "the masks lie in a store that is not on this machine"
    return "no variant has masks yet"


def choose(sequences: tuple[Sequence, ...], rows: tuple[Row, ...]) -> tuple[Sequence, ...]:
    """The sequences to draw: those that any row has masks of, at most SHEETS, evenly."""
    known = [sequence for sequence in sequences if any(sequence.name in row.masks for row in rows)]
    return tuple(known[index] for index in evenly(len(known), SHEETS))


def notable(content: Content, sheets: Mapping[str, str], baseline: str) -> dict[str, str]:
    """Of the drawn sheets (title → path), the worst, the middle and the best sequence of each benchmark, by the J of
    the first variant that is not the baseline; their titles say which and how much."""
    chosen: dict[str, str] = {}
    for table in content.steady:
        if table.name.startswith(BY_SEQUENCE):
            title = table.name.removeprefix(BY_SEQUENCE)
            place = next((turn for turn, name in enumerate(table.columns) if name != baseline), 0)
            ranked = sorted(
                (line.values[place].number or 0.0, line.label)
                for line in table.lines
                if line.values[place].number is not None and f"{title}, {line.label}" in sheets
            )
            for word, index in (("worst", 0), ("middle", len(ranked) // 2), ("best", len(ranked) - 1)):
                if 0 <= index < len(ranked) and (word == "worst" or index > 0):
                    value, sequence = ranked[index]
                    name = f"{title}, {sequence}"
                    chosen.setdefault(f"{name}: {word} of {table.columns[place]}, J {number(value, 3)}", sheets[name])
    return chosen


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the indices 0 … count − 1, evenly spaced, first and last among them."""
    if count <= most:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, most).round()]


def sheet(sequence: Sequence, rows: tuple[Row, ...], scores: Scorebook) -> NDArray[np.uint8]:
    """RGB of the whole sheet: a line of frame names, then a row of overlays for the truth and for each of `rows`.

    Raises DataError if a frame or a mask of the truth cannot be read."""
    indices = evenly(len(sequence), FRAMES)
    frames = [sequence.frame(index) for index in indices]
    height = round(TILE * frames[0].shape[0] / frames[0].shape[1])
    truths = [sequence.mask(index) if sequence.masks[index] is not None else None for index in indices]
    strips = [("truth", "", [overlay(f, t, height, "no truth") for f, t in zip(frames, truths, strict=True)])]
    for row in rows:
        masks = [predicted(row, sequence, index) for index in indices]
        tiles = [overlay(f, m, height, "no mask") for f, m in zip(frames, masks, strict=True)]
        strips.append((row.name, _score(row, sequence.name, scores), tiles))
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


def overlay(
    frame: NDArray[np.uint8], mask: NDArray[np.uint8] | None, height: int, absent: str = "", width: int = TILE
) -> NDArray[np.uint8]:
    """`frame` (RGB) as a tile of `height` × `width`, the objects of `mask` (ids; 0 and 255 are not drawn) tinted and
    outlined; where there is no mask of the frame's size, the tile is grey and says `absent`."""
    shrinks = frame.shape[1] > width
    tile = cv2.resize(frame, (width - 2, height - 2), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if mask is None or mask.shape != frame.shape[:2]:
        grey = np.repeat(tile.mean(axis=2, keepdims=True) / 2, 3, axis=2).astype(np.uint8)
        text = absent if mask is None else "mask of another size"
        cv2.putText(grey, text, (6, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        return _framed(grey)
    ids = cv2.resize(mask, (width - 2, height - 2), interpolation=cv2.INTER_NEAREST)
    result = tile.astype(np.float32)
    for identity in np.unique(ids):
        if identity not in (0, VOID):
            result[ids == identity] = 0.5 * result[ids == identity] + 0.5 * np.array(colour(int(identity)))
    out = result.round().astype(np.uint8)
    for identity in np.unique(ids):
        if identity not in (0, VOID):
            inside = (ids == identity).astype(np.uint8)
            contours, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(out, contours, -1, colour(int(identity)), 1)
    return _framed(out)


def colour(identity: int) -> tuple[int, int, int]:
    """RGB of an object id, 1 and up; they repeat after eight."""
    return COLOURS[(identity - 1) % len(COLOURS)]


def _framed(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(tile, ((1, 1), (1, 1), (0, 0)), constant_values=255)


def predicted(row: Row, sequence: Sequence, index: int) -> NDArray[np.uint8] | None:
    """The row's mask of a frame, one object where the benchmark has one; None where there is none."""
    folder: Mapping[str, str] = row.masks
    if sequence.name not in folder:
        return None
    path = Path(folder[sequence.name]) / f"{sequence.frame_name(index)}.png"
    if not path.exists():
        return None
    ids = read_mask(path)
    return (ids != 0).astype(np.uint8) if sequence.binary or sequence.merged else ids


def _score(row: Row, sequence: str, scores: Scorebook) -> str:
    if not row.done:
        return row.status
    value = scores.sequences(row, "J_mean").get(sequence)
    return "" if value is None else f"J {number(value, 3)}"
