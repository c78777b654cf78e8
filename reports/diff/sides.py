"""Finds what a comparison is about: the results of two homes and studies, and the published numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.errors import StudyError
from harness.results import (
    CellResult,
    did_you_mean,
    known_studies,
    load_results,
    normalized,
    recorded_name,
    require_studies,
)
from reports.diff.names import Name
from reports.inputs import Published, Quoted, TableSet, order_cells


@dataclass(frozen=True, kw_only=True)
class Side:
    """Results of one study in one home, at one scale and on one kind of data."""

    home: Path
    study: str
    whole: bool
    """Whether it is all of the study, and not one variant."""

    cells: tuple[CellResult, ...]


@dataclass(frozen=True, kw_only=True)
class Results:
    """One variant on one benchmark, a cell for each seed."""

    home: Path
    study: str
    cells: tuple[CellResult, ...]

    @property
    def first(self) -> CellResult:
        """The cell that stands for all where seeds do not matter: one with a score, if there is one."""
        return next((cell for cell in self.cells if cell.done), self.cells[0])

    @cached_property
    def done(self) -> tuple[CellResult, ...]:
        """The cells that have a score."""
        return tuple(cell for cell in self.cells if cell.done)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have a score; none for submitted masks."""
        return tuple(cell.seed for cell in self.done if not cell.submitted)

    def value(self, measure: str) -> float | None:
        """Return the mean over the seeds that have the measure; None if none has."""
        known = [cell.values[measure] for cell in self.done if measure in cell.values]
        return sum(known) / len(known) if known else None


class Homes:
    """Results of homes; every file is read once."""

    def __init__(self, tables: TableSet) -> None:
        self._tables = tables
        self._cells: dict[tuple[Path, str], tuple[CellResult, ...]] = {}

    def cells(self, home: Path, study: str) -> tuple[CellResult, ...]:
        """Return all results of a study under the names that its report uses. Raises HarnessError."""
        if (home, study) not in self._cells:
            self._cells[home, study] = order_cells(load_results(home, study), self._tables.variants)
        return self._cells[home, study]

    def variants(self, home: Path, study: str) -> tuple[str, ...]:
        """Return the variants of a study, and the methods whose masks were recorded in it."""
        return tuple(dict.fromkeys(cell.variant for cell in self.cells(home, study)))

    def with_variant(self, home: Path, variant: str) -> list[str]:
        """Return the studies of a home that have results of a variant."""
        return [study for study in known_studies(home) if variant in self.variants(home, study)]

    def settle(self, first: Name, second: Name) -> tuple[Name, Name]:
        """Return two names of results, each with what it does not say taken from the other, and with its study.

        Names without a variant then are whole studies. Raises StudyError."""
        first, second = self.read(first), self.read(second)
        first, second = first.completed(second), second.completed(first)
        first = self.place(first, second)
        return first, self.place(second, first)

    def place(self, name: Name, other: Name) -> Name:
        """Return a name that was read, with its study. Raises StudyError if there is none, or no telling which."""
        if not name.study:
            name = replace(name, study=self._study_of(name, other))
        require_studies(name.home, name.study)
        return name

    def read(self, name: Name) -> Name:
        """Return the name with its word as a study or as a variant. Raises StudyError if its home knows neither."""
        require_studies(name.home)
        if name.study:
            return replace(name, study=recorded_name(name.study))
        word = name.word
        if not word:
            return name
        if word.endswith((".yaml", ".yml")):
            return replace(name, study=recorded_name(word), word="")
        studies, having = known_studies(name.home), self.with_variant(name.home, word)
        if word in studies and having:
            raise StudyError(f"{word} is a study and a variant: write {word}: for the study, {having[0]}:{word} for it")
        if word in studies:
            return replace(name, study=word, word="")
        if having:
            return replace(name, variant=word, word="")
        known = {one for study in studies for one in self.variants(name.home, study)}
        meant = did_you_mean(word, [*studies, *sorted(known)])
        raise StudyError(
            f"{name.text}: no study and no variant {word!r} in {name.home}{meant}; "
            f"studies there: {', '.join(studies)}; variants: {', '.join(sorted(known)) or 'none'}"
        )

    def _study_of(self, name: Name, other: Name) -> str:
        """Return the study of a name that says none."""
        studies = known_studies(name.home)
        if not name.variant:
            return other.study or (studies[0] if len(studies) == 1 else self._ambiguous(name, studies))
        having = self.with_variant(name.home, name.variant)
        if other.study in having:
            return other.study
        if other.variant and len(having) > 1:
            having = [study for study in having if other.variant in self.variants(name.home, study)] or having
        if not having:
            known = sorted({one for study in studies for one in self.variants(name.home, study)})
            raise StudyError(
                f"{name.text}: no variant {name.variant!r} in {name.home}{did_you_mean(name.variant, known)}; "
                f"there are {', '.join(known) or 'none'}"
            )
        return having[0] if len(having) == 1 else self._ambiguous(name, having)

    def _ambiguous(self, name: Name, studies: list[str]) -> str:
        example = f"{studies[0]}:{name.variant}" if name.variant else studies[0]
        raise StudyError(f"{name.text}: in {len(studies)} studies: {', '.join(studies)}; say which, as in {example}")

    def select(self, name: Name) -> Side:
        """Return the results that a settled name stands for. Raises StudyError if there are none."""
        cells = self.cells(name.home, name.study)
        if not cells:
            raise StudyError(
                f"{name.text}: study {name.study} has no results in {name.home} yet; run it to its end (what is "
                "finished is kept)"
            )
        if name.variant:
            variants = self.variants(name.home, name.study)
            _require(name.variant, variants, f"{name.text}: study {name.study} has no variant")
            cells = tuple(cell for cell in cells if cell.variant == name.variant)
        if name.benchmark:
            benchmarks = dict.fromkeys(cell.benchmark for cell in cells)
            _require(name.benchmark, benchmarks, f"{name.text}: {name.variant or name.study} has no benchmark")
            cells = tuple(cell for cell in cells if cell.benchmark == name.benchmark)
        cells = self._of_one_size(name, cells)
        if name.seed is not None:
            seeds = dict.fromkeys(str(cell.seed) for cell in cells)
            if not all(cell.submitted for cell in cells):
                _require(str(name.seed), seeds, f"{name.text}: {name.variant or name.study} has no seed")
                cells = tuple(cell for cell in cells if cell.seed == name.seed)
        return Side(home=name.home, study=name.study, whole=not name.variant, cells=cells)

    def _of_one_size(self, name: Name, cells: tuple[CellResult, ...]) -> tuple[CellResult, ...]:
        """Return the cells of one scale and kind of data, with submitted masks: those asked for, else the newest."""
        groups = dict.fromkeys((cell.scale, cell.data_kind) for cell in cells if not cell.submitted)
        if not groups:
            return cells
        asked = [(scale, kind) for scale, kind in groups if name.scale in {"", scale} and name.data_kind in {"", kind}]
        if not asked:
            known = [f"@{scale}/{kind}" for scale, kind in groups]
            wanted = "/".join(filter(None, (name.scale, name.data_kind)))
            raise StudyError(
                f"{name.text}: no results at @{wanted}{did_you_mean(name.scale, [scale for scale, _ in groups])}; "
                f"there are {', '.join(known)}"
            )
        newest = reversed(load_results(name.home, name.study))  # the last ones that were saved
        chosen = next(group for one in newest if (group := (one.scale, one.data_kind)) in asked)
        return tuple(cell for cell in cells if (cell.scale, cell.data_kind) == chosen or cell.submitted)


