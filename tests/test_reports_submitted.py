"""Submitted masks join the tables of every scale, are marked as such, and meet their published values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.results import CellResult
from reports.formats import as_csv, markdown
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
from reports.report import write_report
from reports.tables import Table, compose
from reports.tables.claims import judge
from tests.report_cells import cell, submitted, with_scores

TABLES = load_tables()
OURS = (cell("first-mask", 0.3), cell("full", 0.6), cell("no-crop", 0.5))
THEIRS = submitted("OSVOS", 0.7971)


def tables(*cells: CellResult) -> dict[str, Table]:
    ordered = order_cells(cells, TABLES.variants)
    content = compose("s", ordered, TABLES, load_published(), load_claims(), read_scorebook(ordered), Lineage())
    return {table.name: table for table in content.steady}


def test_submitted_masks_precede_their_published_row() -> None:
    lines = [line for line in markdown(tables(*OURS, THEIRS)["table1"]).split("\n") if line.startswith("|")]
    place = next(index for index, line in enumerate(lines) if "scored by us from its masks" in line)
    assert lines[place].startswith("| OSVOS | scored by us from its masks | heavy |")
    assert lines[place + 1].startswith("| *OSVOS* | *quoted: DIPNet, WACV 2020, Table 1* |")


def test_a_method_trained_here_stands_above_its_masks_and_its_published_row() -> None:
    trained = cell("osvos", 0.4, method_label="OSVOS")
    lines = [line for line in markdown(tables(*OURS, trained, THEIRS)["table1"]).split("\n") if line.startswith("|")]
    place = next(index for index, line in enumerate(lines) if line.startswith("| OSVOS | measured | heavy |"))
    assert lines[place + 1].startswith("| OSVOS | scored by us from its masks | heavy |")
    assert lines[place + 2].startswith("| *OSVOS* | *quoted:")
    assert ".400" in lines[place]
    assert ".797" in lines[place + 1]
    beside = as_csv(tables(*OURS, trained, THEIRS)["table1-submitted"])
    assert "0.797100,0.798000,-0.000900" in beside
    assert "0.4" not in beside


def test_a_method_of_the_users_is_not_taken_for_ours() -> None:
    cells = [
        cell("osvos", 0.5, method="osvos"),
        cell("stcn", 0.6, method="their-stcn"),
        cell("mine", 0.7, method="mine"),
    ]
    assert [one.variant for one in order_cells(cells, TABLES.variants)] == ["osvos", "mine", "stcn-as-defined"]


def test_submitted_masks_join_the_tables_of_every_scale() -> None:
    light = [replace(one, scale="light") for one in OURS]
    made = tables(*OURS, *light, THEIRS)
    assert all("scored by us" in markdown(made[name]) for name in ("table1-part1", "table1-part2"))


@pytest.mark.parametrize("change", [{"protocol": "q" * 64}, {"data_kind": "real"}])
def test_another_protocol_or_data_kind_makes_another_part(change: dict[str, str]) -> None:
    parts = split(order_cells([*OURS, replace(THEIRS, **change)], TABLES.variants))
    assert sorted(part.submitted for part in parts) == [(), ("osvos",)]


def test_a_table_shows_their_difference_from_published_values() -> None:
    text = as_csv(tables(*OURS, THEIRS)["table1-submitted"])
    assert 'J mean ↑,"DIPNet, WACV 2020, Table 1",0.797100,0.798000,-0.000900' in text


def test_a_method_without_a_published_row_is_shown() -> None:
    made = tables(*OURS, submitted("Mine", 0.55))
    assert "| Mine | scored by us from its masks |" in markdown(made["table1"])
    assert "table1-submitted" not in made


def test_submitted_masks_are_no_option_beyond_the_paper() -> None:
    assert "beyond-davis16-val" not in tables(*OURS, THEIRS)


def test_claims_about_submitted_masks_use_all_measured_seeds(tmp_path: Path) -> None:
    values = [0.5 + place / 50 for place in range(10)]
    cells = [with_scores(tmp_path, THEIRS, values)]
    cells += [with_scores(tmp_path, replace(OURS[1], seed=s), [v + 0.1 + s / 100 for v in values]) for s in (0, 1)]
    ordered = order_cells(cells, TABLES.variants)
    claim = next(claim for claim in load_claims().claims if claim.name == "osvos-davis16")
    found = judge(claim, 0.01, split(ordered)[0], read_scorebook(ordered), Budgets(Lineage()))
    assert found.verdict == "reproduced"
    assert found.interval is not None
    assert found.interval.seeds == 2


def test_submitted_masks_suffice_for_the_table_of_rivals() -> None:
    made = tables(THEIRS)
    assert "| OSVOS | scored by us from its masks |" in markdown(made["table1"])
    assert "table1-submitted" in made
    assert "scored by us" not in markdown(made["table7"])


def test_a_report_of_submitted_masks_only_is_written(tmp_path: Path) -> None:
    write_report([THEIRS], "s", tmp_path / "r")
    assert "submitted masks" in (tmp_path / "r" / "index.md").read_text()
