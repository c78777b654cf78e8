"""Folders of masks as people hand them over: what is scored, what is ignored, and what the errors say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.cli.main import main
from harness.datasets.pixels import write_mask
from tests.test_datasets_layouts import make_davis16, make_davis17, save_gray, save_palette

SHAPES = np.zeros((24, 41), np.uint8)
SHAPES[2:6, 3:12], SHAPES[10:20, 5:25] = 1, 2


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A DAVIS 2017 with one video of four frames, and a prediction of it."""
    make_davis17(tmp_path / "DAVIS2017")
    for index in range(4):
        save_palette(tmp_path / f"pred/dogs-jump/{index:05d}.png", [1, 2], (41, 24))
    return tmp_path


def score(place: Path, protocol: str = "davis17-val", truth: str = "DAVIS2017") -> int:
    options = ["--truth", place / truth, "--pred", place / "pred", "--protocol", protocol, "--out", place / "out"]
    return main(["score", *map(str, options), "--jobs", "1"])


def total(place: Path) -> float:
    return float(json.loads((place / "out/total.json").read_text())["J_mean"])


def test_sequences_and_folders_beside_the_split_are_named_in_one_note(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_palette(place / "pred/fox/00000.png", [1], (41, 24))
    (place / "pred/__MACOSX/dogs-jump").mkdir(parents=True)
    (place / "pred/.ipynb_checkpoints").mkdir()
    assert score(place) == 0
    assert "ignored, since DAVIS17 val lacks them: __MACOSX, fox\n" in capsys.readouterr().err
    assert total(place) == 1


def test_a_folder_without_masks_is_no_sequence_of_a_plain_folder(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "DAVIS2017/Annotations/480p").rename(place / "truth")
    (place / "truth/@eaDir").mkdir()
    (place / "pred/notes").mkdir()
    assert score(place, truth="truth") == 0
    assert "ignored, since DAVIS17 val lacks them: notes\n" in capsys.readouterr().err


def test_a_missing_list_is_named_where_sequences_lack_masks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "DAVIS2017/ImageSets/2017/val.txt").unlink()
    for index in range(4):
        save_palette(place / f"DAVIS2017/Annotations/480p/fox/{index:05d}.png", [1], (41, 24))
    assert score(place, truth="DAVIS2017/Annotations/480p") == 2
    assert "no list ImageSets/2017/val.txt was found" in capsys.readouterr().err
    assert score(place, truth="DAVIS2017") == 2
    assert "no DAVIS 2017, which has the list ImageSets/2017/val.txt" in capsys.readouterr().err


def test_truth_of_another_resolution_is_not_that_of_the_benchmark(place: Path) -> None:
    for index in range(4):
        save_palette(place / f"DAVIS2017/Annotations/1080p/dogs-jump/{index:05d}.png", [1], (82, 48))
        save_palette(place / f"pred/dogs-jump/{index:05d}.png", [1], (82, 48))
    assert score(place, truth="DAVIS2017/Annotations/1080p") == 0
    assert total(place) == 1


def jpeg(folder: Path) -> None:
    for path in folder.glob("*.png"):
        save_gray(path.with_suffix(".jpg"), size=(41, 24))
        path.unlink()


def layers(folder: Path, *numbers: str) -> None:
    for path in list(folder.glob("*.png")):
        path.unlink()
        for number in numbers:
            save_gray(folder / number / path.name, size=(41, 24))


def shifted(folder: Path) -> None:
    for path in sorted(folder.glob("*.png"), reverse=True):
        path.rename(path.with_name(f"{int(path.stem) + 1:05d}.png"))


def two_names(folder: Path) -> None:
    save_palette(folder / "2.png", [1], (41, 24))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (jpeg, r"00001.png: mask missing and 1 more; one PNG for every scored frame expected, 4 × .jpg found"),
        (lambda folder: layers(folder, "1", "2"), "2/00001.png: overlaps another object"),
        (lambda folder: layers(folder, "0", "1"), "folders 0, 1 of masks found, one per object, 1, 2, … expected"),
        (lambda folder: layers(folder, "cat"), "one PNG for every scored frame expected, folder cat found"),
        (lambda folder: layers(folder, "1", "3"), "overlaps another object"),
        (shifted, "masks 1 to 4 found, frames 0 to 3 expected"),
        (two_names, "'00002' and '2' have one number"),
    ],
)
def test_masks_that_do_not_fit_are_named_with_what_was_found(
    place: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], message: str
) -> None:
    damage(place / "pred/dogs-jump")
    assert score(place) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_masks_per_object_is_scored(place: Path) -> None:
    for index in range(4):
        for folder in ("DAVIS2017/Annotations/480p", "pred"):
            write_mask(place / folder / f"dogs-jump/{index:05d}.png", SHAPES)
    assert score(place) == 0
    whole = total(place)
    for index in range(4):
        (place / f"pred/dogs-jump/{index:05d}.png").unlink()
        for number in (1, 2):
            path = place / f"pred/dogs-jump/{number:03d}/{index:05d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.uint8(255) * (number == SHAPES)).save(path)
    assert score(place) == 0
    assert total(place) == whole


def test_the_dataset_the_root_and_its_masks_are_the_same_truth(place: Path) -> None:
    save_palette(place / "pred/dogs-jump/00001.png", [1], (41, 24))
    values = set()
    for truth in (".", "DAVIS2017", "DAVIS2017/Annotations", "DAVIS2017/Annotations/480p"):
        assert score(place, truth=truth) == 0
        values.add(total(place))
    assert len(values) == 1


def test_classes_need_the_dataset(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(place, "youtube-objects") == 2
    assert "give the folder that has" in capsys.readouterr().err


def test_a_first_frame_without_an_object_has_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_davis16(tmp_path / "DAVIS2016")
    Image.fromarray(np.zeros((24, 40), np.uint8)).save(folder / "Annotations/480p/bear/00000.png")
    (folder / "Annotations/480p").rename(tmp_path / "pred")
    (tmp_path / "pred").rename(folder / "Annotations/480p")
    (tmp_path / "pred").symlink_to(folder / "Annotations/480p")
    assert score(tmp_path, "davis16-val", "DAVIS2016") == 2
    assert "00000.png: no object in the first mask" in capsys.readouterr().err
