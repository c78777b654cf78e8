"""Files to arrays and back: frames as RGB, masks as object ids."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harness.errors import DataError

PALETTE_SIZE = 256


def davis_palette() -> list[int]:
    """The colours of DAVIS and PASCAL VOC masks, 256 × RGB: the bits of the id spread over the channels."""
    colours = []
    for index in range(PALETTE_SIZE):
        for channel in range(3):
            colours.append(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)))
    return colours


def read_frame(path: Path) -> NDArray[np.uint8]:
    """RGB, height × width × 3. Raises DataError if the file is missing or cannot be decoded."""
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore the frame from the dataset") from None
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if encoded.size else None
    if image is None:
        raise DataError(f"{path}: not a readable image; fetch the file again from the dataset's source")
    return np.asarray(image, np.uint8)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Stored values, height × width: palette indices, grey levels, or 0/1 of a 1-bit image; alpha is dropped.

    Raises DataError if the file is missing, cannot be decoded, or is a colour image."""
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode == "LA":
                image = image.getchannel(0)  # type: ignore[assignment]
            if image.mode not in {"P", "L", "1"}:
                raise DataError(f"{path}: a mask of mode {image.mode}; expected palette, grey or 1-bit")
            return np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: mask missing; restore it from the dataset") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable mask ({error}); fetch the file again") from None


def write_mask(path: Path, ids: NDArray[np.uint8]) -> None:
    """Palette PNG as DAVIS distributes and takes it. `ids`: height × width of uint8."""
    image = Image.fromarray(np.ascontiguousarray(ids, np.uint8), mode="P")
    image.putpalette(davis_palette())
    image.save(path, format="PNG")
