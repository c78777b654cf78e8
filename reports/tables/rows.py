"""Variants that a table of the paper shows: those that its rows name, and methods it quotes that were trained here."""

from __future__ import annotations

from collections.abc import Iterator

from harness.results import normalized
from reports.inputs import Part, Quoted, RowSpec, TableSpec, natural


def own_rows(spec: TableSpec, part: Part) -> Iterator[tuple[str, RowSpec]]:
    """Yield variant and row: a row that names its variant even if it was not run, a pattern with every match."""
    for row in spec.rows:
        variants = [row.variant] if row.variant else sorted(filter(row.matches, part.variants), key=natural)
        yield from ((variant, row) for variant in variants)


def trained_rows(quoted: Quoted, spec: TableSpec, part: Part) -> Iterator[tuple[str, RowSpec]]:
    """Yield the variants that have the name of a quoted method, each with a row of its label and facts.

    The number of training images is not among them: the quoted method had others."""
    facts = {key: text for key, text in quoted.facts.items() if key != "images"}
    for variant in part.variants:
        run = any(part.select(benchmark, variant) for benchmark in spec.benchmarks)
        if run and variant not in part.submitted and normalized(variant) == normalized(quoted.method):
            yield variant, RowSpec(label=quoted.method, facts=facts)
