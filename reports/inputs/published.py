"""Published numbers that a report may quote (`published.yaml`), each with its paper and its place there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from harness.config import Config, resolve
from harness.errors import StudyError
from harness.yaml_file import read_yaml
from reports.inputs.parts import Part

Share = Annotated[float, Field(ge=-1, le=1)]


class Source(Config):
    """A publication that numbers are quoted from; `short` is its name in tables."""

    short: str
    title: str


class Quoted(Config):
    """One row of a published table."""

    key: str
    method: str
    source: str
    place: str
    """Table or section in the source."""

    values: Mapping[str, Mapping[str, Share]] = {}
    """Benchmark → measure → value as printed, a share."""

    speed: str = ""
    """Seconds per frame as printed; brackets mean: as reported by the method's own paper."""

    instance_speed: str = ""
    """Seconds per instance and frame, as the source's text gives them."""

    facts: Mapping[str, str] = {}
    """Further columns of the source's table, as text."""

    unavailable: bool = False
    """Whether the source prints the row, but its values could not be recovered."""


class Seconds(Config):
    """A duration that the source gives in its text."""

    what: str
    value: str
    source: str
    place: str


class Published(Config):
    """Content of published.yaml."""

    sources: Mapping[str, Source]
    rows: tuple[Quoted, ...]
    seconds: tuple[Seconds, ...] = ()

    def row(self, key: str) -> Quoted:
        """Return the row with that key. Raises StudyError if there is none."""
        for row in self.rows:
            if row.key == key:
                return row
        raise StudyError(f"published.yaml: no row {key!r}, which tables.yaml names; add it with its source")

    def comparable_with(self, part: Part) -> Published:
        """Return it without the values on benchmarks of which the part's data is not the published whole.

        Whatever shows published numbers with measured ones takes them from here."""
        return self.model_copy(update={"rows": tuple(_without(row, part.partial) for row in self.rows)})

    def cite(self, row: Quoted | Seconds) -> str:
        """Return the source and place as text: `DIPNet, WACV 2020, Table 1`."""
        return f"{self.sources[row.source].short}, {row.place}"


def _without(row: Quoted, benchmarks: Collection[str]) -> Quoted:
    """Return the row without its values on these benchmarks, and without its seconds if it has values there."""
    kept = {name: values for name, values in row.values.items() if name not in benchmarks}
    unchanged = len(kept) == len(row.values)
    return row if unchanged else row.model_copy(update={"values": kept, "speed": "", "instance_speed": ""})


def load_published() -> Published:
    """Load published.yaml. Raises StudyError with the key for anything unknown."""
    return resolve(Published, read_yaml(Path(__file__).with_name("published.yaml")), "published.yaml")