def find_quote(results: Results, method: str, tables: TableSet, published: Published) -> Quoted | None:
    """Return the published row for results on their benchmark; None if there is none.

    `method`: the method or the key of the row; empty for the row that the paper's tables show for the variant."""
    cell = results.first
    rows = [row for row in published.rows if cell.benchmark in row.values]
    if method:
        named = (row for row in rows if method == row.key or normalized(method) == normalized(row.method))
        return next(named, None)
    names = {normalized(cell.method_label if cell.submitted else cell.variant)}
    keys: list[str] = []
    for spec in tables.tables:
        if cell.benchmark not in spec.benchmarks:
            continue
        for row in spec.rows:
            if not cell.submitted and row.matches(cell.variant):
                keys += [row.published] if row.published else []
                names.add(normalized(row.label))
        keys += [key for key in spec.published if normalized(published.row(key).method) in names]
    return next((row for key in keys for row in rows if row.key == key), None)


def check_method(method: str, published: Published) -> None:
    """Raise StudyError if no published row has that method or key."""
    known = dict.fromkeys(row.method for row in published.rows if row.values)
    keys = [row.key for row in published.rows]
    if method and method not in keys and normalized(method) not in set(map(normalized, known)):
        meant = did_you_mean(method, [*known, *keys])
        raise StudyError(f"paper:{method}: no published number of {method!r}{meant}; there are {', '.join(known)}")


def grouped(side: Side) -> dict[tuple[str, str], Results]:
    """Return variant and benchmark → results."""
    found: dict[tuple[str, str], list[CellResult]] = {}
    for cell in side.cells:
        found.setdefault((cell.variant, cell.benchmark), []).append(cell)
    return {key: Results(home=side.home, study=side.study, cells=tuple(cells)) for key, cells in found.items()}


def _require(word: str, known: Iterable[str] | Collection[str], what: str) -> None:
    names = list(known)
    if word not in names:
        raise StudyError(f"{what} {word!r}{did_you_mean(word, names)}; there are {', '.join(names)}")
