"""The embedded data of a home: rendered on first use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.datasets.miniature import embed
from harness.datasets.protocol import data_kind
from harness.errors import DataError, StoreError
from harness.files import locked

SEED = 0
"""Seed of the embedded data that studies use."""


def embedded_data(home: Path, notify: Callable[[str], None]) -> Path:
    """Return the folder of the embedded data, rendered if need be; `notify` gets a line about it.

    Raises StoreError if it cannot be written and DataError if the folder holds something else.
    """
    folder = home / "data" / f"embedded-{SEED}"
    try:
        with locked(folder):
            if not folder.is_dir() or data_kind(folder) != "embedded":
                notify(f"making the embedded data in {folder}")
                embed(folder, SEED)
    except OSError as error:
        raise StoreError(f"{folder}: the embedded data cannot be written ({error}); give another --home") from None
    if data_kind(folder) != "embedded":
        raise DataError(f"{folder}: not the embedded data; delete the folder and give the same command again")
    return folder
