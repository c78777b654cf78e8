"""Lists and folders of a dataset, read as distributed: tolerant of line ends and spaces, closed to paths that leave
the dataset's folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.errors import DataError

FRAME_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")


def read_file(path: Path) -> bytes:
    """All of a file. Raises OSError as open does, and for a pipe or a device, which might never end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(0, "not a regular file")
    return path.read_bytes()


def read_lines(path: Path, border: Path) -> list[str]:
    """Lines that are not empty, without the spaces around them; CRLF and a byte-order mark are tolerated.

    Raises DataError if the list is missing, unreadable, not UTF-8 or empty, or a link out of the folder `border`."""
    require_inside(path, border)
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); fetch the list again") from None
    except OSError as error:
        raise DataError(f"{path}: the list cannot be read ({error.strerror}); restore it from the dataset") from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{path}: the list is empty; fetch it again")
    return lines


def read_names(path: Path, border: Path) -> list[str]:
    """A list with one plain name a line. Raises DataError on a name that is a path, and on one that comes twice."""
    names = read_lines(path, border)
    for name in names:
        require_name(name, path)
    refuse_twice(names, path)
    return names


def refuse_twice(names: list[str], origin: Path) -> None:
    """Raises DataError if a name comes twice in the list `origin`."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{origin}: {name!r} is listed twice; fetch the list again")
        seen.add(name)


def require_name(name: str, origin: Path) -> None:
    """Raises DataError if `name`, found in the file `origin`, is not the name of one file or folder."""
    if name in {"", ".", ".."} or any(character in name for character in "/\\\0"):
        raise DataError(f"{origin}: {name!r} found, a plain name expected; nothing outside the dataset is read")


def relative_path(text: str, origin: Path) -> Path:
    """A path in a list, from the dataset's folder; one leading slash is how DAVIS writes it and means that folder.

    Raises DataError if the path would leave it."""
    parts = text.removeprefix("/").split("/")
    if any(part in {"", ".", ".."} or "\\" in part or "\0" in part or ":" in part for part in parts):
        raise DataError(
            f"{origin}: {text!r} found, a path inside the dataset's folder expected; nothing outside it is read"
        )
    return Path(*parts)


def require_inside(path: Path, border: Path) -> None:
    """Raises DataError if `path` exists and links lead it out of the folder `border`, or run in a circle."""
    try:
        real = path.resolve(strict=True)
        home = border.resolve(strict=True)
    except FileNotFoundError:
        return
    except (OSError, RuntimeError) as error:  # RuntimeError: how Python < 3.13 reports a circle of links
        raise DataError(f"{path}: cannot be followed ({error}); replace the link by the file it means") from None
    if not real.is_relative_to(home):
        raise DataError(
            f"{path}: a link out of the dataset's folder {border}, to {real}; put the files there themselves, "
            "or link the dataset's folder as a whole"
        )


def scan(folder: Path, border: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files of a folder, sorted, those with an ending (lower case) of `endings`; hidden ones left out.

    Raises DataError if the folder is missing or unreadable, links lead out of `border`, or a name is not UTF-8."""
    require_inside(folder, border)
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_symlink()) for entry in entries)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); restore the folder") from None
    paths = []
    for name, is_link in found:
        path = folder / name
        if name.startswith(".") or path.suffix.lower() not in endings:
            continue
        _require_utf8(name, folder)
        if is_link:
            require_inside(path, border)
        paths.append(path)
    return paths


def list_files(folder: Path, border: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Name without ending → file, for the files that `scan` finds.

    Raises DataError as scan does, and if two files differ only in their ending."""
    files: dict[str, Path] = {}
    for path in scan(folder, border, endings):
        if path.stem in files:
            raise DataError(f"{path}: {files[path.stem].name} lies beside it; one file a frame expected, remove one")
        files[path.stem] = path
    return files


def is_folder(path: Path) -> bool:
    """Whether there is a folder. Raises DataError where that cannot be told, which a missing right to look does."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataError(f"{path}: cannot be looked at ({error.strerror}); restore the folder") from None


def list_folders(folder: Path, border: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, hidden ones left out. Raises DataError as list_files does."""
    require_inside(folder, border)
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); restore the folder") from None
    for name in names:
        _require_utf8(name, folder)
    return names


def _require_utf8(name: str, folder: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{folder}: a name in it is not UTF-8 ({os.fsencode(name)!r}); rename it") from None
