"""A mask as the flat bytes that a decoder returns, without another copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Mask values row by row, one byte each."""

    data: bytes
    """`height` rows of `stride` bytes; the bytes of a row outside its `width` values are 0."""

    height: int
    width: int
    stride: int
    offset: int = 0
    """Offset of the first value in each row (1 after a PNG's filter byte)."""

    @property
    def size(self) -> str:
        """Width × height as text."""
        return f"{self.width}×{self.height}"

    def flat(self) -> NDArray[np.uint8]:
        """Return all bytes, read-only."""
        return np.frombuffer(self.data, np.uint8)

    def array(self) -> NDArray[np.uint8]:
        """Return the mask, height × width, read-only."""
        rows = self.flat().reshape(self.height, self.stride)
        return rows[:, self.offset : self.offset + self.width]

    def replaced(self, flat: NDArray[np.bool_]) -> Raster:
        """Return a raster of the same geometry with other values, `flat` as long as `data`."""
        return Raster(flat.tobytes(), self.height, self.width, self.stride, self.offset)


def from_array(mask: NDArray[np.uint8]) -> Raster:
    """Return the raster of a mask in memory, height × width."""
    height, width = mask.shape
    return Raster(mask.tobytes(), height, width, width)
