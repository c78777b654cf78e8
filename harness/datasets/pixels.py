"""Image files to arrays and back: frames as RGB, masks as object ids."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.datasets.files import read_file
from harness.datasets.matlab import read_instances
from harness.datasets.palette import davis_palette, ids_of_colors, ids_of_indices
from harness.datasets.png import SIGNATURE, is_short
from harness.errors import DataError

JPEG_QUALITY = 92
MASK_FORMATS = ("PNG", "BMP", "JPEG")
MATLAB = ".mat"
_DEPTH = 24
"""Place of the bits per sample in a PNG."""

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""Errors that Pillow raises on damaged files of these formats, depending on the part that is damaged."""


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


def read_mask(path: Path, jpeg_threshold: int | None = None) -> NDArray[np.uint8]:
    """Return the values, height × width: palette indices, gray levels, 0/1 of a 1-bit image, or SBD's instances.

    Alpha is dropped, and the colors of DAVIS's palette are read as its indices (harness.datasets.palette). JPEG changes
    values, so it is read with `jpeg_threshold` only, as 0 and 255. Raises DataError if the file is missing, cannot be
    decoded, or leaves open what its values mean."""
    try:
        content = read_file(path)
        if path.suffix == MATLAB:
            return read_instances(content)
        with Image.open(BytesIO(content), formats=MASK_FORMATS) as image:
            image.load()
            if is_short(content):
                raise DataError(f"{path}: not a readable mask (its pixels end early); download the file again")
            values = _stored_values(path, image, content)
            if image.format != "JPEG":
                return values
    except FileNotFoundError:
        raise DataError(f"{path}: mask missing; restore it from the dataset") from None
    except DAMAGE as error:
        raise DataError(f"{path}: not a readable mask ({error}); download the file again") from None
    if jpeg_threshold is None:
        raise DataError(f"{path}: a mask as JPEG, which changes object ids, PNG expected; write the masks again")
    return np.where(values > jpeg_threshold, 255, 0).astype(np.uint8)


def _stored_values(path: Path, image: Image.Image, content: bytes) -> NDArray[np.uint8]:
    if image.mode == "P":
        return _indices(path, image)
    if image.mode in {"L", "1"}:
        return np.array(image, np.uint8)
    if image.mode.startswith("I"):  # 16 bits
        return _shortened(path, np.asarray(image))
    if image.mode not in {"LA", "RGB", "RGBA"}:
        raise DataError(f"{path}: a mask of mode {image.mode}, palette, gray or 1-bit expected; convert it")
    if content.startswith(SIGNATURE) and content[_DEPTH] == 16:
        raise DataError(f"{path}: colors of 16 bits each, palette, gray or 1-bit expected; convert it")
    channels = np.asarray(image, np.uint8)
    colors = channels[..., : 1 if image.mode == "LA" else 3]
    if channels.shape[2] in {2, 4} and np.ptp(colors, axis=(0, 1)).max() == 0 and np.ptp(channels[..., -1]):
        raise DataError(f"{path}: one color, and all shapes in its alpha channel, palette or gray expected; convert it")
    if image.mode == "LA":
        return colors[..., 0].copy()
    if image.format == "JPEG" and not np.ptp(colors, axis=2).any():
        return colors[..., 0].copy()
    try:
        return ids_of_colors(colors)
    except ValueError as error:
        raise DataError(f"{path}: a mask with colors other than DAVIS's ({error}); write object ids") from None


def _indices(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    indices = np.array(image, np.uint8)
    used = np.flatnonzero(np.bincount(indices.ravel())).tolist()
    try:
        values = ids_of_indices(bytes(image.getpalette("RGB") or ()), used)
    except ValueError as error:
        raise DataError(f"{path}: {error}, so what is an object is not certain; write object ids as indices") from None
    if values == used:
        return indices
    table = np.zeros(256, np.uint8)
    table[used] = values
    return table[indices]


def _shortened(path: Path, values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return 16-bit levels in 8 bits: as they are if they fit, or scaled if all are (255 is stored as 65535)."""
    wide = values.astype(np.int64)
    if wide.max(initial=0) > 255 and not (wide % 257).any():
        wide //= 257
    if wide.max(initial=0) > 255 or wide.min(initial=0) < 0:
        raise DataError(f"{path}: 16-bit values up to {wide.max()}, object ids up to 255 expected; convert it")
    return wide.astype(np.uint8)


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
