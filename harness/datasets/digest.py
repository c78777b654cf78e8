"""Digests of what sequences contain, independent of where their files are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness.datasets.facts import file_facts
from harness.datasets.sequence import Sequence
from harness.errors import DataError
from harness.files import sha256_of
from harness.fingerprint import digest_of, text_digest


def content_digests(sequences: Collection[Sequence], cache: Path | None = None) -> list[str]:
    """Return for each sequence a SHA-256, 64 hex digits, over names, frames, masks, and how the truth is read.

    `cache` is an SQLite file shared by any number of processes. Raises DataError naming a file that cannot be read,
    StoreError if the cache cannot be used."""
    paths = (path for one in sequences for path in (*one.frames, *one.mask_files))
    content = file_facts("sha256", paths, cache, _sha256)
    return [_digest(one, content, with_frames=True) for one in sequences]


def annotation_digest(sequences: Collection[Sequence], cache: Path | None = None) -> str:
    """Return a SHA-256 over the truth of sequences and what is scored. Raises as `content_digests` does."""
    content = file_facts("sha256", (path for one in sequences for path in one.mask_files), cache, _sha256)
    digests = sorted(_digest(one, content, with_frames=False) for one in sequences)
    return text_digest("\n".join(digests))


def _digest(sequence: Sequence, content: dict[Path, str], *, with_frames: bool) -> str:
    late = {"starts": sequence.starts} if sequence.starts else {}
    classes = {"categories": sequence.categories} if sequence.categories else {}
    absent = {f"absent {index}": gaps for index, mask in enumerate(sequence.masks) if (gaps := _gaps(mask))}
    identity = {
        "name": sequence.name,
        "group": sequence.group,
        "frames": [sequence.frame_name(index) for index in range(len(sequence))],
        "contents": [content[path] for path in sequence.frames] if with_frames else [],
        "masks": [[content[path] for path in sequence.files_of_mask(index)] for index in range(len(sequence.masks))],
        "object_ids": sequence.object_ids,
        "read": [sequence.binary, sequence.merged, sequence.threshold],
        "scored": sequence.scored,
        **late,
        **classes,
        **absent,
    }
    return digest_of(identity)


def _gaps(mask: Path | tuple[Path | None, ...] | None) -> list[int]:
    """Return the places of objects that have no file in a frame where others have one."""
    return [place for place, path in enumerate(mask) if path is None] if isinstance(mask, tuple) else []


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore it from the dataset") from None
