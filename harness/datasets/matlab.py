"""Instances in SBD's MATLAB files, with SciPy's reader."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

VARIABLE, FIELD = "GTinst", "Segmentation"

LARGEST = 16 << 20
"""Bytes; SBD's files take a few kilobytes."""

MOST = 255
"""Highest value of a mask."""

# What SciPy raises on damaged files, by the part that is damaged.
_DAMAGE = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, NotImplementedError),
    *(MemoryError, OverflowError, struct.error, zlib.error, MatReadError),
)


def read_instances(content: bytes) -> NDArray[np.uint8]:
    """Height × width: 0 background, instances from 1, of `GTinst.Segmentation`. Raises ValueError saying why not."""
    if len(content) > LARGEST:
        raise ValueError(f"{len(content)} bytes, no file of SBD is as large")
    try:
        found: Any = loadmat(BytesIO(content), variable_names=[VARIABLE])[VARIABLE][FIELD].item()
    except _DAMAGE as error:
        raise ValueError(f"no {VARIABLE}.{FIELD} can be read: {error}") from None
    values = np.asarray(found)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "buif":
        raise ValueError(f"{VARIABLE}.{FIELD} is no image")
    if (values < 0).any() or (values > MOST).any() or (values != np.floor(values)).any():
        raise ValueError(f"{VARIABLE}.{FIELD} has values that are no instances")
    return np.ascontiguousarray(values, np.uint8)
