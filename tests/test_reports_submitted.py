"""Masks that were handed in stand beside the rows of every scale, never look like ours, and meet what is published."""

from pathlib import Path

import pandas as pd
import pytest
from harness.results.rows import SUBMITTED, plain

from reports.formats.markdown import as_csv, markdown
from reports.inputs.cells import Row, check_rows, split
from reports.inputs.claims import judge, load_claims
from reports.inputs.published import load_published
from reports.inputs.scores import read_scorebook
from reports.inputs.spec import load_tables
from reports.report import write_report
from reports.tables.content import compose
from reports.tables.model import Table
from tests.test_reports_tables import row

TABLES = load_tables()
OURS = (row("first-mask", 0.3), row("full", 0.6), row("no-crop", 0.5))
THEIRS = row("OSVOS", 0.7971, scale=SUBMITTED, method_label="OSVOS")


def tables(*rows: dict) -> dict[str, Table]:
    checked = check_rows(pd.DataFrame(rows), TABLES.variants)
    content = compose("s", checked, TABLES, load_published(), load_claims(), read_scorebook(checked))
    return {table.name: table for table in content.steady}


def test_they_stand_above_the_published_row_of_their_method_and_say_what_they_are() -> None:
    lines = [line for line in markdown(tables(*OURS, THEIRS)["table1"]).split("\n") if line.startswith("|")]
    place = next(index for index, line in enumerate(lines) if "scored by us from its masks" in line)
    assert lines[place].startswith("| OSVOS | scored by us from its masks | heavy |")
    assert lines[place + 1].startswith("| *OSVOS* | *quoted: DIPNet, WACV 2020, Table 1* |")


def test_they_stand_in_the_tables_of_every_scale() -> None:
    light = [{**line, "scale": "light"} for line in OURS]
    made = tables(*OURS, *light, THEIRS)
    assert all("scored by us" in markdown(made[name]) for name in ("table1-part1", "table1-part2"))


@pytest.mark.parametrize("change", [{"protocol": "q" * 64}, {"data_kind": "real"}])
def test_of_another_protocol_or_kind_of_data_they_stand_apart(change: dict[str, str]) -> None:
    parts = split(check_rows(pd.DataFrame([*OURS, {**THEIRS, **change}]), TABLES.variants))
    assert [part.submitted for part in parts] == [(), ("osvos",)] or [part.submitted for part in parts] == [
        ("osvos",),
        (),
    ]


def test_their_published_value_and_the_difference_stand_beside_them() -> None:
    text = as_csv(tables(*OURS, THEIRS)["table1-submitted"])
    assert 'J mean ↑,"DIPNet, WACV 2020, Table 1",0.797100,0.798000,-0.000900' in text


def test_a_method_without_a_published_row_is_shown_too() -> None:
    made = tables(*OURS, row("Mine", 0.55, scale=SUBMITTED))
    assert "| Mine | scored by us from its masks |" in markdown(made["table1"])
    assert "table1-submitted" not in made


def test_they_are_no_option_beyond_the_paper() -> None:
    assert "beyond-davis16-val" not in tables(*OURS, THEIRS)


def test_spelling_does_not_matter() -> None:
    assert plain("OSVOS-S") == plain("osvos s") == "osvoss"


def with_scores(folder: Path, line: dict, values: list[float]) -> dict:
    place = folder / line["variant"] / str(line["seed"])
    place.mkdir(parents=True)
    text = "\n".join(f"s{index},1,{value}" for index, value in enumerate(values))
    (place / "sequences.csv").write_text(f"sequence,objects,J_mean\n{text}\n")
    return {**line, "score_folder": str(place)}


def test_a_claim_about_them_is_judged_with_all_of_our_seeds(tmp_path: Path) -> None:
    values = [0.5 + place / 50 for place in range(10)]
    rows = [with_scores(tmp_path, THEIRS, values)]
    rows += [with_scores(tmp_path, {**OURS[1], "seed": s}, [v + 0.1 + s / 100 for v in values]) for s in (0, 1)]
    checked = check_rows(pd.DataFrame(rows), TABLES.variants)
    claim = next(claim for claim in load_claims().claims if claim.name == "osvos-davis16")
    found = judge(claim, 0.01, split(checked)[0], read_scorebook(checked))
    assert found.verdict == "reproduced"
    assert found.interval is not None
    assert found.interval.seeds == 2


def test_the_table_of_rivals_is_made_of_nothing_else() -> None:
    made = tables(THEIRS)
    assert "| OSVOS | scored by us from its masks |" in markdown(made["table1"])
    assert "table1-submitted" in made
    assert "scored by us" not in markdown(made["table7"])


def test_a_report_of_nothing_else_is_written(tmp_path: Path) -> None:
    write_report(pd.DataFrame([THEIRS]), "s", tmp_path / "r")
    assert "masks that were handed in" in (tmp_path / "r" / "index.md").read_text()


def test_a_row_keeps_the_name_that_it_was_recorded_under() -> None:
    (found,) = check_rows(pd.DataFrame([row("OSVOS-S", 0.8, scale=SUBMITTED)]))
    assert isinstance(found, Row)
    assert (found.variant, found.method_label) == ("osvoss", "OSVOS-S")
