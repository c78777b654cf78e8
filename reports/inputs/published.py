"""The published numbers (`published.yaml`): what a report may quote, each with the paper and the place it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from harness.config import Config, resolve
from harness.errors import StudyError
from harness.yaml_file import read_yaml

PUBLISHED = Path(__file__).with_name("published.yaml")

Share = Annotated[float, Field(ge=-1, le=1)]


class Source(Config):
    """Where numbers are quoted from."""

    short: str
    """As tables print it."""

    title: str


class Quoted(Config):
    """One row of a published table."""

    key: str
    method: str
    source: str
    """Key of a Source."""

    place: str
    """Table or section in the source."""

    values: Mapping[str, Mapping[str, Share]] = {}
    """Benchmark → measure → value as printed, a share."""

    speed: str = ""
    """Seconds a frame as printed; in brackets: as reported by the method's own paper."""

    instance_speed: str = ""
    """Seconds an instance and frame, likewise, as the source's text gives them."""

    facts: Mapping[str, str] = {}
    """Further columns of the source's table, as text."""

    unavailable: bool = False
    """The source prints the row, but its values could not be recovered."""


class Seconds(Config):
    """A duration that the source gives in its text."""

    what: str
    value: str
    source: str
    place: str


class Published(Config):
    """All of published.yaml."""

    sources: Mapping[str, Source]
    rows: tuple[Quoted, ...]
    seconds: tuple[Seconds, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Published:
        keys = [row.key for row in self.rows]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        used = {row.source for row in self.rows} | {entry.source for entry in self.seconds}
        unknown = sorted(used - set(self.sources))
        if doubled or unknown:
            raise ValueError(f"keys given twice: {doubled}, unknown sources: {unknown}")
        return self

    def row(self, key: str) -> Quoted:
        """The row of that key. Raises StudyError."""
        for row in self.rows:
            if row.key == key:
                return row
        raise StudyError(f"{PUBLISHED.name}: no row {key!r}; tables.yaml asks for it; add it there with its source")

    def cite(self, row: Quoted | Seconds) -> str:
        """`DIPNet, WACV 2020, Table 1`."""
        return f"{self.sources[row.source].short}, {row.place}"


def load_published(path: Path = PUBLISHED) -> Published:
    """Raises StudyError naming key and file for anything unknown or inconsistent."""
    return resolve(Published, read_yaml(path), path.name)
