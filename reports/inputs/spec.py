"""The tables of a report as data (`tables.yaml`): columns, rows, and the published rows beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from harness.config import Config, resolve
from harness.yaml_file import read_yaml

TABLES = Path(__file__).with_name("tables.yaml")


class Measure(Config):
    """A number that rows carry, and how it is printed and compared."""

    name: str
    """Column of the rows."""

    title: str
    better: Literal["higher", "lower"]
    decimals: int = 3

    @property
    def heading(self) -> str:
        """The title with the arrow that papers print: `J mean ↑`."""
        return f"{self.title} {'↑' if self.better == 'higher' else '↓'}"


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(name="J_mean", title="J mean", better="higher"),
        Measure(name="J_recall", title="J recall", better="higher"),
        Measure(name="J_decay", title="J decay", better="lower"),
        Measure(name="F_mean", title="F mean", better="higher"),
        Measure(name="F_recall", title="F recall", better="higher"),
        Measure(name="F_decay", title="F decay", better="lower"),
        Measure(name="JF_mean", title="J&F", better="higher"),
    )
}
"""In the order of the tables. `seconds_per_frame` is not among them: seconds differ between runs, and stand apart."""


class ColumnSpec(Config):
    """One measure on one benchmark."""

    benchmark: str
    measure: str
    title: str = ""
    """Default: the measure's."""

    @property
    def heading(self) -> str:
        """With the arrow of its measure."""
        measure = MEASURES[self.measure]
        return f"{self.title} {measure.heading[-1]}" if self.title else measure.heading

    @model_validator(mode="after")
    def _known(self) -> ColumnSpec:
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}; known: {', '.join(MEASURES)}")
        return self


class RowSpec(Config):
    """One variant, or all whose names match a pattern."""

    variant: str = ""
    pattern: str = ""
    """Such as `omega-*`; `{}` in the label is what the star stands for."""

    label: str
    published: str = ""
    """Key of the published row that this one repeats; printed under it."""

    facts: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _one(self) -> RowSpec:
        if bool(self.variant) == bool(self.pattern):
            raise ValueError("give either variant or pattern")
        return self


class TableSpec(Config):
    """One table."""

    name: str
    """Name of its files."""

    title: str
    about: str
    columns: tuple[ColumnSpec, ...]
    rows: tuple[RowSpec, ...]
    published: tuple[str, ...] = ()
    """Keys of further published rows, below ours."""

    facts: Mapping[str, str] = {}
    """Columns of text: key in a row's facts → title."""

    reference: str = ""
    """The variant from which the others' differences are taken; none: no differences."""

    speed: bool = False
    """Whether the speed page has this table with its seconds a frame."""

    always: bool = False
    """Whether it is printed where nothing of it was measured: the paper's own tables are."""

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """In order of first use."""
        return tuple(dict.fromkeys(column.benchmark for column in self.columns))


class TableSet(Config):
    """All of tables.yaml."""

    baseline: str
    """The variant that stands in every table."""

    variants: Mapping[str, str]
    """Variant → label, in the order of listing."""

    tables: tuple[TableSpec, ...]

    def label(self, variant: str) -> str:
        """For tables; a variant that is not listed is called by its name."""
        return self.variants.get(variant, variant)


def load_tables(path: Path = TABLES) -> TableSet:
    """Raises StudyError naming key and file for anything unknown or inconsistent."""
    return resolve(TableSet, read_yaml(path), path.name)
