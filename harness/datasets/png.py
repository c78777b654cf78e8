"""Whether a PNG holds all the pixels that its header claims: Pillow fills up what is missing without a word."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type → samples a pixel."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced image: first column, first row, step of columns, step of rows."""

_PIECE = 1 << 20
"""Bytes that are inflated at once."""


def is_short(content: bytes) -> bool:
    """Whether the pixels end early, though the file may be sound otherwise. False for what is no PNG.

    Raises zlib.error or struct.error where the file is damaged in another way."""
    if not content.startswith(SIGNATURE):
        return False
    chunks = _chunks(content)
    _, header = next(chunks)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * CHANNELS.get(colour, 1)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    return _inflated(chunks, expected) < expected


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and data of each, as far as there are."""
    view, place = memoryview(content), len(SIGNATURE)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, view[place + 8 : place + 8 + length]
        place += 12 + length


def _inflated(chunks: Iterator[tuple[bytes, memoryview]], most: int) -> int:
    """Bytes that the pixels inflate to; counted no further than `most`, and never held."""
    stream, total = zlib.decompressobj(), 0
    for kind, data in chunks:
        rest: bytes | memoryview = data if kind == b"IDAT" else b""
        while rest and total < most and not stream.eof:
            total += len(stream.decompress(rest, _PIECE))
            rest = stream.unconsumed_tail
    return total + (len(stream.flush()) if total < most and not stream.eof else 0)
