"""Patterns of paths, such as `JPEGImages/{sequence}/{frame}.jpg`: which files they match, and what they say of each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from harness.datasets.files import list_folders, scan

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

Found = tuple[Mapping[str, str], Path]
"""The value of each placeholder, and the file or folder that they lead to."""


def check_pattern(text: str, required: Collection[str], allowed: Collection[str], endings: Collection[str]) -> str:
    """Return a pattern that is usable. Raises ValueError saying what is wrong with it."""
    names = _PLACEHOLDER.findall(text)
    parts = text.split("/")
    if any(brace in _PLACEHOLDER.sub("", text) for brace in "{}"):
        raise ValueError("a brace without its counterpart; write {frame}")
    if unknown := [name for name in names if name not in allowed]:
        raise ValueError(f"{{{unknown[0]}}} in it; allowed: {_braced(allowed)}")
    if missing := [name for name in required if name not in names]:
        raise ValueError(f"{_braced(missing)} is missing from it")
    if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
        raise ValueError("a path inside the dataset's folder expected, without a slash at its ends and without ..")
    if "}{" in text:
        raise ValueError("two placeholders in a row, so where one ends is not certain; put text between them")
    if endings and not text.lower().endswith(tuple(endings)):
        raise ValueError(f"a file name ending in {', '.join(endings)} expected")
    return text


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """Return a pattern with these values in place of their placeholders; others stay."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), pattern)


def fixed_part(pattern: str, values: Mapping[str, str]) -> str:
    """Return the folders before the first placeholder that has no value, as a path; empty if there are none."""
    fixed: list[str] = []
    for part in pattern.split("/")[:-1]:
        if not _is_fixed(part, values):
            break
        fixed.append(fill(part, values))
    return "/".join(fixed)


def find(folder: Path, pattern: str, values: Mapping[str, str], border: Path) -> Iterator[Found]:
    """Yield the files below a folder that match a pattern with these values, in the order of their names.

    Endings match in any case. Raises DataError if a folder cannot be listed or links lead out of `border`."""
    return _walk(folder, pattern.split("/"), values, border, files=True)


def names_of(folder: Path, pattern: str, name: str, values: Mapping[str, str], border: Path) -> list[str]:
    """Return the values of the placeholder `name`, each once, listing no more folders than it takes.

    Raises DataError as `find` does."""
    parts = pattern.split("/")
    depth = 1 + next(number for number, part in enumerate(parts) if f"{{{name}}}" in part)
    found = _walk(folder, parts[:depth], values, border, files=depth == len(parts))
    return list(dict.fromkeys(value[name] for value, _ in found))


def _walk(folder: Path, parts: list[str], values: Mapping[str, str], border: Path, *, files: bool) -> Iterator[Found]:
    """Yield what matches the parts of a path, the last of them a file or a folder."""
    part, *rest = parts
    if rest and _is_fixed(part, values):
        yield from _walk(folder / fill(part, values), rest, values, border, files=files)
        return
    if rest or not files:
        names, expression = list_folders(folder, border), re.compile(_expression(part, values))
    else:
        stem, dot, ending = part.rpartition(".")
        names = [path.name for path in scan(folder, border, (f".{ending.lower()}",))]
        expression = re.compile(f"{_expression(stem, values)}(?i:{re.escape(dot + ending)})")
    for name in names:
        if (match := expression.fullmatch(name)) is None:
            continue
        found = {**values, **match.groupdict()}
        if rest:
            yield from _walk(folder / name, rest, found, border, files=files)
        else:
            yield found, folder / name


def _is_fixed(part: str, values: Mapping[str, str]) -> bool:
    return all(name in values for name in _PLACEHOLDER.findall(part))


def _expression(part: str, values: Mapping[str, str]) -> str:
    """Return the regular expression of a part of a path; a placeholder that comes twice has one value."""
    groups: set[str] = set()
    pieces = []
    for number, piece in enumerate(_PLACEHOLDER.split(part)):
        if number % 2 == 0:
            pieces.append(re.escape(piece))
        elif piece in values:
            pieces.append(re.escape(values[piece]))
        else:
            pieces.append(f"(?P={piece})" if piece in groups else f"(?P<{piece}>.+)")
            groups.add(piece)
    return "".join(pieces)


def _braced(names: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names) or "none"
