"""JSON files of the objects of each video, as YouTube-VOS has them, and what they say of a split's categories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.datasets.files import read_file, require_inside
from harness.errors import DataError

HELD_OUT = 10
"""One of this many videos and categories is held out."""


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What the file says of one object."""

    category: str = ""
    first: str = ""
    """Name of its first frame; empty if the file does not say it."""


Meta = Mapping[str, Mapping[int, Announced]]
"""Video → object id → what is said of it."""


def read_meta(path: Path, border: Path) -> Meta:
    """Return what `{"videos": {video: {"objects": {id: {"category": …, "frames": […]}}}}}` says.

    `frames` may be missing. Raises DataError naming the file and the place in it."""
    require_inside(path, border)
    try:
        content = json.loads(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore it from the dataset") from None
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({error}); download it again") from None
    videos = _mapping(_mapping(content, path, "the file").get("videos"), path, "videos")
    return {
        name: {
            _number(key, path, name): _announced(_mapping(entry, path, f"videos.{name}.objects.{key}"), path, name)
            for key, entry in _mapping(
                _mapping(video, path, f"videos.{name}").get("objects"), path, f"videos.{name}.objects"
            ).items()
        }
        for name, video in videos.items()
    }


def is_held_out(name: str, objects: Iterable[Announced] = ()) -> bool:
    """Return whether a video belongs to the local split: one of ten does, by the SHA-256 of its name.

    So does every video with an object of a category that is held out, one of ten by the SHA-256 of the category."""
    return any(map(_is_tenth, [name, *(one.category for one in objects if one.category)]))


def categories(meta: Meta) -> frozenset[str]:
    """Return the categories of all objects."""
    return frozenset(one.category for video in meta.values() for one in video.values())


def _is_tenth(text: str) -> bool:
    return int.from_bytes(sha256(text.encode()).digest()) % HELD_OUT == 0


def _announced(entry: dict[str, Any], path: Path, video: str) -> Announced:
    frames, category = entry.get("frames", []), entry.get("category", "")
    if not isinstance(frames, list) or not all(isinstance(frame, str) for frame in frames):
        raise DataError(f"{path}: videos.{video}: frames {frames!r}, a list of names expected; download it again")
    if not isinstance(category, str):
        raise DataError(f"{path}: videos.{video}: category {category!r}, a text expected; download it again")
    return Announced(category=category, first=min(frames, default=""))


def _number(key: str, path: Path, video: str) -> int:
    if not (key.isascii() and key.isdigit()):
        raise DataError(f"{path}: videos.{video}: object {key!r}, a number expected; download it again")
    return int(key)


def _mapping(value: Any, path: Path, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {place}: {type(value).__name__} found, a mapping expected; download it again")
    return value
