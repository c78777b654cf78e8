"""Score files: frames.csv, objects.csv, sequences.csv and total.json, floats in full precision."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.protocol import Averaging
from harness.errors import DataError
from harness.score.measures import MEASURES
from harness.score.sequence import SequenceScores

Row = dict[str, float]


def object_rows(scores: SequenceScores) -> list[Row]:
    """Return the statistics of each object, in the order of `object_ids`. Raises DataError if no frame is scored."""
    if not scores.frames:
        raise DataError(f"{scores.name}: no frame is scored, so there is no mean; a sequence needs a scored frame")
    values = {"J": scores.J, "F": scores.F}
    return [
        {name: statistic(values[source][index]) for name, source, statistic in _statistics()}
        for index in range(len(scores.object_ids))
    ]


def sequence_row(scores: SequenceScores) -> Row:
    """Return every measure of a sequence: the unweighted mean over its objects."""
    return _complete(_mean(object_rows(scores)))


def total(scores: Iterable[SequenceScores], averaging: Averaging) -> Row:
    """Return every measure of a whole benchmark. Raises DataError if there is no sequence."""
    scores = tuple(scores)
    if not scores:
        raise DataError("no sequence was scored, so there is no total")
    if averaging == "objects":
        rows = [row for one in scores for row in object_rows(one)]
    elif averaging == "sequences":
        rows = [_mean(object_rows(one)) for one in scores]
    else:
        classes: dict[str, list[Row]] = defaultdict(list)
        for one in scores:
            classes[one.group].append(_mean(object_rows(one)))
        rows = [_mean(members) for members in classes.values()]
    return _complete(_mean(rows))


def write_scores(
    folder: Path,
    scores: Iterable[SequenceScores],
    averaging: Averaging,
    *,
    alternative: Averaging | None = None,
    problems: Mapping[str, str] | None = None,
    extent: str = "",
) -> Row:
    """Write the four files into `folder`, made if missing, and return the total.

    frames.csv: sequence, object, frame, J, F. objects.csv: sequence, object and its measures. sequences.csv: sequence,
    objects, frames, all measures, problem. total.json: all measures. `problems`: sequence → why it has no score. Such a
    sequence gets a row with empty numbers and the reason, and every measure of the total is null, with the reason under
    `problem`: a mean over the rest is not the benchmark's number. The returned row is empty then. `alternative`: a
    second mean, written to `total_over_<alternative>.json`. `extent`: how the sequences differ from the published
    benchmark, written into the totals if they do."""
    scores = sorted(scores, key=lambda one: one.name)
    problems = dict(problems or {})
    result = {} if problems else total(scores, averaging)
    folder.mkdir(parents=True, exist_ok=True)
    frames = (
        (one.name, index, frame, float(one.J[row, column]), float(one.F[row, column]))
        for one in scores
        for row, index in enumerate(one.object_ids)
        for column, frame in enumerate(one.frames)
    )
    _write(folder / "frames.csv", ("sequence", "object", "frame", "J", "F"), frames)
    objects = (
        (one.name, index, *row.values())
        for one in scores
        for index, row in zip(one.object_ids, object_rows(one), strict=True)
    )
    _write(folder / "objects.csv", ("sequence", "object", *(name for name, *_ in _statistics())), objects)
    sequences = [
        (one.name, len(one.object_ids), len(one.frames), *sequence_row(one).values(), "") for one in scores
    ] + [(name, "", "", *[""] * len(MEASURES), reason) for name, reason in problems.items()]
    header = ("sequence", "objects", "frames", *MEASURES, "problem")
    _write(folder / "sequences.csv", header, sorted(sequences, key=lambda row: str(row[0])))
    _write_total(folder / "total.json", result, problems, extent)
    if alternative is not None:
        other = {} if problems else total(scores, alternative)
        _write_total(folder / f"total_over_{alternative}.json", other, problems, extent)
    return result


def _write_total(path: Path, row: Row, problems: Mapping[str, str], extent: str) -> None:
    document: dict[str, float | str | None] = {**row, **({"extent": extent} if extent else {})}
    if problems:
        document = dict.fromkeys(MEASURES)
        document["problem"] = f"not scored: {', '.join(sorted(problems))}; see sequences.csv"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _statistics() -> list[tuple[str, str, Callable[[NDArray[np.float64]], float]]]:
    """Return name, per-frame values and function of the measures that a single object has."""
    measures = MEASURES.values()
    return [(one.name, one.source, one.statistic) for one in measures if one.source and one.statistic]


def _mean(rows: Sequence[Row]) -> Row:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _complete(row: Row) -> Row:
    """Add the means of other measures to a row of statistics, in the order of `MEASURES`."""
    row = dict(row)
    for name, measure in MEASURES.items():
        if measure.mean_of:
            row[name] = sum(row[part] for part in measure.mean_of) / len(measure.mean_of)
    return {name: row[name] for name in MEASURES}


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; `csv` writes floats by repr, so that they are read back exactly."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
