"""Lists and folders of a dataset, read as distributed: tolerant of line ends, closed to paths out of its folder."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness.errors import DataError

FRAME_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")

JUNK = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that systems and archives add to those of a dataset."""


def read_file(path: Path) -> bytes:
    """Return a file's content. Raises OSError as `open` does, and for a pipe or a device, which might never end."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(0, "not a regular file")
    return path.read_bytes()


def read_lines(path: Path, border: Path) -> list[str]:
    """Return the lines that are not empty, without surrounding spaces; CRLF and a byte-order mark are tolerated.

    Raises DataError if the list is missing, unreadable, not UTF-8 or empty, or a link out of the folder `border`."""
    require_inside(path, border)
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8, a text file expected; download it again") from None
    except OSError as error:
        raise DataError(f"{path}: the list cannot be read ({error.strerror}); restore it from the dataset") from None
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if not lines:
        raise DataError(f"{path}: the list is empty, one entry per line expected; download it again")
    return lines


def read_names(path: Path, border: Path) -> list[str]:
    """Return a list with one plain name per line. Raises DataError if a name is a path or is listed twice."""
    names = read_lines(path, border)
    require_names(names, path)
    return names


def require_names(names: list[str], origin: Path) -> None:
    """Raise DataError if one of `names`, found in the file `origin`, is a path or is listed twice."""
    for name in names:
        require_name(name, origin)
    require_unique(names, origin)


def require_unique(names: list[str], origin: Path) -> None:
    """Raise DataError if a name is listed twice in the file `origin`."""
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{origin}: {name!r} is listed twice, each entry expected once; download the list again")


def require_name(name: str, origin: Path) -> None:
    """Raise DataError if `name`, found in the file `origin`, is not the name of one file or folder."""
    if name in {"", ".", ".."} or any(character in name for character in "/\\\0"):
        raise DataError(f"{origin}: {name!r} found, a plain name expected; nothing outside the dataset is read")


def relative_path(text: str, origin: Path) -> Path:
    """Return a path found in the list `origin`, relative to the dataset's folder.

    One leading slash means that folder, as DAVIS writes it. Raises DataError if the path would leave it."""
    parts = text.removeprefix("/").split("/")
    if any(part in {"", ".", ".."} or any(character in part for character in "\\\0:") for part in parts):
        raise DataError(
            f"{origin}: {text!r} found, a path inside the dataset's folder expected; nothing outside it is read"
        )
    return Path(*parts)


def require_inside(path: Path, border: Path) -> None:
    """Raise DataError if `path` exists and its links lead out of the folder `border` or form a loop."""
    try:
        real = path.resolve(strict=True)
        home = border.resolve(strict=True)
    except FileNotFoundError:
        return
    except (OSError, RuntimeError) as error:  # RuntimeError: how Python < 3.13 reports a loop of links
        raise DataError(f"{path}: cannot be followed ({error}); replace the link by its target") from None
    if not real.is_relative_to(home):
        raise DataError(
            f"{path}: a link out of the dataset's folder {border}, to {real}; copy the files into the folder, "
            "or link the dataset's folder as a whole"
        )


def scan(folder: Path, border: Path | None, endings: tuple[str, ...]) -> list[Path]:
    """Return the sorted files of a folder that have one of the `endings`, in any case; hidden files are skipped.

    Raises DataError if the folder is missing or unreadable, links lead out of `border` (None: they may lead anywhere),
    or a name is not UTF-8."""
    found = _list(folder, border, lambda entry: entry.name.lower().endswith(endings))
    for name, is_link in found.items():
        if is_link and border is not None:
            require_inside(folder / name, border)
    return [folder / name for name in found]


def frame_name(path: Path) -> str:
    """Return a file's name without its ending, or both of `00007.jpg.png`, a mask that is named like its frame."""
    inner = Path(path.stem)
    return inner.stem if inner.suffix.lower() in FRAME_ENDINGS else path.stem


def list_files(folder: Path, border: Path | None, endings: tuple[str, ...]) -> dict[str, Path]:
    """Map names without endings to the files of `scan`. Raises DataError as it does, and if two have one name."""
    files: dict[str, Path] = {}
    for path in scan(folder, border, endings):
        if (name := frame_name(path)) in files:
            raise DataError(f"{path}: {files[name].name} exists too, one file per frame expected; remove one")
        files[name] = path
    return files


def list_folders(folder: Path, border: Path | None) -> list[str]:
    """Return the sorted names of the folders in `folder`, without hidden ones and JUNK. Raises DataError as `scan`."""
    return list(_list(folder, border, lambda entry: entry.name not in JUNK and entry.is_dir()))


def describe(folder: Path) -> str:
    """Return what a folder holds, such as `12 × .jpg, folders 001, 002`, for an error about what it lacks."""
    try:
        names = [entry.name + "/" * entry.is_dir() for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return "no such folder"
    folders = sorted(name[:-1] for name in names if name.endswith("/"))
    endings = Counter(name.removeprefix(frame_name(Path(name))) or name for name in names if not name.endswith("/"))
    parts = [f"{count} × {ending}" for ending, count in sorted(endings.items())[:4]]
    if folders:
        more = f" and {len(folders) - 4} more" if len(folders) > 4 else ""
        parts.append(f"folder{'s' * (len(folders) > 1)} {', '.join(folders[:4])}{more}")
    return ", ".join(parts) or "nothing"


def is_folder(path: Path) -> bool:
    """Return whether `path` is a folder. Raises DataError if it may not be accessed."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataError(f"{path}: cannot be accessed ({error.strerror}); restore the folder") from None


def exists(path: Path) -> bool:
    """Return whether `path` is accessible; unlike `Path.exists`, without an error if a folder above is not."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _list(folder: Path, border: Path | None, wanted: Callable[[os.DirEntry[str]], bool]) -> dict[str, bool]:
    """Map the sorted names of the wanted entries that are not hidden to whether they are links."""
    if border is not None:
        require_inside(folder, border)
    try:
        with os.scandir(folder) as entries:
            found = {one.name: one.is_symlink() for one in entries if not one.name.startswith(".") and wanted(one)}
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); restore the folder") from None
    for name in sorted(found):
        try:
            name.encode()
        except UnicodeEncodeError:
            message = f"{folder}: {os.fsencode(name)!r} in it is not UTF-8, a UTF-8 name expected; rename it"
            raise DataError(message) from None
    return dict(sorted(found.items()))
