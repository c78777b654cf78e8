"""Files to arrays and back: frames as RGB, masks as object ids."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.datasets.files import read_file
from harness.datasets.matlab import read_instances
from harness.datasets.png import is_short
from harness.errors import DataError

PALETTE_SIZE = 256
MASK_FORMATS = ("PNG", "BMP", "JPEG")
MATLAB = ".mat"
# What Pillow raises on damaged files of these formats, by the part that is damaged.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


@cache
def davis_palette() -> bytes:
    """The colours of DAVIS and PASCAL VOC masks, 256 × RGB: the bits of the id spread over the channels."""
    colours = []
    for index in range(PALETTE_SIZE):
        for channel in range(3):
            colours.append(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)))
    return bytes(colours)


def read_frame(path: Path) -> NDArray[np.uint8]:
    """RGB, height × width × 3, as stored: a rotation noted in the file's EXIF is not applied, for masks have none.

    Raises DataError if the file is missing or cannot be decoded."""
    try:
        encoded = np.frombuffer(read_file(path), np.uint8)
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(encoded, flags) if encoded.size else None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore the frame from the dataset") from None
    except cv2.error as error:
        raise DataError(f"{path}: not a readable image ({error.err}); fetch the file again") from None
    if image is None:
        raise DataError(f"{path}: not a readable image; fetch the file again from the dataset's source")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Stored values, height × width: palette indices, grey levels, 0/1 of a 1-bit image, or instances of SBD's `.mat`;
    alpha is dropped.

    Grey stored as colour is read as grey. Raises DataError if the file is missing, cannot be decoded, or has
    colours."""
    try:
        content = read_file(path)
        if path.suffix == MATLAB:
            return read_instances(content)
        with Image.open(BytesIO(content), formats=MASK_FORMATS) as image:
            image.load()
            if is_short(content):
                raise DataError(f"{path}: not a readable mask (its pixels end early); fetch the file again")
            if image.mode in {"P", "L", "1"}:
                return np.array(image, np.uint8)
            if image.mode not in {"LA", "RGB", "RGBA"}:
                raise DataError(f"{path}: a mask of mode {image.mode}; expected palette, grey or 1-bit")
            channels = np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: mask missing; restore it from the dataset") from None
    except DAMAGE as error:
        raise DataError(f"{path}: not a readable mask ({error}); fetch the file again") from None
    grey = channels[..., 0].copy()
    colours = channels[..., : 1 if channels.shape[2] == 2 else 3]  # alpha is the last of 2 or 4
    if not np.array_equal(colours, np.broadcast_to(grey[..., None], colours.shape)):
        raise DataError(f"{path}: a mask in colours; expected palette, grey or 1-bit")
    return grey


def write_mask(path: Path, ids: NDArray[np.uint8]) -> None:
    """Palette PNG as DAVIS distributes and takes it. `ids`: height × width of uint8."""
    image = Image.fromarray(np.ascontiguousarray(ids, np.uint8))
    image.putpalette(davis_palette())
    image.save(path, format="PNG")
