"""The main measure in detail: by sequence, by object, and by attribute of the sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import fsum
from pathlib import Path

import numpy as np

from harness.datasets import find_protocol, locate
from harness.errors import DataError, StudyError
from harness.results import CellResult
from harness.score import read_attributes
from reports.inputs import Part, Scorebook, coverage, describe, has_file, main_measure, object_values, read_columns
from reports.tables.model import Line, Table, Value

ATTRIBUTE_FILES = ("db_info.yml", "db_info.yaml", "Annotations/db_info.yml", "Annotations/db_info.yaml")
"""Places of DAVIS's file of sequence attributes, below its folder."""


def by_sequence(part: Part, benchmark: str, scores: Scorebook) -> Table | None:
    """Return sequences × variants, the mean over the objects of each sequence; None if nothing is scored."""
    found = scores.by_sequence(part, benchmark, main_measure(part.select(benchmark)).name)
    lines = [_line(name, (), values, part.variants_on(benchmark)) for name, values in found.items()]
    return _table("sequence", (), lines, part, benchmark)


def by_object(part: Part, benchmark: str, scores: Scorebook) -> Table | None:
    """Return objects × variants; None if every sequence has one object, or nothing is scored."""
    done = _done(part, benchmark)
    if not any(number > 1 for cell in done for number in scores.objects(cell).values()):
        return None
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for cell in done:
        if has_file(cell, "objects.csv"):
            columns = read_columns(cell, "objects.csv")
            values = object_values(columns, main_measure([cell]))
            for sequence, number, value in zip(columns["sequence"], columns["object"], values, strict=True):
                if value is not None:
                    found.setdefault((sequence, int(number)), {}).setdefault(cell.variant, []).append(value)
    variants = part.variants_on(benchmark)
    lines = [_line(name, (str(number),), _means(values), variants) for (name, number), values in sorted(found.items())]
    return _table("object", ("object",), lines, part, benchmark)


def by_attribute(part: Part, benchmark: str, scores: Scorebook) -> tuple[Table | None, str]:
    """Return attributes × variants, the benchmark's mean over the sequences with each; or the reason for no table."""
    attributes, why = attributes_of(part, benchmark)
    if not attributes:
        return None, why
    lines = []
    for attribute in sorted({one for given in attributes.values() for one in given}):
        having = {name for name, given in attributes.items() if attribute in given}
        found: dict[str, list[float]] = {}
        used: set[str] = set()
        for cell in _done(part, benchmark):
            main = main_measure([cell]).name
            values = scores.sequences(cell, main)
            names = sorted(having & values.keys())
            if names:
                mean = np.average([values[name] for name in names], weights=scores.weights(cell, names, main))
                found.setdefault(cell.variant, []).append(float(mean))
                used.update(names)
        if found:
            line = _line(attribute, (str(len(used)),), _means(found), part.variants_on(benchmark))
            lines.append(replace(line, notes=part.notes(benchmark)))
    table = _table("attribute", ("sequences",), lines, part, benchmark)
    return table, "" if table else "nothing was scored"


def attributes_of(part: Part, benchmark: str) -> tuple[Mapping[str, tuple[str, ...]], str]:
    """Return sequence → attributes from the dataset's own file, or the reason for their absence."""
    roots = {cell.data_root for cell in _done(part, benchmark) if cell.data_root}
    if not roots:
        return {}, "the results do not say where the dataset is"
    names = "db_info.yml of DAVIS"
    try:
        root = Path(min(roots))
        folder = locate(root, find_protocol(benchmark, root)).folder
        files = [folder / name for name in ATTRIBUTE_FILES if (folder / name).is_file()]
        return (read_attributes(files[0]), "") if files else ({}, f"the dataset has no {names}")
    except (DataError, StudyError):  # its message names paths of this machine, which a report must not contain
        return {}, f"the {names} or the dataset cannot be read"


def detail_tables(parts: Iterable[Part], scores: Scorebook) -> tuple[tuple[Table, ...], Mapping[str, str]]:
    """Return these tables for every benchmark of every part, and title → reason for those that are not made."""
    made: list[Table] = []
    absent: dict[str, str] = {}
    for part in parts:
        for benchmark in part.benchmarks:
            if not _done(part, benchmark):
                continue  # the table of missing cells says why
            title, main = f"{part.title(benchmark)}{part.suffix}", main_measure(part.select(benchmark)).title
            sequences = by_sequence(part, benchmark, scores)
            objects = by_object(part, benchmark, scores)
            attributes, why = by_attribute(part, benchmark, scores)
            made += [table for table in (sequences, objects, attributes) if table]
            if not objects:
                absent[f"{main} by object: {title}"] = "one object per sequence, see the table by sequence"
            if not attributes:
                absent[f"{main} by attribute: {title}"] = why
    return tuple(made), absent


def _done(part: Part, benchmark: str) -> list[CellResult]:
    return [cell for cell in part.select(benchmark) if cell.done]


def _means(values: Mapping[str, list[float]]) -> Mapping[str, float]:
    return {variant: fsum(given) / len(given) for variant, given in values.items()}


def _line(label: str, facts: tuple[str, ...], values: Mapping[str, float], variants: tuple[str, ...]) -> Line:
    numbers = tuple(Value(number=values.get(one)) for one in variants)
    return Line(label=label, variant=label, facts=facts, values=numbers)


def _table(unit: str, facts: tuple[str, ...], lines: list[Line], part: Part, benchmark: str) -> Table | None:
    if not lines:
        return None
    main = main_measure(part.select(benchmark)).title
    return Table(
        name=f"{unit}s-{benchmark}{part.suffix}",
        title=f"{main} by {unit}: {part.title(benchmark)}",
        caption=f"{describe(part, benchmark)} {coverage(part.select(benchmark))}",
        facts=facts,
        columns=part.variants_on(benchmark),
        lines=tuple(lines),
        explained={one: f"{main} of {one}." for one in part.variants_on(benchmark)},
        first="attribute" if unit == "attribute" else "sequence",
    )
