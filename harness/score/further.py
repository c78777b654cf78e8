"""Measures over the length of the video, and the attributes of sequences, over which reports take means."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from harness.errors import DataError
from harness.score.sequence import SequenceScores

LENGTH_BINS = 100


def over_length(
    scores: Iterable[SequenceScores], measure: Literal["J", "F", "JF"], bins: int = LENGTH_BINS
) -> NDArray[np.float64]:
    """Return the mean of a measure over all objects at each share of the video's length (paper, figure 5).

    Returns `bins` values in 0..1. The frames that count for an object share the length equally, and a bin weights each
    by the part of the bin that it fills: short and long videos weigh the same, and the mean of the bins is the mean
    over the frames. Raises DataError if there is no sequence."""
    edges = np.linspace(0, 1, bins + 1)
    curves = []
    for one in scores:
        values = one.values(measure)
        for row in values:
            frames = len(row)
            integral = np.concatenate([[0.0], np.cumsum(row)]) / frames
            curves.append(np.diff(np.interp(edges, np.arange(frames + 1) / frames, integral)) * bins)
    if not curves:
        raise DataError("no sequence was scored, so there is no curve over the length")
    return np.asarray(np.mean(curves, axis=0))


def read_attributes(path: Path) -> dict[str, tuple[str, ...]]:
    """Return sequence → its attributes (`OCC`, `FM`, …) from the `db_info.yml` of DAVIS.

    The file has a list `sequences` of entries with `name` and `attributes`. Raises DataError naming the file and what
    it lacks."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as YAML ({error}); fetch it with the dataset") from None
    entries = document.get("sequences") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: no list `sequences` in it; the db_info.yml of DAVIS expected")
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        given = entry.get("attributes") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise DataError(f"{path}: sequences: {entry!r} found, a `name` and a list `attributes` expected")
        if name in found:
            raise DataError(f"{path}: sequence {name!r} is listed twice; fetch the file again")
        found[name] = tuple(given)
    return found
