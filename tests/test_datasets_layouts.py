"""Datasets as distributed, with files written by hand, not by the writers of `harness.datasets`."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.datasets import load_benchmark, load_protocols, load_training
from harness.errors import DataError

PROTOCOLS = load_protocols()
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] * 64


def save_frame(path: Path, size: tuple[int, int] = (40, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    cv2.imwrite(str(path), image)


def save_palette(path: Path, ids: list[int], size: tuple[int, int] = (40, 24)) -> None:
    """Write a palette PNG with a square of 4 pixels per id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((size[1], size[0]), np.uint8)
    for place, value in enumerate(ids):
        mask[2:6, 2 + 6 * place : 6 + 6 * place] = value
    image = Image.fromarray(mask)
    image.putpalette(PALETTE)
    image.save(path)


def save_gray(path: Path, mode: str = "L", size: tuple[int, int] = (40, 24)) -> None:
    """Write a mask of 0 and 255 with a square of 4 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[2:6, 2:6] = 255
    Image.fromarray(mask).convert(mode).save(path)


def make_davis16(folder: Path, split: str = "val", names: tuple[str, ...] = ("bear",), frames: int = 4) -> Path:
    lines = []
    for name in names:
        for index in range(frames):
            frame, mask = f"/JPEGImages/480p/{name}/{index:05d}.jpg", f"/Annotations/480p/{name}/{index:05d}.png"
            save_frame(folder / frame[1:])
            save_gray(folder / mask[1:], "LA" if index == 1 else "L")
            lines.append(f"{frame} {mask} \n")
    list_file = folder / f"ImageSets/480p/{split}.txt"
    list_file.parent.mkdir(parents=True, exist_ok=True)
    list_file.write_text("".join(lines))
    return folder


def make_davis17(folder: Path, split: str = "val", ids: tuple[int, ...] = (1, 2), frames: int = 4) -> Path:
    for index in range(frames):
        save_frame(folder / f"JPEGImages/480p/dogs-jump/{index:05d}.jpg", (41, 24))
        save_palette(folder / f"Annotations/480p/dogs-jump/{index:05d}.png", list(ids), (41, 24))
    list_file = folder / f"ImageSets/2017/{split}.txt"
    list_file.parent.mkdir(parents=True, exist_ok=True)
    list_file.write_text("dogs-jump\n")
    return folder


def make_voc(folder: Path) -> Path:
    save_frame(folder / "JPEGImages/2007_000032.jpg")
    save_palette(folder / "SegmentationObject/2007_000032.png", [1, 255, 3])
    save_palette(folder / "SegmentationClass/2007_000032.png", [15])
    list_file = folder / "ImageSets/Segmentation/trainval.txt"
    list_file.parent.mkdir(parents=True, exist_ok=True)
    list_file.write_text("2007_000032\n")
    return folder


def test_davis16_reads_lists_with_leading_slash_and_trailing_space(tmp_path: Path) -> None:
    make_davis16(tmp_path / "DAVIS", names=("bear", "camel"))
    sequences = load_benchmark(PROTOCOLS["davis16-val"], tmp_path)
    assert [(s.name, len(s), s.scored, s.object_ids) for s in sequences] == [
        ("bear", 4, (1, 2), (1,)),
        ("camel", 4, (1, 2), (1,)),
    ]


def test_davis16_masks_are_one_object_whatever_the_mode(tmp_path: Path) -> None:
    make_davis16(tmp_path)
    sequence = load_benchmark(PROTOCOLS["davis16-val"], tmp_path)[0]
    assert [sequence.mask(index).sum() for index in range(4)] == [16, 16, 16, 16]
    assert np.unique(sequence.mask(1)).tolist() == [0, 1]


def test_davis16_tolerates_crlf(tmp_path: Path) -> None:
    path = make_davis16(tmp_path) / "ImageSets/480p/val.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_benchmark(PROTOCOLS["davis16-val"], tmp_path)[0]) == 4


@pytest.mark.parametrize("folder", ["DAVIS2016", "DAVIS16", "DAVIS-2016", "DAVIS", "."])
def test_davis16_is_found_under_its_usual_names(tmp_path: Path, folder: str) -> None:
    make_davis16(tmp_path / folder)
    assert load_benchmark(PROTOCOLS["davis16-val"], tmp_path)[0].name == "bear"


def test_davis17_is_distinguished_from_davis16_in_a_folder_of_that_name(tmp_path: Path) -> None:
    make_davis16(tmp_path / "DAVIS")
    with pytest.raises(DataError, match=r"ImageSets/2017/val\.txt"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


def test_davis17_ids_are_those_of_the_first_mask(tmp_path: Path) -> None:
    make_davis17(tmp_path, ids=(3, 1))
    sequence = load_benchmark(PROTOCOLS["davis17-val"], tmp_path)[0]
    assert sequence.object_ids == (1, 3)
    assert np.unique(sequence.mask(2)).tolist() == [0, 1, 3]


def test_davis17_foreground_merges_objects_and_keeps_void(tmp_path: Path) -> None:
    make_davis17(tmp_path, ids=(1, 2, 255))
    sequence = load_benchmark(PROTOCOLS["davis17-foreground"], tmp_path)[0]
    assert sequence.object_ids == (1,)
    values, counts = np.unique(sequence.mask(1), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: 41 * 24 - 48, 1: 32, 255: 16}


def test_davis17_with_first_masks_only_has_no_other_truth(tmp_path: Path) -> None:
    make_davis17(tmp_path, split="train")
    for index in (1, 2, 3):
        (tmp_path / f"Annotations/480p/dogs-jump/{index:05d}.png").unlink()
    sequence = load_training("davis17-train", tmp_path)[0]
    assert [mask is None for mask in sequence.masks] == [False, True, True, True]


def test_voc_instances_come_with_void(tmp_path: Path) -> None:
    make_voc(tmp_path / "VOCdevkit/VOC2012")
    image = load_training("voc", tmp_path)[0]
    assert (len(image), image.object_ids, image.scored) == (1, (1, 3), ())
    assert 255 in image.mask(0)


def test_a_missing_frame_keeps_its_index(tmp_path: Path) -> None:
    make_davis17(tmp_path)
    for path in ("JPEGImages/480p/dogs-jump/00002.jpg", "Annotations/480p/dogs-jump/00002.png"):
        (tmp_path / path).unlink()
    sequence = load_benchmark(PROTOCOLS["davis17-val"], tmp_path)[0]
    assert [path.stem for path in sequence.frames] == ["00000", "00001", "00002", "00003"]
    with pytest.raises(DataError, match=r"00002\.jpg"):
        sequence.frame(2)


@pytest.mark.parametrize(
    "line",
    [
        "/../outside/00000.jpg /Annotations/480p/bear/00000.png",
        "//etc/hostname /Annotations/480p/bear/00000.png",
        "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/../../../outside.png",
        "C:\\outside\\00000.jpg /Annotations/480p/bear/00000.png",
        "/JPEGImages/480p/bear/00000.jpg",
        "bear",
    ],
)
def test_a_davis16_line_must_be_a_pair_of_paths_in_the_dataset(tmp_path: Path, line: str) -> None:
    path = make_davis16(tmp_path) / "ImageSets/480p/val.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"val\.txt"):
        load_benchmark(PROTOCOLS["davis16-val"], tmp_path)


@pytest.mark.parametrize("name", ["../dogs-jump", "/etc", "..", "a/b", "a\\b", "dogs-jump"])
def test_a_davis17_name_that_is_a_path_or_duplicate_is_an_error(tmp_path: Path, name: str) -> None:
    path = make_davis17(tmp_path) / "ImageSets/2017/val.txt"
    path.write_text(f"dogs-jump\n{name}\n")
    with pytest.raises(DataError, match=r"val\.txt"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


def test_a_link_out_of_the_dataset_is_an_error(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path / "data/DAVIS")
    frame = folder / "JPEGImages/480p/dogs-jump/00001.jpg"
    frame.rename(tmp_path / "secret.jpg")
    frame.symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="a link out of the dataset"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path / "data")


def test_a_link_to_the_whole_dataset_is_followed(tmp_path: Path) -> None:
    make_davis17(tmp_path / "disk/DAVIS")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/DAVIS").symlink_to(tmp_path / "disk/DAVIS")
    assert len(load_benchmark(PROTOCOLS["davis17-val"], tmp_path / "data")) == 1


def test_a_loop_of_links_is_a_named_error(tmp_path: Path) -> None:
    frame = make_davis17(tmp_path) / "JPEGImages/480p/dogs-jump/00001.jpg"
    frame.unlink()
    frame.symlink_to(frame)
    with pytest.raises(DataError, match=r"00001\.jpg"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xff\xfe\x00"])
def test_an_empty_or_binary_list_is_a_named_error(tmp_path: Path, content: bytes) -> None:
    path = make_davis17(tmp_path) / "ImageSets/2017/val.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"val\.txt"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


def test_a_name_that_is_not_utf8_is_a_named_error(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path) / "JPEGImages/480p/dogs-jump"
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DataError, match="not UTF-8"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


def test_a_missing_sequence_folder_is_named(tmp_path: Path) -> None:
    path = make_davis17(tmp_path) / "ImageSets/2017/val.txt"
    path.write_text("dogs-jump\ncows\n")
    with pytest.raises(DataError, match=r"JPEGImages/480p/cows"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


def test_the_error_for_a_missing_dataset_lists_its_places(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"DAVIS 2016 not found.*DAVIS2016.*https://"):
        load_benchmark(PROTOCOLS["davis16-val"], tmp_path)


def test_an_empty_first_mask_is_a_named_error(tmp_path: Path) -> None:
    make_davis17(tmp_path, ids=())
    with pytest.raises(DataError, match="no object in the first mask"):
        load_benchmark(PROTOCOLS["davis17-val"], tmp_path)


def test_paths_are_absolute_for_a_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_davis17(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert load_benchmark(PROTOCOLS["davis17-val"], Path("data"))[0].frames[0].is_absolute()
