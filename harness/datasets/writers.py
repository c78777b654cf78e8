"""Files of the official layouts, written; and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.errors import StoreError

JPEG_QUALITY = 92


def publish(out: Path, marker: str, text: str, write: Callable[[Path], None]) -> Path:
    """The folder `out` with what `write` puts into it and, last, a file `marker` that holds `text`.

    Made beside `out` and renamed. Where `out` holds that marker with that text already (another process may have been
    first), it is left as it is. Raises StoreError if `out` holds something else or cannot be written."""
    if _is_published(out, marker, text):
        return out
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StoreError(f"{out}: holds something else than what is to be made there; give a new or empty folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            write(work)
            (work / marker).write_text(text, "utf-8")
            work.chmod(0o755)  # mkdtemp keeps others out
            os.rename(work, out)
        except OSError:
            if not _is_published(out, marker, text):
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)  # gone already where the rename succeeded
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}); give a new or empty folder") from None
    return out


def write_frame(path: Path, image: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> None:
    """RGB, height × width × 3, as JPEG, or PNG or BMP by the ending of `path`."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    done, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise OSError(0, f"{path.name} could not be encoded")
    path.write_bytes(encoded.tobytes())


def write_grey(path: Path, inside: NDArray[np.bool_], quality: int = JPEG_QUALITY) -> None:
    """A mask of 0 and 255, height × width, in the file type of the ending; JPEG blurs it."""
    image = Image.fromarray(255 * inside.astype(np.uint8))
    if path.suffix == ".jpg":
        image.save(path, quality=quality)
    else:
        image.save(path)


def write_list(path: Path, lines: Iterable[str]) -> None:
    """A text file of lines, in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def make_folders(*folders: Path) -> tuple[Path, ...]:
    """The same folders, made."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def _is_published(out: Path, marker: str, text: str) -> bool:
    try:
        return (out / marker).read_text("utf-8") == text
    except OSError:
        return False
