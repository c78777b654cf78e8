"""What a layout is: a function from a dataset's folder and a split to the readers of its sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.datasets.sequence import Sequence

Reader = Callable[[], Sequence]
"""Reads what one sequence consists of, decoding its first mask at most. Raises DataError."""

Layout = Callable[[Path, str], Mapping[str, Reader]]
"""Folder and split → sequence name → its reader, in the dataset's order. Raises DataError if the split cannot be read
at all."""
