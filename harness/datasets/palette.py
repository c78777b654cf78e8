"""Colors of masks: what an index or a color stands for, where it is certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""Value of pixels that belong to no class: ignored in training, never an object."""

BLACK = bytes(3)


@cache
def davis_palette() -> bytes:
    """Return the colors of DAVIS and PASCAL VOC masks, 256 × RGB: the bits of the id spread over the channels."""
    return bytes(
        sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
        for index in range(256)
        for channel in range(3)
    )


def ids_of_indices(palette: bytes, used: Sequence[int]) -> list[int]:
    """Return the value that each index in use stands for: itself, unless the palette proves that it was sorted anew.

    It does where the colors in use are those of DAVIS in another order, as programs write them that count colors.
    Raises ValueError if index 0 is not the background, although another index is black."""
    if davis_palette().startswith(palette):
        return list(used)
    colors = [palette[3 * index : 3 * index + 3] for index in used]
    ids = [_davis_ids().get(color, -1) for color in colors]
    if all(index in {value, VOID} for index, value in zip(used, ids, strict=True)):
        return list(used)
    entries = Counter(palette[place : place + 3] for place in range(0, len(palette), 3))
    if min(ids) >= 0 and all(entries[color] == 1 or color == BLACK for color in colors) and len({*ids}) == len(ids):
        return ids
    if palette[:3] != BLACK and (BLACK in colors or (len(entries) == 2 and BLACK in entries)):
        raise ValueError(f"index 0 has the color {_name(palette[:3])} and another index is black")
    return list(used)


def ids_of_colors(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the ids of an RGB image, height × width × 3, in the colors of DAVIS, else the levels of a gray one.

    Raises ValueError with the colors found if it is neither."""
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, places = np.unique(packed, return_inverse=True)
    colors = [int(color).to_bytes(3, "big") for color in found]
    ids = [_davis_ids().get(color, -1) for color in colors]
    if min(ids) < 0:
        if not all(color[0] == color[1] == color[2] for color in colors):
            more = f" and {len(colors) - 4} more" if len(colors) > 4 else ""
            raise ValueError(f"the colors {', '.join(map(_name, colors[:4]))}{more}")
        ids = [color[0] for color in colors]
    return np.array(ids, np.uint8)[places.reshape(packed.shape)]


@cache
def _davis_ids() -> Mapping[bytes, int]:
    palette = davis_palette()
    return {palette[3 * index : 3 * index + 3]: index for index in range(256)}


def _name(color: bytes) -> str:
    return f"({', '.join(map(str, color))})"
