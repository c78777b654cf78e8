"""Structure of PNG files, to detect missing pixels, which Pillow fills without an error."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")
"""Data of the chunk IHDR: width, height, bits per sample, color type, compression, filter, interlacing."""

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Color type → samples per pixel."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced image: first column, first row, step of columns, step of rows."""


def chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield kind, data and stored checksum (CRC-32 of kind and data) of each chunk; the last one may be cut."""
    view, place = memoryview(content), len(SIGNATURE)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        yield kind, view[place + 8 : end], int.from_bytes(view[end : end + 4], "big")
        place = end + 4


def is_short(content: bytes) -> bool:
    """Return whether the pixels of a PNG end early. Raises zlib.error or struct.error for other damage."""
    if not content.startswith(SIGNATURE):
        return False
    parts = chunks(content)
    _, header, _ = next(parts)
    width, height, depth, color, _, _, interlaced = HEADER.unpack(header)
    bits = depth * CHANNELS.get(color, 1)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    return _inflated_size((data for kind, data, _ in parts if kind == b"IDAT"), expected) < expected


def _inflated_size(parts: Iterator[memoryview], limit: int) -> int:
    """Return how many bytes the pixels inflate to; counting stops at `limit`, and the bytes are not kept."""
    stream, total = zlib.decompressobj(), 0
    for data in parts:
        rest: bytes | memoryview = data
        while rest and total < limit and not stream.eof:
            total += len(stream.decompress(rest, 1 << 20))  # bytes at once
            rest = stream.unconsumed_tail
    return total + (len(stream.flush()) if total < limit and not stream.eof else 0)
