"""Contact sheets show the truth and every variant, and never stop a report."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.datasets import load_benchmark, load_protocols
from harness.datasets.pixels import write_mask
from harness.results import CellResult
from reports.inputs import evenly
from reports.media.sheets import COLORS, FRAMES, LABEL, LINE, TILE, Tile, predicted
from reports.media.strip import most_different
from reports.report import write_report
from tests.report_cells import cell, with_named_scores

SIZE = (48, 64)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """A DAVIS 2016 of one sequence of eight grey frames with a square in it, and masks of it."""
    root = tmp_path / "data" / "DAVIS2016"
    for folder in ("JPEGImages/480p/alpha", "Annotations/480p/alpha", "ImageSets/480p"):
        (root / folder).mkdir(parents=True)
    lines = []
    for index in range(8):
        frame = np.full((*SIZE, 3), 100, np.uint8)
        mask = np.zeros(SIZE, np.uint8)
        mask[10:30, 10:40] = 1
        names = [f"JPEGImages/480p/alpha/{index:05d}.jpg", f"Annotations/480p/alpha/{index:05d}.png"]
        cv2.imwrite(str(root / names[0]), frame)
        cv2.imwrite(str(root / names[1]), mask * 255)
        (tmp_path / "masks").mkdir(exist_ok=True)
        write_mask(tmp_path / "masks" / f"{index:05d}.png", mask)
        lines.append(f"/{names[0]} /{names[1]}\n")
    for split in ("train", "val"):
        (root / "ImageSets/480p" / f"{split}.txt").write_text("".join(lines))
    return tmp_path


def with_masks(place: Path) -> list[CellResult]:
    paths = {"masks": {"alpha": str(place / "masks")}, "data_root": str(place / "data")}
    return [cell("first-mask", 0.4, **paths), cell("full", 0.6, **paths)]


def scored(place: Path) -> list[CellResult]:
    """Return the same cells with scores, by which a sequence is chosen for the strip."""
    return [with_named_scores(place / "scores", one, {"alpha": 0.6}) for one in with_masks(place)]


def test_a_sheet_has_a_row_for_the_truth_and_each_variant(davis: Path) -> None:
    write_report(with_masks(davis), "s", davis / "report")
    pixels = np.asarray(Image.open(davis / "report/sheets/davis16-val/alpha.png"))
    height = round(TILE * SIZE[0] / SIZE[1])
    assert pixels.shape == (LINE + 3 * height, LABEL + FRAMES * TILE, 3)
    tile = pixels[LINE : LINE + height, LABEL : LABEL + TILE].astype(int)
    assert all((tile == pixels[LINE + turn * height :][:height, LABEL : LABEL + TILE]).all() for turn in (1, 2))
    inside = tile[round(20 * height / SIZE[0]), round(25 * TILE / SIZE[1])]
    assert np.abs(inside - (np.array(COLORS[0]) + 100) / 2).max() <= 2
    assert "sheets/davis16-val/alpha.png" in (davis / "report/index.md").read_text()


def test_missing_masks_are_marked_and_the_rest_is_drawn(davis: Path) -> None:
    (davis / "masks/00000.png").unlink()
    write_report(with_masks(davis), "s", davis / "report")
    pixels = np.asarray(Image.open(davis / "report/sheets/davis16-val/alpha.png"))
    height = round(TILE * SIZE[0] / SIZE[1])
    truth, shown = (pixels[LINE + turn * height :][:height, LABEL : LABEL + TILE] for turn in (0, 1))
    assert (truth != shown).any()


def test_a_missing_dataset_costs_the_sheets_only(davis: Path) -> None:
    cells = with_masks(davis)
    (davis / "data").rename(davis / "elsewhere")
    write_report(cells, "s", davis / "report")
    assert "can no longer be read" in (davis / "report/index.md").read_text()


def test_background_and_void_are_not_tinted() -> None:
    frame = np.full((*SIZE, 3), 100, np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    mask[:20] = 255
    tile = Tile(frame, 132)
    assert (tile.overlay(mask) == tile.overlay(np.zeros(SIZE, np.uint8))).all()


def test_an_even_choice_keeps_both_ends() -> None:
    assert evenly(100, 3) == [0, 50, 99] or evenly(100, 3) == [0, 49, 99]
    assert evenly(2, 6) == [0, 1]


def test_the_strip_shows_truth_main_and_most_different_variant(davis: Path) -> None:
    first, full = scored(davis)
    other = with_named_scores(
        davis / "other", replace(full, variant="no-crop", options={"crop": False}), {"alpha": 0.2}
    )
    write_report([first, full, other], "s", davis / "report")
    page = (davis / "report/index.html").read_text()
    strip = page[page.index('<figure class="strip">') :]
    strip = strip[: strip.index("</figure>")]
    assert re.findall(r"<p><b>(.*?)</p>", strip) == [
        "truth</b>",
        "full</b>, J mean .600 on this video",
        "no-crop</b>, J mean .200 on this video",
    ]
    assert "Frames 00001, 00003, 00005, 00007 of alpha, the video on which no-crop, the variant farthest from" in strip
    rows = [np.asarray(Image.open(davis / f"report/strip/{row}.jpg")) for row in range(3)]
    assert [row.shape for row in rows] == [(240, 4 * 320, 3)] * 3
    assert np.array_equal(rows[0], rows[1])  # the masks are the truth
    assert "![no-crop, J mean .200 on this video](strip/2.jpg)" in (davis / "report/index.md").read_text()


def test_a_strip_without_a_dataset_is_left_out(davis: Path) -> None:
    cells = scored(davis)
    (davis / "data").rename(davis / "elsewhere")
    write_report(cells, "s", davis / "report")
    assert 'class="strip"' not in (davis / "report/index.html").read_text()
    assert not (davis / "report/strip").exists()


def test_the_most_different_variant_differs_most_on_average() -> None:
    values = {"a": {"full": 0.5, "x": 0.9, "y": 0.2}, "b": {"full": 0.5, "x": 0.5, "y": 0.3}}
    assert most_different(values, "full", ["x", "y"]) == ("y", "a")  # .25 against .20 on average
    assert most_different({**values, "c": {"full": 0.7}}, "full", []) == ("", "b")


def test_masks_of_one_folder_per_object_are_shown(davis: Path) -> None:
    (sequence,) = load_benchmark(load_protocols()["davis16-val"], davis / "data")
    (shown, _) = with_masks(davis)
    (before,) = predicted(shown, sequence, [3])
    (davis / "masks").rename(davis / "1")
    (davis / "masks").mkdir()
    (davis / "1").rename(davis / "masks/1")
    assert before is not None
    (after,) = predicted(shown, sequence, [3])
    assert after is not None
    assert np.array_equal(after, before)
