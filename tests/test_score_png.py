"""Mask files: every encoding gives the values that a general reader gives, every damage a named error."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from harness.datasets.pixels import read_mask, write_mask
from harness.errors import DataError
from harness.score import png
from harness.score.png import read_raster


def png_bytes(rows, width, height, depth, colour, *, compress=zlib.compress):
    """A PNG around raw rows (bytes with the filter byte of each row), any header."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(48))) if colour == 3 else b""
    return png.SIGNATURE + chunk(b"IHDR", header) + palette + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")


def random_ids(height=37, width=51, most=3, seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, most + 1, (height // 4 + 1, width // 6 + 1))
    return np.kron(blocks, np.ones((4, 6)))[:height, :width].astype(np.uint8)


def image_of(ids, kind):
    if kind == "one bit":
        return Image.fromarray(ids > 0)
    if kind == "grey 0/1":
        return Image.fromarray((ids > 0).astype(np.uint8))
    if kind == "grey 0/255":
        return Image.fromarray((ids > 0).astype(np.uint8) * 255)
    if kind == "grey with alpha":
        return Image.fromarray((ids > 0).astype(np.uint8) * 255).convert("LA")
    image = Image.fromarray(ids, mode="P")
    image.putpalette(list(range(12)) if kind == "small palette" else list(range(256)) * 3)
    return image


@pytest.mark.parametrize(
    "kind", ["one bit", "grey 0/1", "grey 0/255", "grey with alpha", "small palette", "palette of 256"]
)
@pytest.mark.parametrize("width", [1, 7, 8, 9, 51])
def test_every_submitted_encoding_reads_as_the_general_reader_does(tmp_path, kind, width):
    image_of(random_ids(width=width), kind).save(tmp_path / "mask.png")
    assert np.array_equal(read_raster(tmp_path / "mask.png").array(), read_mask(tmp_path / "mask.png"))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_spare_bits_at_the_end_of_a_row_are_not_pixels(tmp_path, depth):
    width, height = 5, 3
    row = b"\0" + b"\xff" * ((width * depth + 7) // 8)
    (tmp_path / "mask.png").write_bytes(png_bytes(row * height, width, height, depth, 3))
    raster = read_raster(tmp_path / "mask.png")
    assert np.array_equal(raster.array(), np.full((height, width), 2**depth - 1))
    assert np.count_nonzero(raster.flat()) == width * height


def test_rows_of_differences_as_davis16_has_them_are_undone(tmp_path):
    ids = np.random.default_rng(0).integers(0, 256, (20, 33)).astype(np.uint8)
    ids[4:] = random_ids(16, 33) * 80
    steps = np.diff(ids, axis=1, prepend=np.zeros((20, 1), np.uint8))
    rows = np.concatenate([np.ones((20, 1), np.uint8), steps], axis=1).tobytes()
    (tmp_path / "mask.png").write_bytes(png_bytes(rows, 33, 20, 8, 0))
    assert np.array_equal(read_raster(tmp_path / "mask.png").array(), ids)


def test_mixed_row_filters_are_left_to_the_general_reader(tmp_path):
    rows = bytes([0, 1, 2, 3, 2, 1, 1, 1, 4, 0, 0, 0])  # none, up, Paeth
    (tmp_path / "mask.png").write_bytes(png_bytes(rows, 3, 3, 8, 0))
    assert read_raster(tmp_path / "mask.png").array().tolist() == [[1, 2, 3], [2, 3, 4], [2, 3, 4]]


@pytest.mark.parametrize("module", ["zlib_ng.zlib_ng", "isal.isal_zlib", "zlib"])
@pytest.mark.parametrize("noise", [False, True])
def test_every_inflater_gives_the_same_values(tmp_path, monkeypatch, module, noise):
    library = pytest.importorskip(module)
    monkeypatch.setattr(png, "_inflater", lambda: (library, (library.error,)))
    ids = np.random.default_rng(0).integers(0, 256, (480, 854)).astype(np.uint8) if noise else random_ids(480, 854)
    write_mask(tmp_path / "mask.png", ids)
    content = (tmp_path / "mask.png").read_bytes()
    found = png._decode(content)
    assert found is not None
    assert np.array_equal(found.array(), ids)


def damaged(content, kind):
    if kind == "empty":
        return b""
    if kind == "cut short":
        return content[: len(content) // 2]
    if kind == "no image at all":
        return b"<html>not found</html>"
    if kind == "one bit wrong":
        place = content.index(b"IDAT") + 20
        return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
    if kind == "fewer rows than it says":
        return png_bytes(bytes(10 * 52), 51, 37, 8, 3)
    if kind == "more rows than it says":
        return png_bytes(bytes(10**7), 51, 37, 8, 3)
    if kind == "a bomb":
        return png_bytes(bytes(10**8), 51, 37, 8, 3)
    if kind == "nonsense instead of pixels":
        return png_bytes(bytes(37 * 52), 51, 37, 8, 3, compress=lambda rows: rows)
    return png_bytes(bytes(100), 2**31 - 1, 2**31 - 1, 8, 3)  # a header that claims exabytes


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "cut short",
        "no image at all",
        "one bit wrong",
        "fewer rows than it says",
        "more rows than it says",
        "a bomb",
        "nonsense instead of pixels",
        "absurd size",
    ],
)
def test_a_damaged_mask_is_an_error_that_names_the_file(tmp_path, kind):
    path = tmp_path / "mask.png"
    write_mask(path, random_ids())
    path.write_bytes(damaged(path.read_bytes(), kind))
    with pytest.raises(DataError, match=r"mask\.png"):
        read_raster(path)


def test_a_colour_image_is_an_error_that_names_the_file(tmp_path):
    Image.new("RGB", (5, 4), (200, 0, 0)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask\.png.*colour"):
        read_raster(tmp_path / "mask.png")


def test_a_missing_mask_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(DataError, match=r"mask\.png"):
        read_raster(tmp_path / "mask.png")
