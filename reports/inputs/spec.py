"""The tables of a report as data (`tables.yaml`): columns, variants, and the published rows that they quote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean

from harness.config import Config, resolve
from harness.datasets.protocol import DAVIS
from harness.results import CellResult
from harness.score import MEASURES, Measure, headlines
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


def measures_of(cells: Iterable[CellResult]) -> tuple[Measure, ...]:
    """Return the measures that the benchmark of these cells reports, in its order."""
    names = next((cell.measures for cell in cells if cell.measures), DAVIS)
    return tuple(MEASURES[name] for name in names if name in MEASURES)


def main_measure(cells: Iterable[CellResult]) -> Measure:
    """Return the measure of detailed tables, figures, contact sheets and the comparison of options: the first one."""
    return measures_of(cells)[0]


def headline_measures(cells: Iterable[CellResult]) -> tuple[Measure, ...]:
    """Return the measures of tables that show only a few."""
    return tuple(MEASURES[name] for name in headlines(one.name for one in measures_of(cells)))


def object_values(columns: Mapping[str, Sequence[str]], measure: Measure) -> list[float | None]:
    """Return a measure of each object from the columns of `objects.csv`, None for objects without it.

    A mean of measures, which the file lacks, is taken over those that the object has."""
    parts = [columns[name] for name in measure.mean_of or (measure.name,)]
    known = ([float(text) for text in texts if text] for texts in zip(*parts, strict=True))
    return [fmean(values) if values else None for values in known]


def combined_measure() -> Measure:
    """Return the measure of the paper's accuracy–speed figures, J&F."""
    return MEASURES["JF_mean"]


def load_tables() -> TableSet:
    """Load tables.yaml. Raises StudyError with the key for anything unknown."""
    return resolve(TableSet, read_yaml(Path(__file__).with_name("tables.yaml")), "tables.yaml")
