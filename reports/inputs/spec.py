"""The tables of a report as data (`tables.yaml`): columns, variants, and the published rows that they quote."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from harness.config import Config, resolve
from harness.score import MEASURES, Measure
from harness.yaml_file import read_yaml


class ColumnSpec(Config):
    """One measure on one benchmark."""

    benchmark: str
    measure: str
    title: str = ""
    """Title of the column; by default the measure's."""

    @property
    def heading(self) -> str:
        """The title with the arrow of its measure."""
        heading = MEASURES[self.measure].heading
        return f"{self.title} {heading[-1]}" if self.title else heading


class RowSpec(Config):
    """One variant, or all variants whose names match a pattern: either is given."""

    variant: str = ""
    pattern: str = ""
    """Pattern such as `omega-*`; `{}` in the label is replaced by what the star matches."""

    label: str
    published: str = ""
    """Key of the published row that this one reproduces; printed below it."""

    facts: Mapping[str, str] = {}

    def matches(self, variant: str) -> bool:
        """Return whether the row is about that variant."""
        return fnmatchcase(variant, self.pattern) if self.pattern else variant == self.variant


class TableSpec(Config):
    """One table."""

    name: str
    title: str
    about: str
    columns: tuple[ColumnSpec, ...]
    rows: tuple[RowSpec, ...]
    published: tuple[str, ...] = ()
    """Keys of further published rows, printed below the measured ones."""

    facts: Mapping[str, str] = {}
    """Text columns: key in a row's facts → title."""

    reference: str = ""
    """Variant that the others are compared with; empty for no differences."""

    speed: bool = False
    """Whether the speed page repeats the table with seconds per frame."""

    always: bool = False
    """Whether the table is printed even if nothing in it was measured, as the paper's own tables are."""

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Benchmarks in order of first use."""
        return tuple(dict.fromkeys(column.benchmark for column in self.columns))


class TableSet(Config):
    """Content of tables.yaml."""

    baseline: str
    """Variant that every table includes."""

    variants: Mapping[str, str]
    """Variant → label, in the order of listing."""

    tables: tuple[TableSpec, ...]

    def label(self, variant: str) -> str:
        """Return the label of a variant; its name if it has none."""
        return self.variants.get(variant, variant)

    def lists(self, variant: str) -> bool:
        """Return whether the list of variants or a table names the variant."""
        return variant in self.variants or any(row.matches(variant) for spec in self.tables for row in spec.rows)


def main_measure() -> Measure:
    """Return the measure of detailed tables, figures, contact sheets and the comparison of options: the first one."""
    return next(iter(MEASURES.values()))


def headline_measures() -> tuple[Measure, ...]:
    """Return the measures of tables that show only a few."""
    return tuple(measure for measure in MEASURES.values() if measure.headline)


def combined_measure() -> Measure:
    """Return the measure of the accuracy–speed figure: the first that is a mean of others (J&F)."""
    return next(measure for measure in MEASURES.values() if measure.mean_of)


def load_tables() -> TableSet:
    """Load tables.yaml. Raises StudyError with the key for anything unknown."""
    return resolve(TableSet, read_yaml(Path(__file__).with_name("tables.yaml")), "tables.yaml")
