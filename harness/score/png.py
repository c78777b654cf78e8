"""Mask PNGs to rasters, without expanding palettes: about ten times as fast as a general image library.

Palette and gray images without row filters, or with the one that DAVIS16 has, are read here. Every other PNG (further
filters, interlacing, 16 bit, alpha, gray of 2 and 4 bit) goes to harness.datasets.pixels.read_mask, which knows them
all. Both give the same values."""

from __future__ import annotations

import importlib
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.datasets import davis_palette, read_mask
from harness.datasets.palette import ids_of_indices
from harness.datasets.png import HEADER, SIGNATURE, chunks
from harness.errors import DataError
from harness.score.raster import Raster, from_array

GRAY, PALETTE = 0, 3
FILTER_NONE, FILTER_SUB = 0, 1
MOST_PIXELS = 1 << 28
"""Largest image that is decoded, so that a damaged header cannot exhaust the memory."""


class _DamageError(Exception):
    """What is wrong with a PNG; never leaves this module."""


def read_raster(path: Path) -> Raster:
    """Return the stored values of a mask: palette indices, gray levels, 0/1 of a 1-bit image; alpha is dropped.

    Raises DataError if the file is missing, damaged, or a color image."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the mask cannot be read ({error.strerror}); one PNG per frame expected") from None
    try:
        raster = _decode(content)
    except _DamageError as damage:
        raise DataError(f"{path}: damaged, {damage}; write the mask again") from None
    return from_array(read_mask(path)) if raster is None else raster


def _decode(content: bytes) -> Raster | None:
    """Return the values, or None for a format that the general reader must handle. Raises _DamageError."""
    if not content.startswith(SIGNATURE):
        return None
    header, data, palette = _parse(content)
    width, height, depth, color, _, filters, interlaced = header
    if not 0 < width * height <= MOST_PIXELS:
        raise _DamageError(f"it claims {width}×{height} pixels")
    plain = color == PALETTE or (color == GRAY and depth in {1, 8})
    if not plain or filters or interlaced or depth not in {1, 2, 4, 8}:
        return None
    stride = 1 + (width * depth + 7) // 8
    rows = _inflate(data, height * stride)
    if len(rows) != height * stride:
        raise _DamageError(f"its pixels are not the {height} rows of {width} that it claims")
    kinds = set(rows[::stride])
    if kinds == {FILTER_SUB} and depth == 8:
        rows = _undo_sub(rows, stride)
    elif kinds != {FILTER_NONE}:
        return None
    raster = Raster(rows, height, width, stride, offset=1)
    raster = raster if depth == 8 else _unpack(raster, depth)
    return raster if color == GRAY or _is_plain(palette, raster) else None


def _is_plain(palette: bytes, raster: Raster) -> bool:
    """Return whether the indices of a palette image are its values, which the general reader decides otherwise."""
    if davis_palette().startswith(palette):
        return True
    used = np.flatnonzero(np.bincount(raster.array().ravel())).tolist()
    try:
        return ids_of_indices(palette, used) == used
    except ValueError:
        return False


def _parse(content: bytes) -> tuple[tuple[int, ...], bytes, bytes]:
    """Return the header's fields, the compressed pixels and the palette; verify every checksum. Raises _DamageError."""
    header, data, palette = None, [], b""
    for kind, body, checksum in chunks(content):
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise _DamageError(f"cut short or changed in its chunk {kind.decode('latin-1')}")
        if kind == b"IHDR" and len(body) == HEADER.size:
            header = HEADER.unpack(body)
        elif kind == b"PLTE":
            palette = bytes(body)
        elif kind == b"IDAT":
            data.append(body)
        elif kind == b"IEND":
            break
    else:
        raise _DamageError("it ends early")
    if header is None:
        raise _DamageError("it has no header")
    return header, b"".join(data), palette


def _inflate(data: bytes, size: int) -> bytes:
    """Return `size` bytes, or a different number if the data is wrong. Raises _DamageError."""
    library, failure = _inflater()
    try:
        stream = library.decompressobj()
        rows = stream.decompress(data, size + 1)  # not more, whatever the file would grow to
        return bytes(rows) if stream.eof else b""
    except failure as error:
        raise _DamageError(f"its pixels cannot be decompressed ({error})") from None


def _undo_sub(rows: bytes, stride: int) -> bytes:
    """Return the values of rows that hold differences to the left neighbor, modulo 256 (the truth of DAVIS16).

    The filter bytes become 0."""
    steps = np.frombuffer(rows, np.uint8).reshape(-1, stride)[:, 1:]
    used = steps.any(axis=1)  # the others are half of the rows of a mask
    values = np.zeros((len(steps), stride), np.uint8)
    values[used, 1:] = np.cumsum(steps[used], axis=1, dtype=np.uint8)
    return values.tobytes()


def _unpack(raster: Raster, depth: int) -> Raster:
    """Expand values of `depth` bits, the highest bits first, to one byte each."""
    packed = raster.flat().reshape(raster.height, raster.stride)[:, 1:]
    if depth == 1:
        values: Any = np.unpackbits(packed, axis=1)
    else:
        shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
        values = (packed[:, :, None] >> shifts & ((1 << depth) - 1)).reshape(raster.height, -1)
    values[:, raster.width :] = 0
    return Raster(values.tobytes(), raster.height, raster.width, values.shape[1])


@cache
def _inflater() -> tuple[Any, tuple[type[Exception], ...]]:
    """Return the fastest installed library with the interface of zlib, and what it raises on damaged data."""
    found: Any = zlib
    with suppress(ImportError):
        found = importlib.import_module("isal.isal_zlib")
    with suppress(ImportError):
        found = importlib.import_module("zlib_ng.zlib_ng")
    return found, (found.error, zlib.error)
