"""Tables combine comparable cells only, mark the best, and explain cells without numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StudyError
from harness.results import CellResult
from reports.figures.scores import omega_figure, omega_sweep
from reports.formats import as_csv, markdown
from reports.inputs import (
    Budgets,
    Lineage,
    ReportError,
    Scorebook,
    load_published,
    load_tables,
    order_cells,
    read_scorebook,
    shown_variants,
    split,
)
from reports.inputs.captions import format_number
from reports.report import STAMP, unchanged, write_report
from reports.tables import Table
from reports.tables.options import options_table
from reports.tables.overview import all_cells
from reports.tables.paper import build_tables
from tests.report_cells import cell, with_named_scores, with_scores

TABLES = load_tables()
NO_BUDGETS = Budgets(Lineage())


def table(name: str, *cells: CellResult) -> list[Table]:
    """Return all parts of one table."""
    made = (
        one.table for one in build_tables(order_cells(cells, TABLES.variants), TABLES, load_published(), NO_BUDGETS)[0]
    )
    return [table for table in made if table.name.split("-part")[0] == name]


def line_of(made: Table, variant: str) -> str:
    """Return the Markdown line of a variant."""
    place = next(index for index, line in enumerate(made.lines) if line.variant == variant)
    return markdown(made).split("---: |\n")[1].split("\n")[place]


BOTH = (cell("first-mask", 0.3), cell("ipn-only", 0.4), cell("ssn-only", 0.6), cell("no-crop", 0.7))


def test_two_protocols_never_share_a_table() -> None:
    other = [cell(one.variant, one.values["J_mean"], protocol="q" * 64) for one in BOTH]
    parts = table("table6", *BOTH, *other)
    assert [part.title[-13:] for part in parts] == ["(part 1 of 2)", "(part 2 of 2)"]
    assert "davis16-val pppppppp." in parts[0].caption
    assert "davis16-val qqqqqqqq." in parts[1].caption


@pytest.mark.parametrize("change", [{"scale": "light"}, {"data_kind": "real"}])
def test_two_scales_or_data_kinds_never_share_a_table(change: dict[str, str]) -> None:
    assert len(table("table6", *BOTH, *(cell(one.variant, 0.5, **change) for one in BOTH))) == 2


def test_a_cell_without_a_fingerprint_joins_the_others() -> None:
    (made,) = table("table6", *BOTH[:3], cell("no-crop", protocol="", reason="no space left"))
    assert "failed" in line_of(made, "no-crop")


def test_best_is_bold_and_second_underlined_among_measured_rows() -> None:
    (made,) = table("table6", *BOTH)
    assert "**.700**" in line_of(made, "no-crop")
    assert "<u>.600</u>" in line_of(made, "ssn-only")
    assert markdown(made).count("| **.") == 1


def test_values_equal_as_printed_share_a_rank() -> None:
    (made,) = table("table6", BOTH[0], cell("ipn-only", 0.70001), cell("ssn-only", 0.6), cell("no-crop", 0.69999))
    assert markdown(made).count("**.700**") == 2
    assert "<u>" not in markdown(made)  # a third is not second


def test_lower_is_better_for_decay() -> None:
    (part,) = split(order_cells(BOTH, TABLES.variants))
    made = all_cells(part, "davis16-val", TABLES)
    ranks = {line.variant: line.values[2].rank for line in made.lines}
    assert ranks == {"first-mask": 1, "ipn-only": 2, "ssn-only": 0, "no-crop": 0}


def test_a_row_over_fewer_sequences_is_not_ranked() -> None:
    (made,) = table("table6", *BOTH[:3], cell("no-crop", 0.9, sequences=1))
    assert "**" not in line_of(made, "no-crop")
    assert "1 of 2 sequences: not comparable" in made.notes


def test_every_table_includes_the_baseline() -> None:
    cells = order_cells([cell(variant, 0.5) for variant in (*TABLES.variants, "omega-0.50")], TABLES.variants)
    made, _ = build_tables(cells, TABLES, load_published(), NO_BUDGETS)
    names = {one.table.name for one in made}
    assert names >= {"table1", "table6", "table7", "omega", "text-concat", "text-crop"}
    assert all(one.table.lines[0].variant == "first-mask" for one in made)


def test_every_published_row_is_in_italics_with_its_source() -> None:
    (made,) = table("table1", cell("first-mask", 0.3), cell("full", 0.5))
    quoted = [line for line in markdown(made).split("\n") if "quoted:" in line]
    assert len(quoted) == 11
    assert all(line.startswith("| *") and "Table 1*" in line for line in quoted)
    assert 'quoted,"DIPNet, WACV 2020, Table 1",,light,yes,13.5k,0.858000' in as_csv(made)


def test_a_failed_cell_says_why() -> None:
    (made,) = table("table6", *BOTH[:3], cell("no-crop", reason="out of memory"))
    assert "failed: out of memory" in markdown(made)
    assert "Cells filled: 3/4." in made.caption


def test_a_variant_missing_from_the_study_is_shown_as_not_run() -> None:
    (made,) = table("table6", *BOTH[:3])
    assert "not run" in line_of(made, "no-crop")


def test_skipped_training_is_a_footnote() -> None:
    (made,) = table("table6", *BOTH[:3], cell("no-crop", 0.7, omitted=("pre-training skipped: no VOC",)))
    assert "<sup>1</sup>" in line_of(made, "no-crop")
    assert "pre-training skipped: no VOC" in made.notes


def test_seeds_are_averaged_and_a_failed_one_is_noted() -> None:
    more = [cell("no-crop", 0.8, seed=1), cell("no-crop", seed=2, reason="killed")]
    (made,) = table("table6", *BOTH, *more)
    assert ".750 <sup>" in line_of(made, "no-crop")
    assert "2 of 3 seeds; failed: killed" in made.notes


def test_no_file_depends_on_the_order_of_the_cells(tmp_path: Path) -> None:
    rows = [
        *BOTH,
        cell("omega-0.50", 0.3, options={"omega": 0.5}),
        cell("omega-0.10", 0.2, options={"omega": 0.1}),
        cell("full", 0.4, seed=1),
        cell("full", 0.9),
    ]
    for name, ordered in {"a": rows, "b": rows[::-1]}.items():
        write_report(ordered, "s", tmp_path / name)
    found = (path for path in (tmp_path / "a").rglob("*") if path.is_file() and path.name != STAMP)
    files = {path.relative_to(tmp_path / "a") for path in found}
    assert files
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_seconds_appear_in_the_speed_pages_only(tmp_path: Path) -> None:
    for name, seconds in {"a": 0.125, "b": 0.25}.items():
        cells = [replace(one, seconds_per_frame=seconds, hardware=f"box {name}") for one in BOTH]
        write_report(cells, "s", tmp_path / name)
    differing = {
        path.name
        for path in (tmp_path / "a").rglob("*.*")
        if path.name != STAMP and path.read_bytes() != (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    }
    assert differing == {
        *("speed.md", "index.html"),
        *("speed.csv", "speed.tex", "table1-speed.csv", "table1-speed.tex"),
    }


def test_the_speed_page_says_why_a_cell_was_not_timed(tmp_path: Path) -> None:
    write_report([*BOTH[:3], cell("no-crop", 0.7, reason="time: out of memory")], "s", tmp_path / "r")
    assert "time: out of memory" in (tmp_path / "r" / "speed.md").read_text()


def test_a_complete_report_of_the_same_cells_is_not_written_again(tmp_path: Path) -> None:
    files = write_report(BOTH, "s", tmp_path / "r")
    assert unchanged(tmp_path / "r", BOTH) == files
    assert not unchanged(tmp_path / "r", [*BOTH[:3], cell("no-crop", 0.71)])
    files[0].unlink()
    assert not unchanged(tmp_path / "r", BOTH)


def test_a_study_without_results_gets_a_report_that_says_so(tmp_path: Path) -> None:
    write_report([], "s", tmp_path / "r")
    assert "No results are recorded" in (tmp_path / "r" / "index.md").read_text()


def test_a_duplicate_cell_is_refused() -> None:
    with pytest.raises(ReportError, match="more than one result"):
        order_cells([cell("full", 0.5), cell("full", 0.6)])


def test_shares_are_printed_as_the_paper_prints_them() -> None:
    assert [format_number(value) for value in (0.8584, -0.0123, 1.0, -0.0001, 0.0)] == [
        ".858",
        "-.012",
        "1.000",
        ".000",
        ".000",
    ]


def test_an_unknown_published_row_is_named() -> None:
    with pytest.raises(StudyError, match="no row 'table9'"):
        load_published().row("table9")


def test_tables_yaml_and_published_yaml_are_consistent() -> None:
    published = load_published()
    assert len({row.key for row in published.rows}) == len(published.rows)
    assert all(map(published.cite, (*published.rows, *published.seconds)))
    for spec in TABLES.tables:
        assert all(column.heading for column in spec.columns)
        assert all(bool(row.variant) != bool(row.pattern) for row in spec.rows)
        for key in (*spec.published, *(line.published for line in spec.rows if line.published)):
            assert published.row(key).unavailable or set(published.row(key).values) & set(spec.benchmarks)


def test_a_single_sequence_has_numbers_without_intervals(tmp_path: Path) -> None:
    cells = [
        with_named_scores(tmp_path / one.variant, replace(one, sequences=1), {"single": one.values["J_mean"]})
        for one in BOTH
    ]
    write_report(cells, "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "1 sequence is too few" in page
    assert "| IPN + SSN | 1 | 1 | .700 | – | – |" in page or "DIPNet\\*, no crop | 1 | 1 | .700 | – | – |" in page


def test_a_report_of_failed_cells_gives_the_reasons(tmp_path: Path) -> None:
    write_report([cell("full", reason="no space left"), cell("no-crop")], "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "Cells filled: 0/2." in page
    assert "| full | davis16-val | 0 | mini | failed | no space left |" in page
    assert "no reason was recorded" in page


def test_a_study_without_claims_has_no_empty_claims_table(tmp_path: Path) -> None:
    made = with_named_scores(tmp_path / "scores", cell("first-mask", 0.5), {"single": 0.5})
    write_report([made], "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "\n## The paper's claims\n" not in page
    assert "- The paper's claims: the study measures none of them" in page


def test_tables_of_the_paper_are_printed_without_measurements(tmp_path: Path) -> None:
    write_report(BOTH, "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "Nothing in this table was measured: the study has no benchmark youtube-objects." in page
    assert "| *DIPNet* | *quoted: DIPNet, WACV 2020, Table 5* | *not available* |" in page


def test_a_study_without_a_benchmark_of_the_paper_has_no_table_of_it() -> None:
    cells = (cell("full", 0.5, benchmark="my-videos", benchmark_title="My videos"),)
    made, absent = build_tables(cells, TABLES, load_published(), NO_BUDGETS)
    assert made == ()
    assert "the study has no benchmark davis16-val" in absent["Table 1: DAVIS16 val"]


def test_options_beyond_the_paper_meet_their_closest_variant() -> None:
    options: dict[str, Any] = {"no-crop": {"crop": False}, "flip": {"crop": False, "test_flip": True}, "full": {}}
    cells = [cell(name, 0.5, options=given, method_label="DIPNet") for name, given in options.items()]
    (part,) = split(order_cells(cells, TABLES.variants))
    made = options_table(part, "davis16-val", TABLES, Scorebook(by_folder={}, averaging={}))
    assert made is not None
    assert [(line.variant, line.facts) for line in made.lines] == [("flip", ("DIPNet*, no crop", "test_flip = True"))]
    assert "no claim of the paper rests on them" in made.caption


def test_means_over_classes_give_classes_equal_weight(tmp_path: Path) -> None:
    values = {"bird-0001-001": 0.2, "bird-0001-002": 0.4, "cat-0001-001": 0.9}
    cells = (with_named_scores(tmp_path, cell("full", 0.6, benchmark="youtube-objects"), values),)
    scores = read_scorebook(cells)
    found = scores.mean(cells, "J_mean")
    assert found is not None
    assert found.estimate == pytest.approx((0.3 + 0.9) / 2)
    assert scores.plain_mean(cells, "J_mean") == pytest.approx(0.5)


def test_a_long_sweep_keeps_the_papers_value_and_both_ends() -> None:
    sweep = [cell(f"omega-{value / 20:.2f}", 0.5) for value in (*range(0, 20, 2), 19, 20)]
    (part,) = split(order_cells(sweep, TABLES.variants))
    shown = shown_variants(part, "davis16-val", TABLES, 7)
    assert shown == tuple(f"omega-{value}" for value in ("0.00", "0.20", "0.40", "0.60", "0.80", "0.95", "1.00"))
    (part,) = split(order_cells([*sweep, *BOTH], TABLES.variants))
    assert {"first-mask", "ipn-only", "ssn-only", "no-crop"} < set(shown_variants(part, "davis16-val", TABLES, 7))


def test_a_sweep_is_found_by_its_option_not_by_its_names(tmp_path: Path) -> None:
    sweep = {"slow": 0.25, "default": 0.95, "frozen": 0}
    cells = [cell(name, 0.5, options={"crop": False, "omega": omega}) for name, omega in sweep.items()]
    others = [cell("omega-0.50", 0.5), cell("cropped", 0.5, options={"omega": 0.5})]
    scored = [with_scores(tmp_path, one, [0.4, 0.5]) for one in (*cells, *others)]
    (part,) = split(order_cells(scored))
    assert omega_sweep(part) == sweep
    figure = omega_figure(part, read_scorebook(scored))
    assert figure is not None
    assert list(figure.canvas.axes[0].lines[0].get_xdata()) == [0, 0.25, 0.95]


def test_a_single_value_of_omega_has_no_figure(tmp_path: Path) -> None:
    made = with_scores(tmp_path, cell("omega-0.50", 0.5, options={"omega": 0.5}), [0.4, 0.5])
    assert omega_figure(*split([made]), read_scorebook([made])) is None
