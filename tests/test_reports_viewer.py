"""The page that compares two variants shows what the score files and the masks hold, and says what it leaves out."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.datasets.pixels import write_mask
from harness.results import CellResult
from reports.inputs import Videos, order_cells, read_scorebook, split
from reports.media import COLORS
from reports.report import unchanged, write_report
from reports.viewer import write_viewer
from reports.viewer.curves import thousandths
from tests.report_cells import cell, submitted, with_named_scores

SIZE = (48, 64)
FRAMES = 6
SEQUENCES = ("alpha", "beta")
HERE = Path(__file__).parent.parent / "reports/viewer"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a DAVIS of two sequences of six frames, for 2016 and 2017."""
    root = tmp_path / "data" / "DAVIS"
    lines = []
    for name in SEQUENCES:
        for folder in ("JPEGImages/480p", "Annotations/480p"):
            (root / folder / name).mkdir(parents=True)
        for index in range(FRAMES):
            paths = [f"JPEGImages/480p/{name}/{index:05d}.jpg", f"Annotations/480p/{name}/{index:05d}.png"]
            cv2.imwrite(str(root / paths[0]), np.full((*SIZE, 3), 100 + index, np.uint8))
            write_mask(root / paths[1], square(10))
            lines.append(f"/{paths[0]} /{paths[1]}\n")
    for year, text in (("480p", "".join(lines)), ("2017", "\n".join(SEQUENCES))):
        (root / "ImageSets" / year).mkdir(parents=True)
        for part in ("train", "val"):
            (root / f"ImageSets/{year}/{part}.txt").write_text(text)
    return tmp_path


def square(left: int, number: int = 1) -> np.ndarray[Any, np.dtype[np.uint8]]:
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, left : left + 30] = number
    return mask


def result(place: Path, made: CellResult, values: Mapping[str, float], left: int | None = 10) -> CellResult:
    """Return the cell with scores that fall by .01 a frame, and with masks at `left` unless that is None."""
    folder = place / "of" / f"{made.variant}-{made.benchmark}-{made.seed}"
    made = with_named_scores(folder, made, values)
    lines = ["sequence,object,frame,J,F"]
    for name, value in values.items():
        lines += [f"{name},1,{index:05d},{value - index / 100},0" for index in range(1, FRAMES - 1)]
        if left is not None:
            (folder / "masks" / name).mkdir(parents=True)
            for index in range(FRAMES):
                write_mask(folder / "masks" / name / f"{index:05d}.png", square(left))
    (folder / "frames.csv").write_text("\n".join(lines) + "\n")
    masks = {} if left is None else {name: str(folder / "masks" / name) for name in values}
    return replace(made, masks=masks, data_root=str(place / "data"))


def pair(place: Path, **change: Any) -> list[CellResult]:
    full = result(place, cell("full", 0.8, **change), {"alpha": 0.8, "beta": 0.6})
    return [full, result(place, cell("no-crop", 0.5, **change), {"alpha": 0.7, "beta": 0.2}, left=20)]


def write(place: Path, cells: list[CellResult], **options: Any) -> Path:
    """Write the page and return the folder of its data."""
    ordered = order_cells(cells)
    (place / "report").mkdir()
    write_viewer("s", split(ordered), read_scorebook(ordered), Videos(), "first-mask", place / "report", **options)
    return place / "report/compare"


def read(path: Path) -> Any:
    """Return what a script hands to the page; it must be one call of JSON texts in ASCII."""
    text = path.read_text(encoding="ascii")
    assert text.startswith("addData(")
    assert text.endswith(");\n")
    name, value = json.loads(f"[{text[8:-3]}]")
    assert path.as_posix().endswith(f"compare/{name}.js")
    return value


def benchmark(folder: Path) -> Any:
    (one,) = read(folder / "study.js")["benchmarks"]
    return one


