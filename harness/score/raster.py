"""A mask as flat bytes: what a decoder leaves behind, without another copy of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Mask values row by row, one byte each."""

    data: bytes
    """`height` rows of `stride` bytes; the bytes of a row besides its `width` values are 0."""

    height: int
    width: int
    stride: int
    offset: int = 0
    """Of the first value in each row (1 where a PNG's filter byte stands before it)."""

    @property
    def size(self) -> str:
        """For people: width × height."""
        return f"{self.width}×{self.height}"

    def flat(self) -> NDArray[np.uint8]:
        """All bytes, read-only."""
        return np.frombuffer(self.data, np.uint8)

    def array(self) -> NDArray[np.uint8]:
        """Height × width, read-only."""
        rows = self.flat().reshape(self.height, self.stride)
        return rows[:, self.offset : self.offset + self.width]

    def replaced(self, flat: NDArray[np.bool_]) -> Raster:
        """The same geometry with other values, `flat` as long as `data`."""
        return Raster(flat.tobytes(), self.height, self.width, self.stride, self.offset)


def from_array(mask: NDArray[np.uint8]) -> Raster:
    """Of a mask in memory, height × width."""
    height, width = mask.shape
    return Raster(mask.tobytes(), height, width, width)
