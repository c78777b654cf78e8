"""Numbers of a partial benchmark say so in every table, and no published number stands next to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.figures import speed_figures
from reports.formats import as_csv, latex, markdown
from reports.inputs import (
    Budgets,
    Lineage,
    load_claims,
    load_published,
    load_tables,
    order_cells,
    read_scorebook,
    split,
)
from reports.tables import Table, compose
from reports.tables.claims import judge
from tests.report_cells import cell, submitted, with_scores

EXTENT = "2 of 20 sequences"
TABLES = load_tables()


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Table]:
    """All tables, those of seconds too, of three variants and one submission on two sequences of DAVIS16."""
    return all_tables(tmp_path, EXTENT)


def all_tables(folder: Path, extent: str) -> dict[str, Table]:
    measured = [cell(name, 0.5, seconds_per_frame=0.1, hardware="m") for name in ("first-mask", "full", "no-crop")]
    cells = [*measured, cell("mine", 0.4), submitted("OSVOS", 0.7)]
    scored = [with_scores(folder, replace(one, data_kind="real", extent=extent), [0.5, 0.6]) for one in cells]
    ordered = order_cells(scored, TABLES.variants)
    content = compose("s", ordered, TABLES, load_published(), load_claims(), read_scorebook(ordered), Lineage())
    return {table.name: table for table in (*content.steady, *content.seconds)}


def on_davis16(tables: dict[str, Table]) -> list[Table]:
    return [one for one in tables.values() if "Nothing in this table was measured" not in one.caption]


def quoted(table: Table) -> list[str]:
    lines = [line for line in table.lines if line.origin == "quoted"]
    texts = [value.text for line in lines for value in line.values if "." in value.text]
    numbers = [value for line in table.lines for value in line.values if value.quoted or line in lines]
    return texts + [value.shown for value in numbers if value.number is not None]


def test_a_whole_benchmark_stands_next_to_published_numbers(tmp_path: Path) -> None:
    tables = all_tables(tmp_path, "")
    assert {name for name, table in tables.items() if quoted(table)} >= {"table1", "table1-submitted", "table1-speed"}
    assert not [name for name, table in tables.items() if EXTENT in markdown(table)]


def test_no_published_number_stands_next_to_a_partial_one(made: dict[str, Table]) -> None:
    several = {"claims-open", *(spec.name for spec in TABLES.tables if len(spec.benchmarks) > 1)}
    tables = [table for table in on_davis16(made) if table.name not in several]
    assert {table.name: found for table in tables if (found := quoted(table))} == {}
    assert "table1-submitted" not in made  # no difference to a published value
    assert "*not shown*" in markdown(made["table1"])


def test_only_the_columns_of_the_partial_benchmark_lack_published_numbers(made: dict[str, Table]) -> None:
    lines = [line for line in made["table6"].lines if line.origin == "quoted"]
    shown = {title: {line.values[place].text for line in lines} for place, title in enumerate(made["table6"].columns)}
    assert [title for title, texts in shown.items() if texts == {"not shown"}] == ["DAVIS16 ↑"]


def test_every_table_of_a_partial_benchmark_says_so(made: dict[str, Table]) -> None:
    assert len(on_davis16(made)) > 8
    assert [table.name for table in on_davis16(made) if EXTENT not in markdown(table)] == []
    assert [table.name for table in on_davis16(made) if EXTENT not in latex(table)] == []


def test_a_table_says_why_published_values_are_not_shown(made: dict[str, Table]) -> None:
    assert (
        "Not the published whole: DAVIS16 val (2 of 20 sequences); not a benchmark result, and published values on it "
        "are not shown."
    ) in made["table1"].caption


@pytest.mark.parametrize("name", ["table1", "cells-davis16-val", "intervals-davis16-val", "beyond-davis16-val"])
def test_a_mean_says_so_in_csv_which_has_no_caption(made: dict[str, Table], name: str) -> None:
    lines = [line for line in as_csv(made[name]).splitlines()[1:] if ",measured," in line and "0." in line]
    assert lines
    assert all(EXTENT in line for line in lines)


def test_differences_between_variants_say_so_in_csv(made: dict[str, Table]) -> None:
    tables = [table for name, table in made.items() if name.endswith("-differences")]
    assert tables
    assert all(EXTENT in line for table in tables for line in as_csv(table).splitlines()[1:])


def test_a_claim_is_not_judged_on_a_part_of_its_benchmark(tmp_path: Path) -> None:
    claim = next(one for one in load_claims().claims if one.name == "osvos-davis16")
    values = [0.5 + place / 50 for place in range(10)]
    for extent, verdict in (("", "reproduced"), ("10 of 20 sequences", "inconclusive")):
        theirs = with_scores(tmp_path, submitted("OSVOS", 0.5, extent=extent), values)
        ours = with_scores(tmp_path, cell("full", 0.6, extent=extent), [value + 0.1 for value in values])
        ordered = order_cells([ours, theirs], TABLES.variants)
        found = judge(claim, 0.01, split(ordered)[0], read_scorebook(ordered), Budgets(Lineage()))
        assert (found.verdict, found.claim.expected is None) == (verdict, bool(extent))
        assert found.why.startswith(extent)


def test_the_speed_figure_of_partial_data_has_no_published_points(tmp_path: Path) -> None:
    for extent in ("", EXTENT):
        timed = cell("full", 0.5, seconds_per_frame=0.1, hardware="m", extent=extent)
        ordered = order_cells([with_scores(tmp_path, timed, [0.5, 0.6], "JF_mean")], TABLES.variants)
        (figure,) = speed_figures(split(ordered)[0], TABLES, read_scorebook(ordered), load_published())
        assert ("quoted" in figure.caption) == (not extent)
        assert ("OSVOS" in [text.get_text() for text in figure.canvas.axes[0].texts]) == (not extent)
        assert extent in figure.title
        assert extent in figure.caption