def picture(url: str) -> Image.Image:
    head, content = url.split(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_j_of_every_frame_is_that_of_the_score_file(place: Path) -> None:
    folder = write(place, pair(place))
    frames = read(folder / "davis16-val/beta/frames.js")
    assert frames["frames"] == [f"{index:05d}" for index in range(FRAMES)]
    assert frames["J"] == [[[None, 590, 580, 570, 560, None]], [[None, 190, 180, 170, 160, None]]]
    listed = benchmark(folder)
    assert listed["cells"] == [{"variant": "full", "seed": 0}, {"variant": "no-crop", "seed": 0}]
    assert listed["sequences"] == [{"name": "alpha", "J": [800, 700]}, {"name": "beta", "J": [600, 200]}]


@given(st.floats(0, 1))
def test_rounded_j_stays_on_its_side_of_the_threshold(value: float) -> None:
    assert (thousandths(value) > 500) == (value > 0.5)
    assert abs(thousandths(value) - 1000 * value) <= 1


def test_a_mask_is_a_palette_picture_with_transparent_background(place: Path) -> None:
    folder = write(place, pair(place))
    masks = read(folder / "davis16-val/alpha/masks-1.js")
    assert len(masks) == FRAMES
    image = picture(masks[3])
    assert image.mode == "P"
    pixels = np.asarray(image.convert("RGBA"))
    assert pixels[20, 25].tolist() == [*COLORS[0], 255]
    assert (pixels[..., 3] > 0).tolist() == (square(20) > 0).tolist()


def test_objects_have_the_colors_of_the_contact_sheets(place: Path) -> None:
    cells = pair(place, benchmark="davis17-val")
    write_mask(Path(cells[0].masks["alpha"]) / "00002.png", square(5, number=3))
    image = picture(read(write(place, cells) / "davis17-val/alpha/masks-0.js")[2])
    assert image.convert("RGB").getpixel((10, 20)) == COLORS[2]


def test_every_picture_that_the_data_names_is_there(place: Path) -> None:
    folder = write(place, pair(place))
    for name in SEQUENCES:
        frames = read(folder / f"davis16-val/{name}/frames.js")
        assert frames["size"] == [SIZE[1], SIZE[0]]
        stills = [Image.open(folder / frames["place"] / f"{index:05d}.jpg") for index in range(FRAMES)]
        assert [abs(still.getpixel((5, 5))[0] - 100 - index) < 4 for index, still in enumerate(stills)] == [True] * 6
        assert frames["masks"] == {"0": "masks-0", "1": "masks-1"}
        assert frames["truth"]
        outline = np.asarray(picture(read(folder / f"davis16-val/{name}/truth.js")[0]))
        assert outline[20, 9] == outline[20, 39] == 1
        assert outline[20, 20] == 0


def test_variants_with_equal_masks_share_one_script(place: Path) -> None:
    cells = [*pair(place), result(place, cell("concat", 0.4), {"alpha": 0.8}, left=20)]
    folder = write(place, cells)
    assert read(folder / "davis16-val/alpha/frames.js")["masks"] == {"0": "masks-0", "1": "masks-1", "2": "masks-0"}
    assert not (folder / "davis16-val/alpha/masks-2.js").exists()


def test_benchmarks_share_the_frames_of_a_video(place: Path) -> None:
    cells = [*pair(place, benchmark="davis17-foreground"), *pair(place, benchmark="davis17-val")]
    folder = write(place, cells)
    assert read(folder / "davis17-val/alpha/frames.js")["place"] == "davis17-foreground/alpha"
    assert not list(folder.glob("davis17-val/*/*.jpg"))
    texts = [one["pictures"] for one in read(folder / "study.js")["benchmarks"]]
    assert ["frames as written for another benchmark" in text for text in texts] == [False, True]


def test_at_the_limit_the_largest_differences_have_pictures(place: Path) -> None:
    folder = write(place, pair(place), limit=1)
    assert "size" in read(folder / "davis16-val/beta/frames.js")
    assert "size" not in read(folder / "davis16-val/alpha/frames.js")
    assert read(folder / "davis16-val/alpha/frames.js")["J"][0][0][1] == 790
    assert "1 of 2 sequences, those whose J differs most between variants, until" in benchmark(folder)["pictures"]


def test_the_page_states_the_bytes_of_a_frame_and_a_mask(place: Path) -> None:
    folder = write(place, pair(place))
    stills = [path.stat().st_size for path in folder.rglob("*.jpg")]
    text = benchmark(folder)["pictures"]
    assert text.startswith(
        f"Pictures of all 2 sequences: 12 frames of {sum(stills) / len(stills) / 1e3:.1f} kB, 36 masks"
    )


def test_curves_remain_without_the_dataset(place: Path) -> None:
    cells = pair(place)
    (place / "data").rename(place / "elsewhere")
    folder = write(place, cells)
    assert read(folder / "davis16-val/beta/frames.js") == {
        "frames": ["00001", "00002", "00003", "00004"],
        "J": [[[590, 580, 570, 560]], [[190, 180, 170, 160]]],
    }
    assert benchmark(folder)["pictures"].startswith("No pictures: the dataset")


def test_each_absent_mask_says_why(place: Path) -> None:
    cells = pair(place)
    masks = Path(cells[0].masks["alpha"])
    (masks / "00001.png").unlink()
    write_mask(masks / "00002.png", np.ones((8, 8), np.uint8))
    (Path(cells[1].masks["alpha"]) / "00000.png").write_bytes(b"no image")
    folder = write(place, cells)
    shown = read(folder / "davis16-val/alpha/masks-0.js")
    assert shown[1:3] == ["no mask", "mask of another size"]
    assert shown[3].startswith("data:")
    assert read(folder / "davis16-val/alpha/masks-1.js") == ["the masks cannot be read"] * FRAMES


def test_masks_that_are_not_here_have_no_script(place: Path) -> None:
    cells = pair(place)
    Path(cells[1].masks["alpha"]).rename(place / "pruned")
    assert read(write(place, cells) / "davis16-val/alpha/frames.js")["masks"] == {"0": "masks-0"}


def test_an_unreadable_frame_costs_its_sequence_only(place: Path) -> None:
    (place / "data/DAVIS/JPEGImages/480p/beta/00003.jpg").write_bytes(b"no image")
    folder = write(place, pair(place))
    assert "1 of 2 sequences, not of beta, whose files can no longer be read" in benchmark(folder)["pictures"]
    assert str(place) not in (folder / "study.js").read_text()
    assert "size" in read(folder / "davis16-val/alpha/frames.js")


def test_submitted_masks_have_no_seed_and_others_have_theirs(place: Path) -> None:
    ours = [result(place, cell("full", 0.8, seed=seed), {"alpha": 0.8}) for seed in (0, 1)]
    folder = write(place, [*ours, result(place, submitted("OSVOS", 0.7), {"alpha": 0.7}, left=30)])
    assert [one["seed"] for one in benchmark(folder)["cells"]] == [0, 1, None]
    assert benchmark(folder)["variants"][-1]["title"] == "OSVOS (its masks)"


def test_masks_without_scores_can_be_compared(place: Path) -> None:
    unscored = [replace(one, status="not scored", score_folder="", values={}) for one in pair(place)]
    folder = write(place, unscored)
    assert benchmark(folder)["sequences"][0] == {"name": "alpha", "J": [None, None]}
    assert read(folder / "davis16-val/alpha/frames.js")["J"] == [[], []]
    assert "size" in read(folder / "davis16-val/alpha/frames.js")


def test_a_variant_without_results_is_listed_and_has_no_cell(place: Path) -> None:
    folder = write(place, [*pair(place), cell("concat")])
    assert [one["name"] for one in benchmark(folder)["variants"]] == ["concat", "full", "no-crop"]
    assert {one["variant"] for one in benchmark(folder)["cells"]} == {"full", "no-crop"}


def test_the_copied_first_mask_is_not_shown_first(place: Path) -> None:
    folder = write(place, [result(place, cell("first-mask", 0.1), {"alpha": 0.1}), *pair(place)])
    assert benchmark(folder)["pair"] == ["full", "no-crop"]


def test_the_report_links_the_page_only_if_there_is_one(place: Path) -> None:
    write_report(pair(place), "s", place / "report")
    assert '<a href="compare.html">' in (place / "report/index.html").read_text()
    assert (place / "report/compare.html").read_bytes() == (HERE / "compare.html").read_bytes()
    write_report(pair(place / "again"), "s", place / "report", compare=False)
    assert not list((place / "report").glob("compare*"))
    assert "compare.html" not in (place / "report/index.html").read_text()


def test_leaving_out_the_page_makes_the_report_anew(place: Path) -> None:
    cells = [replace(one, data_root="") for one in pair(place)]
    write_report(cells, "s", place / "report", compare=False)
    assert unchanged(place / "report", cells, compare=False)
    assert not unchanged(place / "report", cells, compare=True)


def test_equal_results_give_equal_pictures(place: Path) -> None:
    cells = pair(place)
    first = {path.name: path.read_bytes() for path in write(place, cells).rglob("*.*")}
    (place / "report").rename(place / "former")
    assert {path.name: path.read_bytes() for path in write(place, cells).rglob("*.*")} == first


def test_the_page_asks_for_nothing_outside_its_folder() -> None:
    page, script = ((HERE / name).read_text() for name in ("compare.html", "viewer.js"))
    assert "default-src 'none'; img-src 'self' file: data:; script-src 'self' file:; style-src 'unsafe-inline'" in page
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == [
        *("data:,", "compare/viewer.js", "compare/study.js", "index.html")
    ]
    assert re.findall(r"\w+://[^\"]*", page + script) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval\(|fetch\(|XMLHttp", script)


def test_the_script_finds_every_element_that_it_uses() -> None:
    page, script = ((HERE / name).read_text() for name in ("compare.html", "viewer.js"))
    used = set(re.findall(r'(?<!\.)(?:get|choices|remake)\("([^"$]+)"', script)) - {"here"}
    assert len(used) > 15
    assert used <= set(re.findall(r'\bid="([^"]+)"', page))
