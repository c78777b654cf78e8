"""J in detail: by sequence, by object, and by attribute of the sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum
from pathlib import Path

import numpy as np

from harness.datasets import load_protocols, locate
from harness.errors import DataError
from harness.score import read_attributes
from reports.inputs.captions import coverage, describe
from reports.inputs.cells import Part, Row
from reports.inputs.scores import Scorebook, has_lines, read_columns
from reports.tables.model import MEASURED, Line, Table, Value

BY_SEQUENCE = "sequences-"
"""What the names of the tables by sequence begin with, before benchmark and part."""

ATTRIBUTE_FILES = ("db_info.yml", "db_info.yaml", "Annotations/db_info.yml", "Annotations/db_info.yaml")
"""Where DAVIS keeps the attributes of its sequences, under its folder."""

Values = Mapping[str, list[float]]
"""Variant → the values of its seeds."""


def by_sequence(part: Part, benchmark: str, scores: Scorebook, suffix: str = "") -> Table | None:
    """Sequences × variants, J mean over the objects of each; None where nothing is scored."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in _done(part, benchmark):
        for sequence, value in scores.sequences(row, "J_mean").items():
            found.setdefault(sequence, {}).setdefault(row.variant, []).append(value)
    lines = [_line(name, (), values, _variants(part, benchmark)) for name, values in sorted(found.items())]
    return _table(f"{BY_SEQUENCE}{benchmark}{suffix}", "J mean by sequence", "sequence", (), lines, part, benchmark)


def by_object(part: Part, benchmark: str, scores: Scorebook, suffix: str = "") -> Table | None:
    """Objects × variants, J mean; None where every sequence has one object, or nothing is scored."""
    done = _done(part, benchmark)
    if not any(number > 1 for row in done for number in scores.objects(row).values()):
        return None
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in done:
        if has_lines(row, "objects.csv"):
            columns = read_columns(row, "objects.csv")
            for sequence, number, text in zip(*(columns[c] for c in ("sequence", "object", "J_mean")), strict=True):
                found.setdefault((sequence, int(number)), {}).setdefault(row.variant, []).append(float(text))
    variants = _variants(part, benchmark)
    lines = [_line(name, (str(number),), values, variants) for (name, number), values in sorted(found.items())]
    name = f"objects-{benchmark}{suffix}"
    return _table(name, "J mean by object", "sequence", ("object",), lines, part, benchmark)


def by_attribute(part: Part, benchmark: str, scores: Scorebook, suffix: str = "") -> tuple[Table | None, str]:
    """Attributes × variants, the benchmark's J mean over the sequences that have it; or why there is no such table."""
    attributes, why = attributes_of(part, benchmark)
    if not attributes:
        return None, why
    variants = _variants(part, benchmark)
    lines = []
    for attribute in sorted({one for given in attributes.values() for one in given}):
        having = {name for name, given in attributes.items() if attribute in given}
        found: dict[str, list[float]] = {}
        used: set[str] = set()
        for row in _done(part, benchmark):
            values = scores.sequences(row, "J_mean")
            names = sorted(having & values.keys())
            if names:
                mean = np.average([values[name] for name in names], weights=scores.weights(row, names))
                found.setdefault(row.variant, []).append(float(mean))
                used.update(names)
        if found:
            lines.append(_line(attribute, (str(len(used)),), found, variants))
    name = f"attributes-{benchmark}{suffix}"
    table = _table(name, "J mean by attribute", "attribute", ("sequences",), lines, part, benchmark)
    return table, "" if table else "nothing was scored"


def attributes_of(part: Part, benchmark: str) -> tuple[Mapping[str, tuple[str, ...]], str]:
    """Sequence → attributes, from the dataset's own file; or why there are none."""
    protocols = load_protocols()
    roots = {row.data_root for row in _done(part, benchmark) if row.data_root}
    if benchmark not in protocols or not roots:
        return {}, "the rows do not say where the dataset is"
    names = "db_info.yml of DAVIS"
    try:
        folder = locate(Path(min(roots)), protocols[benchmark]).folder
        files = [folder / name for name in ATTRIBUTE_FILES if (folder / name).is_file()]
        return (read_attributes(files[0]), "") if files else ({}, f"the dataset at hand has no {names}")
    except DataError:  # its message names paths of this machine, which a report must not hold
        return {}, f"the {names} or the dataset cannot be read"


def all_details(named: Iterable[tuple[Part, str]], scores: Scorebook) -> tuple[tuple[Table, ...], Mapping[str, str]]:
    """These tables for every benchmark of every part; and title → why not for those that there are not."""
    made: list[Table] = []
    absent: dict[str, str] = {}
    for part, suffix in named:
        for benchmark in part.benchmarks:
            if not any(_done(part, benchmark)):
                continue  # the table of missing cells says why
            title = f"{part.title(benchmark)}{suffix}"
            sequences = by_sequence(part, benchmark, scores, suffix)
            objects = by_object(part, benchmark, scores, suffix)
            attributes, why = by_attribute(part, benchmark, scores, suffix)
            made += [table for table in (sequences, objects, attributes) if table]
            if not objects:
                absent[f"J mean by object: {title}"] = "one object a sequence: the table by sequence says it"
            if not attributes:
                absent[f"J mean by attribute: {title}"] = why
    return tuple(made), absent


def _done(part: Part, benchmark: str) -> list[Row]:
    return [row for row in part.rows if row.benchmark == benchmark and row.done]


def _variants(part: Part, benchmark: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.variant for row in part.rows if row.benchmark == benchmark))


def _line(label: str, facts: tuple[str, ...], values: Values, variants: tuple[str, ...]) -> Line:
    shown = tuple(Value(number=fsum(given) / len(given)) if (given := values.get(one)) else Value() for one in variants)
    return Line(label=label, origin=MEASURED, variant=label, facts=facts, values=shown)


def _table(
    name: str, title: str, first: str, facts: tuple[str, ...], lines: list[Line], part: Part, benchmark: str
) -> Table | None:
    if not lines:
        return None
    here = [row for row in part.rows if row.benchmark == benchmark]
    return Table(
        name=name,
        title=f"{title}: {part.title(benchmark)}",
        caption=f"{describe(part, benchmark)} {coverage(here)}",
        facts=facts,
        columns=_variants(part, benchmark),
        lines=tuple(lines),
        first=first,
        origins=False,
    )
