"""Score files: frames.csv, objects.csv, sequences.csv and total.json, floats in full precision."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.datasets.protocol import DAVIS, Averaging
from harness.errors import DataError
from harness.score.measures import MEASURES, Measure, Source, with_parts
from harness.score.sequence import SequenceScores

Row = dict[str, float]
"""Measure → value; NaN if there is none."""


def object_rows(scores: SequenceScores, measures: Sequence[str] = DAVIS) -> list[Row]:
    """Return the statistics of each object behind the measures, in the order of `object_ids`.

    Raises DataError if no frame is scored."""
    if not scores.frames:
        raise DataError(f"{scores.name}: no frame is scored, so there is no mean; a sequence needs a scored frame")
    used = _statistics(measures)
    values = {source: scores.values(source) for source in {one.source for one in used} if source}
    objects = range(len(scores.object_ids))
    visible = scores.visible if any(one.clips for one in used) else [None for _ in objects]
    categories = scores.categories or ("",) * len(objects)
    return [
        {one.name: one.of_object(values[one.source][row], visible[row], categories[row]) for one in used if one.source}
        for row in objects
    ]


def sequence_row(scores: SequenceScores, measures: Sequence[str] = DAVIS) -> Row:
    """Return every measure of a sequence: the unweighted mean over the objects that have it.

    A mean of measures is one over those that the sequence has: G of a video without unseen objects is that of the
    seen."""
    return _complete(_mean(object_rows(scores, measures)), measures, lenient=True)


def total(scores: Iterable[SequenceScores], averaging: Averaging, measures: Sequence[str] = DAVIS) -> Row:
    """Return every measure of a whole benchmark, NaN for one that no object has. Raises DataError without sequences.

    Only objects, sequences or classes that have a measure are averaged. A mean of measures needs all of them."""
    scores = tuple(scores)
    if not scores:
        raise DataError("no sequence was scored, so there is no total")
    if averaging == "objects":
        rows = [row for one in scores for row in object_rows(one, measures)]
    elif averaging == "sequences":
        rows = [_mean(object_rows(one, measures)) for one in scores]
    else:
        classes: dict[str, list[Row]] = defaultdict(list)
        for one in scores:
            classes[one.group].append(_mean(object_rows(one, measures)))
        rows = [_mean(members) for members in classes.values()]
    return _complete(_mean(rows), measures, lenient=False)


def write_scores(
    folder: Path,
    scores: Iterable[SequenceScores],
    averaging: Averaging,
    measures: Sequence[str] = DAVIS,
    *,
    alternative: Averaging | None = None,
    problems: Mapping[str, str] | None = None,
    extent: str = "",
) -> Row:
    """Write the four files into `folder`, made if missing, and return the measures of the total that have a value.

    frames.csv: sequence, object, frame, J, F, and further values that the measures come from; only frames that count
    for the object. objects.csv: sequence, object and its measures, empty if it has none. sequences.csv: sequence,
    objects, frames, all measures, problem. total.json: all measures, null for one that no object has. `problems`:
    sequence → why it has no score. Such a sequence gets a row with empty numbers and the reason, and every measure of
    the total is null, with the reason under `problem`: a mean over the rest is not the benchmark's number. The returned
    row is empty then. `alternative`: a second mean, written to `total_over_<alternative>.json`. `extent`: how the
    sequences differ from the published benchmark, written into the totals if they do."""
    scores = sorted(scores, key=lambda one: one.name)
    problems = dict(problems or {})
    result = {} if problems else total(scores, averaging, measures)
    folder.mkdir(parents=True, exist_ok=True)
    used = _statistics(measures)
    sources: list[Source] = ["J", "F", *dict.fromkeys(one.source for one in used if one.source in ("Js", "Fa"))]
    _write(folder / "frames.csv", ("sequence", "object", "frame", *sources), _frames(scores, sources))
    objects = (
        (one.name, index, *map(_cell, row.values()))
        for one in scores
        for index, row in zip(one.object_ids, object_rows(one, measures), strict=True)
    )
    _write(folder / "objects.csv", ("sequence", "object", *(one.name for one in used)), objects)
    sequences = [
        (one.name, len(one.object_ids), len(one.frames), *map(_cell, sequence_row(one, measures).values()), "")
        for one in scores
    ] + [(name, "", "", *[""] * len(measures), reason) for name, reason in problems.items()]
    header = ("sequence", "objects", "frames", *measures, "problem")
    _write(folder / "sequences.csv", header, sorted(sequences, key=lambda row: str(row[0])))
    _write_total(folder / "total.json", result, measures, problems, extent)
    if alternative is not None:
        other = {} if problems else total(scores, alternative, measures)
        _write_total(folder / f"total_over_{alternative}.json", other, measures, problems, extent)
    return {name: value for name, value in result.items() if not math.isnan(value)}


def _frames(scores: Iterable[SequenceScores], sources: Sequence[Source]) -> Iterator[Sequence[object]]:
    for one in scores:
        values = [one.values(source) for source in sources]
        for row, index in enumerate(one.object_ids):
            columns = (found[row].tolist() for found in values)
            for frame, *numbers in zip(one.frames_of(row), *columns, strict=True):
                yield one.name, index, frame, *numbers


def _write_total(path: Path, row: Row, measures: Sequence[str], problems: Mapping[str, str], extent: str) -> None:
    numbers = {name: None if math.isnan(value) else value for name, value in row.items()}
    document: dict[str, float | str | None] = {**numbers, **({"extent": extent} if extent else {})}
    if problems:
        document = dict.fromkeys(measures)
        document["problem"] = f"not scored: {', '.join(sorted(problems))}; see sequences.csv"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _statistics(measures: Sequence[str]) -> list[Measure]:
    """Return the measures of single objects that these are, or are means of."""
    return [MEASURES[name] for name in with_parts(measures) if MEASURES[name].statistic]


def _mean(rows: Sequence[Row]) -> Row:
    return {name: _known([row[name] for row in rows]) for name in rows[0]}


def _known(values: Iterable[float]) -> float:
    """Return the mean of the values that are numbers, NaN if none is."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


def _complete(row: Row, measures: Sequence[str], *, lenient: bool) -> Row:
    """Return the measures, with means of others added. `lenient`: those are taken over the parts that have a value."""
    row = dict(row)
    for name in with_parts(measures):
        if parts := [row[part] for part in MEASURES[name].mean_of]:
            whole = not lenient or not any(map(math.isnan, parts))
            row[name] = sum(parts) / len(parts) if whole else _known(parts)
    return {name: row[name] for name in measures}


def _cell(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; `csv` writes floats by repr, so that they are read back exactly."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
