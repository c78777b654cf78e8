"""Image files to arrays and back: frames as RGB, masks as object ids."""

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

VOID = 255
"""Value of pixels that belong to no class: ignored in training, never an object."""

JPEG_QUALITY = 92
MASK_FORMATS = ("PNG", "BMP", "JPEG")
MATLAB = ".mat"
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""Errors that Pillow raises on damaged files of these formats, depending on the part that is damaged."""


@cache
def davis_palette() -> bytes:
    """Return the colors of DAVIS and PASCAL VOC masks, 256 × RGB: the bits of the id spread over the channels."""
    return bytes(
        sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
        for index in range(256)
        for channel in range(3)
    )


def read_frame(path: Path) -> NDArray[np.uint8]:
    """Return RGB, height × width × 3, as stored: without EXIF rotation, since masks have none. Raises DataError."""
    try:
        encoded = np.frombuffer(read_file(path), np.uint8)
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(encoded, flags) if encoded.size else None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore the frame from the dataset") from None
    except cv2.error as error:
        raise DataError(f"{path}: not a readable image ({error.err}); download the file again") from None
    if image is None:
        raise DataError(f"{path}: not a readable image; download the file again")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return the stored values, height × width: palette indices, gray levels, 0/1 of a 1-bit image, or SBD's instances.

    Alpha is dropped, and gray stored as RGB is read as gray. Raises DataError if the file is missing, cannot be
    decoded, or has colors."""
    try:
        content = read_file(path)
        if path.suffix == MATLAB:
            return read_instances(content)
        with Image.open(BytesIO(content), formats=MASK_FORMATS) as image:
            image.load()
            if is_short(content):
                raise DataError(f"{path}: not a readable mask (its pixels end early); download the file again")
            if image.mode in {"P", "L", "1"}:
                return np.array(image, np.uint8)
            if image.mode not in {"LA", "RGB", "RGBA"}:
                raise DataError(f"{path}: a mask of mode {image.mode}, palette, gray or 1-bit expected; convert it")
            channels = np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: mask missing; restore it from the dataset") from None
    except DAMAGE as error:
        raise DataError(f"{path}: not a readable mask ({error}); download the file again") from None
    gray = channels[..., 0].copy()
    colors = channels[..., : 1 if channels.shape[2] == 2 else 3]  # alpha is the last of 2 or 4
    if not np.array_equal(colors, np.broadcast_to(gray[..., None], colors.shape)):
        raise DataError(f"{path}: a mask with colors, palette, gray or 1-bit expected; convert it")
    return gray


def write_mask(path: Path, ids: NDArray[np.uint8]) -> None:
    """Write object ids, height × width, as a palette PNG like those that DAVIS distributes and accepts."""
    image = Image.fromarray(np.ascontiguousarray(ids, np.uint8))
    image.putpalette(davis_palette())
    image.save(path, format="PNG")


def write_binary_mask(path: Path, inside: NDArray[np.bool_]) -> None:
    """Write a mask of 0 and 255, height × width, in the format of the path's ending; JPEG blurs it."""
    Image.fromarray(255 * inside.astype(np.uint8)).save(path, quality=JPEG_QUALITY)  # which other formats ignore


def write_frame(path: Path, image: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> None:
    """Write RGB, height × width × 3, in the format of the path's ending; `quality` is JPEG's."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    done, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise OSError(0, f"{path.name} could not be encoded")
    path.write_bytes(encoded.tobytes())
