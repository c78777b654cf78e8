"""Instances in SBD's MATLAB files (MAT 5): one field of one structure, and nothing else of the format.

SciPy reads the whole format, but a damaged file can crash the process there, and it also reads the boundaries, which
take most of the time. The format is described in "MAT-File Format", The MathWorks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

VARIABLE, FIELD = "GTinst", "Segmentation"

MAX_BYTES = 64 << 20
"""Limit for the size of a file and for its inflated size; SBD's files have a few hundred kilobytes."""

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCTURE = 2
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Type of an element → NumPy type of its numbers."""


def read_instances(content: bytes) -> NDArray[np.uint8]:
    """Return `GTinst.Segmentation`, height × width: 0 is background, instances from 1. Raises ValueError for damage."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{len(content)} bytes, but no file of SBD is as large")
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER - 2 : _HEADER])
    if order is None:
        raise ValueError("it has no header of a MATLAB 5 file")
    try:
        values = _find(memoryview(content)[_HEADER:], order)
    except (struct.error, zlib.error, IndexError, StopIteration, OverflowError) as error:
        raise ValueError(f"{VARIABLE}.{FIELD} is damaged ({error or 'it ends early'})") from None
    if (values < 0).any() or (values > 255).any() or (values != np.floor(values)).any():
        raise ValueError(f"{VARIABLE}.{FIELD} has values that are not instances")
    return np.ascontiguousarray(values, np.uint8)


def _find(data: memoryview, order: str) -> NDArray[Any]:
    for kind, body in _elements(data, order):
        inner = next(_elements(_inflated(body), order)) if kind == _COMPRESSED else (kind, body)
        if inner[0] == _MATRIX and _name(inner[1], order) == VARIABLE:
            return _image(_field(inner[1], order), order)
    raise ValueError(f"it has no variable {VARIABLE}")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and data of the elements. A short one has its data in its tag. Raises ValueError if one is cut."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            end = start + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > min(end, len(data)):
            raise ValueError(f"{VARIABLE}.{FIELD} cannot be reached: an element of {size} bytes ends early")
        yield kind, data[start : start + size]
        place = end


def _inflated(data: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    content = stream.decompress(data, MAX_BYTES)
    if not stream.eof:
        raise ValueError(f"{VARIABLE}.{FIELD} ends early, or is larger than any in SBD")
    return memoryview(content)


def _name(matrix: memoryview, order: str) -> str:
    (_, name) = next(islice(_elements(matrix, order), 2, None))
    return bytes(name).decode("latin-1")


def _field(matrix: memoryview, order: str) -> memoryview:
    """Return the matrix in the field of a structure with one row and one column."""
    parts = _elements(matrix, order)
    (_, flags), (_, sizes), _ = next(parts), next(parts), next(parts)
    if flags[0 if order == "<" else 3] != _STRUCTURE or _numbers(sizes, order) != [1, 1]:
        raise ValueError(f"{VARIABLE} is not a structure")
    length = _numbers(next(parts)[1], order)[0]
    _, text = next(parts)
    if length < 1:
        raise ValueError(f"{VARIABLE} has fields without names")
    names = [bytes(text[i : i + length]).split(b"\0")[0].decode("latin-1") for i in range(0, len(text), length)]
    if FIELD not in names:
        raise ValueError(f"{VARIABLE} has no field {FIELD}")
    kind, found = next(islice(parts, names.index(FIELD), None))
    if kind != _MATRIX:
        raise ValueError(f"{VARIABLE}.{FIELD} is not a matrix")
    return found


def _image(matrix: memoryview, order: str) -> NDArray[Any]:
    """Return numbers of any type, height × width; they are stored column by column."""
    parts = _elements(matrix, order)
    next(parts)
    sizes = _numbers(next(parts)[1], order)
    next(parts)
    kind, data = next(parts, (0, memoryview(b"")))
    if len(sizes) != 2 or kind not in _NUMBERS:
        raise ValueError(f"{VARIABLE}.{FIELD} is not an image")
    values = np.frombuffer(data, np.dtype(order + _NUMBERS[kind]))
    height, width = sizes
    if min(sizes) < 1 or height * width != values.size:
        raise ValueError(f"{VARIABLE}.{FIELD} is not an image: {width}×{height}, but {values.size} numbers")
    return values.reshape(height, width, order="F")


def _numbers(data: memoryview, order: str) -> list[int]:
    return list(struct.unpack(f"{order}{len(data) // 4}i", data[: len(data) // 4 * 4]))
