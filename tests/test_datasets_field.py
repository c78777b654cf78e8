"""Datasets as people have them: names, encodings and values other than those of the distributed files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from harness.datasets import check_sequences, davis_palette, in_order, load_benchmark, load_protocols, load_training
from harness.datasets.pixels import read_mask, write_mask
from harness.errors import DataError
from harness.score import score_sequence
from harness.score.png import read_raster
from tests.test_datasets_layouts import make_davis16, make_davis17, save_frame
from tests.test_datasets_sparse_layouts import SHOT, make_segtrack, make_youtube

PROTOCOLS = load_protocols()
IDS = np.zeros((24, 40), np.uint8)
IDS[2:9, 3:20], IDS[12:20, 15:30] = 1, 2
Edit = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def edit_masks(folder: Path, edit: Edit) -> None:
    """Change the values of every mask of DAVIS 2017."""
    for path in (folder / "Annotations").rglob("*.png"):
        Image.fromarray(edit(read_mask(path))).save(path)


def rename(folder: Path, name: Callable[[int], str]) -> None:
    for path in [path for place in ("JPEGImages", "Annotations") for path in (folder / place).rglob("*.*")]:
        path.rename(path.with_name(name(int(path.stem)) + path.suffix))


def as_255(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(ids > 0, np.uint8(255), np.uint8(0))


def test_255_alone_is_the_object_of_a_foreground_benchmark(tmp_path: Path) -> None:
    plain = load_benchmark(PROTOCOLS["davis17-foreground"], make_davis17(tmp_path / "plain"))[0]
    folder = make_davis17(tmp_path / "binary")
    edit_masks(folder, as_255)
    binary = load_benchmark(PROTOCOLS["davis17-foreground"], folder)[0]
    assert binary.object_ids == (1,)
    assert all(np.array_equal(plain.mask(index), binary.mask(index)) for index in range(len(plain)))


def test_255_beside_ids_stays_void_in_a_foreground_benchmark(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path)
    path = folder / "Annotations/480p/dogs-jump/00000.png"
    write_mask(path, as_255(read_mask(path)))
    with pytest.raises(DataError, match=r"00000\.png: no object in the first mask; 255 is void"):
        load_benchmark(PROTOCOLS["davis17-foreground"], folder)


def test_255_alone_is_a_named_error_in_a_multi_object_benchmark(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path)
    edit_masks(folder, as_255)
    with pytest.raises(DataError, match="255 is void, and the object only in a benchmark of one object"):
        load_benchmark(PROTOCOLS["davis17-val"], folder)


def test_255_alone_is_a_named_error_in_a_training_set(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path, "train")
    edit_masks(folder, as_255)
    (problem,) = [one for one in check_sequences(load_training("davis17-train", folder)) if one.severity == "error"]
    assert "255 is the only value" in problem.message


def test_255_alone_is_a_named_error_for_masks_in_memory() -> None:
    masks = [as_255(IDS)] * 3
    with pytest.raises(DataError, match="values are 'binary'"):
        score_sequence(masks, masks, (1,), values="foreground")


@pytest.mark.parametrize("protocol", ["davis16-val", "davis17-val", "davis17-foreground", "youtube-objects"])
def test_a_first_frame_without_an_object_is_an_error_in_every_protocol(tmp_path: Path, protocol: str) -> None:
    folder = {"davis16-val": make_davis16, "youtube-objects": make_youtube}.get(protocol, make_davis17)(tmp_path)
    first = sorted((folder / (f"{SHOT}/labels" if protocol.startswith("y") else "Annotations")).rglob("*.*g"))[0]
    Image.fromarray(np.zeros(read_mask(first, 127).shape, np.uint8)).save(first)
    with pytest.raises(DataError, match=rf"{first.name}: no object in the first mask"):
        load_benchmark(PROTOCOLS[protocol], folder)


def test_gray_levels_of_ids_are_a_named_error(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path)
    edit_masks(folder, lambda ids: np.array([0, 38, 75], np.uint8)[ids])
    with pytest.raises(DataError, match=r"object ids 38, 75, but most from 1 to 75 are missing"):
        load_benchmark(PROTOCOLS["davis17-val"], folder)


def test_png_labels_of_youtube_objects_may_be_0_and_1(tmp_path: Path) -> None:
    folder = make_youtube(tmp_path)
    expected = load_benchmark(PROTOCOLS["youtube-objects"], folder)[0]
    masks = [expected.mask(index) for index in (0, 10, 20)]
    for path in (folder / SHOT / "labels").iterdir():
        Image.fromarray(np.minimum(read_mask(path, 127), 1)).save(path.with_suffix(".png"))
        path.unlink()
    (sequence,) = load_benchmark(PROTOCOLS["youtube-objects"], folder)
    assert all(np.array_equal(sequence.mask(i), mask) for i, mask in zip((0, 10, 20), masks, strict=True))
    assert check_sequences([sequence]) == []


@pytest.mark.parametrize("name", ["{}", "frame{}", "{}.left", "take2_{}"])
def test_frames_without_padding_are_read_by_number(tmp_path: Path, name: str) -> None:
    folder = make_davis17(tmp_path, frames=12)
    rename(folder, lambda number: name.format(number + 95))
    sequence = load_benchmark(PROTOCOLS["davis17-val"], folder)[0]
    assert [sequence.frame_name(index) for index in range(12)] == [name.format(number + 95) for number in range(12)]


def test_frames_of_a_list_are_read_by_number(tmp_path: Path) -> None:
    folder = make_davis16(tmp_path, frames=12)
    rename(folder, str)
    lines = (folder / "ImageSets/480p/val.txt").read_text()
    lines = [
        lines.splitlines()[place].replace(f"{place:05d}", str(place)) for place in (10, 3, 11, 0, *range(4, 10), 1, 2)
    ]
    (folder / "ImageSets/480p/val.txt").write_text("\n".join(lines))
    (sequence,) = load_benchmark(PROTOCOLS["davis16-val"], folder)
    assert [sequence.frame_name(index) for index in range(12)] == [str(number) for number in range(12)]


def test_a_lost_frame_without_padding_is_named(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path, frames=12)
    rename(folder, lambda number: f"f{number}")
    (folder / "JPEGImages/480p/dogs-jump/f9.jpg").unlink()
    (folder / "Annotations/480p/dogs-jump/f9.png").unlink()
    problems = check_sequences(load_benchmark(PROTOCOLS["davis17-val"], folder))
    assert [Path(one.message.split(": ")[0]).name for one in problems] == ["f9.jpg", "f9.png"]


def test_two_names_of_one_number_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'01' and '1' have one number"):
        in_order(["0", "1", "01"], tmp_path)


def test_names_whose_order_is_not_certain_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'a10' or 'a9' may come first"):
        in_order(["a9", "a10", "b1"], tmp_path)


def test_names_without_numbers_are_in_the_order_of_text(tmp_path: Path) -> None:
    assert in_order(["b", "a", "c1"], tmp_path) == ["a", "b", "c1"]


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".png"])
def test_a_listed_frame_may_have_another_ending(tmp_path: Path, ending: str) -> None:
    folder = make_davis16(tmp_path)
    for path in (folder / "JPEGImages").rglob("*.jpg"):
        path.rename(path.with_suffix(ending))
    (sequence,) = load_benchmark(PROTOCOLS["davis16-val"], folder)
    assert sequence.frame(1).shape == (24, 40, 3)


def test_folders_that_systems_add_are_no_objects(tmp_path: Path) -> None:
    folder = make_segtrack(tmp_path)
    (folder / "GroundTruth/cheetah/@eaDir").mkdir()
    assert load_benchmark(PROTOCOLS["segtrack-v2"], folder)[1].object_ids == (1, 2)


def test_masks_of_another_format_are_named(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path)
    for path in (folder / "Annotations").rglob("*.png"):
        save_frame(path.with_suffix(".jpg"), (41, 24))
        path.unlink()
    with pytest.raises(DataError, match=r"dogs-jump: no PNG masks found, but 4 × \.jpg"):
        load_benchmark(PROTOCOLS["davis17-val"], folder)


def save_as(mode: str) -> Image.Image:
    image = Image.fromarray(IDS)
    image.putpalette(davis_palette())
    if mode == "sorted":
        image = Image.fromarray(np.array([2, 0, 1], np.uint8)[IDS])
        image.putpalette(bytes((128, 0, 0, 0, 128, 0, 0, 0, 0)))
    elif mode == "16 bit":
        image = Image.fromarray(IDS.astype(np.uint16))
    elif mode == "16 bit, scaled":
        image = Image.fromarray(IDS.astype(np.uint16) * 257)
    elif mode != "P":
        image = image.convert(mode)
    return image


@pytest.mark.parametrize("read", [read_mask, lambda path: read_raster(path).array()], ids=["datasets", "score"])
@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "sorted", "16 bit", "16 bit, scaled"])
def test_ids_are_read_from_every_encoding_that_proves_them(tmp_path: Path, mode: str, read: Callable) -> None:
    save_as(mode).save(tmp_path / "mask.png")
    assert np.array_equal(read(tmp_path / "mask.png"), IDS)


def white_first(path: Path) -> None:
    image = Image.fromarray(np.minimum(IDS, 1))
    image.putpalette(bytes((255, 255, 255, 0, 0, 0)))
    image.save(path)


def in_alpha(path: Path) -> None:
    Image.fromarray(np.dstack([np.zeros_like(IDS)] * 3 + [IDS * 100])).save(path)


def wide_colors(path: Path) -> None:
    import cv2

    cv2.imwrite(str(path), np.dstack([IDS.astype(np.uint16)] * 3))


@pytest.mark.parametrize("read", [read_mask, read_raster], ids=["datasets", "score"])
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: Image.fromarray(as_255(IDS)).save(path, "JPEG"), "as JPEG, which changes object ids"),
        (white_first, r"index 0 has the color \(255, 255, 255\)"),
        (in_alpha, "all shapes in its alpha channel"),
        (wide_colors, "colors of 16 bits"),
        (lambda path: Image.fromarray(np.dstack([IDS * 99, IDS, IDS])).save(path), r"\(99, 1, 1\)"),
        (lambda path: Image.fromarray(IDS.astype(np.uint16) * 300).save(path), "16-bit values up to 600"),
    ],
)
def test_a_mask_whose_values_are_not_certain_is_a_named_error(
    tmp_path: Path, write: Callable[[Path], object], message: str, read: Callable[[Path], object]
) -> None:
    write(tmp_path / "mask.png")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "mask.png")
