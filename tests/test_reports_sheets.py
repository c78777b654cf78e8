"""Contact sheets show the truth and every variant, and never stop a report."""

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.datasets.pixels import write_mask
from reports.formats.html import embedded
from reports.media.sheets import COLOURS, FRAMES, LABEL, LINE, TILE, evenly, overlay
from reports.media.videos import HARMLESS, without_line
from reports.report import write_report
from tests.test_reports_tables import row

SIZE = (48, 64)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """A DAVIS 2016 of one sequence of eight grey frames with a square in it, and masks of it beside."""
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


def rows(place: Path, masks: Path) -> pd.DataFrame:
    shown = {"masks": f'{{"alpha": "{masks}"}}', "data_root": str(place / "data")}
    return pd.DataFrame([row("first-mask", 0.4, **shown), row("full", 0.6, **shown)])


def scored(place: Path) -> pd.DataFrame:
    """The same rows, with scores by which a sequence is chosen for a video."""
    (place / "scores").mkdir()
    (place / "scores/sequences.csv").write_text("sequence,objects,J_mean\nalpha,1,0.6\n")
    return rows(place, place / "masks").assign(score_folder=str(place / "scores"))


def test_a_sheet_has_a_row_for_the_truth_and_each_variant(davis: Path) -> None:
    write_report(rows(davis, davis / "masks"), "s", davis / "report")
    pixels = np.asarray(Image.open(davis / "report/sheets/davis16-val/alpha.png"))
    height = round(TILE * SIZE[0] / SIZE[1])
    assert pixels.shape == (LINE + 3 * height, LABEL + FRAMES * TILE, 3)
    tile = pixels[LINE : LINE + height, LABEL : LABEL + TILE].astype(int)
    assert all((tile == pixels[LINE + turn * height :][:height, LABEL : LABEL + TILE]).all() for turn in (1, 2))
    inside = tile[round(20 * height / SIZE[0]), round(25 * TILE / SIZE[1])]
    assert np.abs(inside - (np.array(COLOURS[0]) + 100) / 2).max() <= 2
    assert "sheets/davis16-val/alpha.png" in (davis / "report/index.md").read_text()


def test_missing_masks_are_told_and_the_rest_is_drawn(davis: Path) -> None:
    (davis / "masks/00000.png").unlink()
    write_report(rows(davis, davis / "masks"), "s", davis / "report")
    pixels = np.asarray(Image.open(davis / "report/sheets/davis16-val/alpha.png"))
    height = round(TILE * SIZE[0] / SIZE[1])
    truth, shown = (pixels[LINE + turn * height :][:height, LABEL : LABEL + TILE] for turn in (0, 1))
    assert (truth != shown).any()


def test_a_dataset_that_is_gone_costs_the_sheets_only(davis: Path) -> None:
    frame = rows(davis, davis / "masks")
    (davis / "data").rename(davis / "elsewhere")
    write_report(frame, "s", davis / "report")
    assert "cannot be read any more" in (davis / "report/index.md").read_text()


def test_background_and_void_are_not_tinted() -> None:
    frame = np.full((*SIZE, 3), 100, np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    mask[:20] = 255
    assert (overlay(frame, mask, 132) == overlay(frame, np.zeros(SIZE, np.uint8), 132)).all()


def test_even_choice_keeps_both_ends() -> None:
    assert evenly(100, 3) == [0, 50, 99] or evenly(100, 3) == [0, 49, 99]
    assert evenly(2, 6) == [0, 1]


def test_the_chosen_sequences_have_a_video_of_all_frames_that_the_page_holds(davis: Path) -> None:
    frame = scored(davis)
    files = write_report(frame, "s", davis / "report")
    assert davis / "report/videos/davis16-val/alpha.webm" in files
    video = cv2.VideoCapture(str(davis / "report/videos/davis16-val/alpha.webm"))
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 8
    assert "data:video/webm;base64," in (davis / "report/index.html").read_text()
    first = video_bytes(davis)
    write_report(frame, "s", davis / "report")
    assert video_bytes(davis) == first


def test_opencv_says_nothing_of_a_video_that_it_writes_and_errors_still_come_out(
    davis: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_report(scored(davis), "s", davis / "report")
    assert video_bytes(davis)
    assert "VP80" not in capfd.readouterr().err
    with without_line(HARMLESS):
        os.write(2, HARMLESS + b" with this\nan error\n")
    assert capfd.readouterr().err == "an error\n"


def test_a_page_holds_the_worst_video_of_each_benchmark_first_and_links_to_what_has_no_room(davis: Path) -> None:
    sizes = {"a/worst": 40, "a/middle": 50, "a/best": 20, "b/worst": 30, "b/best": 60}
    for name, size in sizes.items():
        path = davis / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * size)
    videos = {f"sheets/{name}": f"videos/{name}" for name in sizes}
    assert embedded(videos, videos, davis, 100) == {"sheets/a/worst", "sheets/b/worst", "sheets/a/best"}
    assert embedded(videos, {}, davis, 100) == set()


def video_bytes(davis: Path) -> bytes:
    return (davis / "report/videos/davis16-val/alpha.webm").read_bytes()
