from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets import Problem, check_sequences, load_benchmark, load_protocols, load_training, require_sound
from harness.datasets.check import check_files
from harness.errors import DataError, StoreError
from tests.test_datasets_layouts import make_davis16, make_davis17, save_frame, save_gray, save_palette

FRAME = "JPEGImages/480p/dogs-jump/00002.jpg"
MASK = "Annotations/480p/dogs-jump/00002.png"


def check17(root: Path, cache: Path | None = None) -> list[Problem]:
    return check_sequences(load_benchmark(load_protocols()["davis17-val"], root), cache)


def errors(problems: list[Problem]) -> list[str]:
    return [problem.message for problem in problems if problem.severity == "error"]


def notes(problems: list[Problem]) -> list[str]:
    return [problem.message for problem in problems if problem.severity == "note"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def save_header(path: Path, width: int, height: int) -> None:
    """Write a PNG whose header says a size that its few pixels do not fill."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b""))


def save_mode(mode: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        colors = np.random.default_rng(0).integers(0, 255, (24, 41, 3), np.uint8)
        Image.fromarray(colors).convert(mode).save(path, format="TIFF" if mode == "CMYK" else "PNG")

    return save


def save_wide(path: Path) -> None:
    Image.fromarray(np.full((24, 41), 1000, np.uint16)).save(path)


def test_a_sound_benchmark_has_no_problems(tmp_path: Path) -> None:
    assert check17(make_davis17(tmp_path)) == []


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "truncated JPEG": (FRAME, truncate, "not a readable image"),
    "truncated PNG": (MASK, truncate, "not a readable mask"),
    "empty JPEG": (FRAME, lambda path: path.write_bytes(b""), "not a readable image"),
    "empty PNG": (MASK, lambda path: path.write_bytes(b""), "not a readable mask"),
    "text instead of JPEG": (FRAME, lambda path: path.write_text("404: not found"), "not a readable image"),
    "text instead of PNG": (MASK, lambda path: path.write_text("<html>"), "not a readable mask"),
    "missing frame": (FRAME, Path.unlink, "frame missing"),
    "missing mask": (MASK, Path.unlink, "mask missing"),
    "folder instead of a frame": (FRAME, replace_by_folder, "not a readable image"),
    "folder instead of a mask": (MASK, replace_by_folder, "not a readable mask"),
    "frame of another size": (FRAME, lambda path: save_frame(path, (40, 24)), "41×24"),
    "mask of another size": (MASK, lambda path: save_palette(path, [1], (41, 25)), r"41×25.*41×24"),
    "mask turned": (MASK, lambda path: save_palette(path, [1], (24, 41)), r"24×41.*41×24"),
    "an id too many": (MASK, lambda path: save_palette(path, [1, 2, 3], (41, 24)), r"ids 3, .*has 1, 2"),
    "huge header of a frame": (FRAME, lambda path: save_header(path, 50_000, 50_000), "not a readable image"),
    "huge header of a mask": (MASK, lambda path: save_header(path, 50_000, 50_000), "not a readable mask"),
    "large header of a frame": (FRAME, lambda path: save_header(path, 9_400, 9_000), "9400×9000"),
    "large header of a mask": (MASK, lambda path: save_header(path, 9_400, 9_000), "9400×9000"),
    "no pixels": (MASK, lambda path: save_header(path, 0, 0), "not a readable mask"),
    "mask with colors": (MASK, save_mode("RGB"), "mask with colors"),
    "mask of 16 bits": (MASK, save_wide, "16-bit values up to 1000"),
    "TIFF named PNG": (MASK, save_mode("CMYK"), "not a readable mask"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    place, damage, message = DAMAGE[name]
    damage(make_davis17(tmp_path) / place)
    found = errors(check17(tmp_path))
    assert len(found) == 1
    assert str(tmp_path / place) in found[0]
    with pytest.raises(DataError, match=message):
        require_sound(check17(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_an_error_until_permitted(tmp_path: Path) -> None:
    path = make_davis17(tmp_path / "data") / FRAME
    path.chmod(0)
    assert "Permission denied" in errors(check17(tmp_path / "data", tmp_path / "cache"))[0]
    path.chmod(0o644)
    assert check17(tmp_path / "data", tmp_path / "cache") == []


def test_an_unreadable_first_mask_is_named_on_loading(tmp_path: Path) -> None:
    truncate(make_davis17(tmp_path) / "Annotations/480p/dogs-jump/00000.png")
    with pytest.raises(DataError, match=r"00000\.png: not a readable mask"):
        check17(tmp_path)


def test_alpha_and_empty_masks_are_notes(tmp_path: Path) -> None:
    folder = make_davis16(tmp_path)
    Image.fromarray(np.zeros((24, 40), np.uint8)).save(folder / "Annotations/480p/bear/00002.png")
    problems = check_sequences(load_benchmark(load_protocols()["davis16-val"], tmp_path))
    assert errors(problems) == []
    assert [note.split(": ")[1] for note in notes(problems)] == [
        "this mask has an alpha channel, which is ignored",
        "this mask has no object in sight",
    ]


def test_an_empty_first_mask_is_an_error_where_it_is_scored(tmp_path: Path) -> None:
    folder = make_davis16(tmp_path)
    make_davis16(tmp_path, "train")
    Image.fromarray(np.zeros((24, 40), np.uint8)).save(folder / "Annotations/480p/bear/00000.png")
    with pytest.raises(DataError, match=r"00000\.png: no object in the first mask"):
        load_benchmark(load_protocols()["davis16-val"], tmp_path)
    assert errors(check_sequences(load_training("davis16-train", tmp_path))) == []


def test_a_merged_benchmark_takes_any_ids(tmp_path: Path) -> None:
    save_palette(make_davis17(tmp_path) / MASK, [1, 3], (41, 24))
    assert check_sequences(load_benchmark(load_protocols()["davis17-foreground"], tmp_path)) == []


def test_all_defects_are_listed(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path)
    truncate(folder / FRAME)
    truncate(folder / MASK)
    assert len(errors(check17(tmp_path))) == 2


def test_a_cached_check_decodes_no_unchanged_file(tmp_path: Path) -> None:
    folder, cache = make_davis17(tmp_path / "data"), tmp_path / "cache"
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    assert check17(folder, cache) == []
    path = folder / MASK
    path.write_bytes(bytes(path.stat().st_size))  # other content under the same stamp: only a decoder would notice
    os.utime(path, (1, 1))
    assert check17(folder, cache) == []


def test_a_cached_check_notices_a_changed_file(tmp_path: Path) -> None:
    folder, cache = make_davis17(tmp_path / "data"), tmp_path / "cache"
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    assert check17(folder, cache) == []
    save_palette(folder / MASK, [1, 2, 3], (41, 24))
    assert len(errors(check17(folder, cache))) == 1


def test_a_file_that_is_not_a_cache_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("something else, longer than a header of SQLite " * 9)
    make_davis17(tmp_path / "data")
    with pytest.raises(StoreError, match="delete the file"):
        check17(tmp_path / "data", tmp_path / "cache")


def test_progress_counts_every_file_once(tmp_path: Path) -> None:
    seen: list[int] = []
    save_gray(make_davis17(tmp_path) / "Annotations/480p/other/00000.png")
    sequences = load_benchmark(load_protocols()["davis17-val"], tmp_path)
    check_files(sequences, None, done=lambda: seen.append(1))
    assert len(seen) == 8
