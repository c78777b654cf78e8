"""What a table may put together, what it marks, and what it says about cells without numbers."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import StudyError
from reports.figures.scores import shown_variants
from reports.formats.markdown import as_csv, markdown, number
from reports.inputs.cells import COLUMNS, ReportError, check_rows, split
from reports.inputs.published import load_published
from reports.inputs.spec import MEASURES, load_tables
from reports.report import STAMP, unchanged, write_report
from reports.tables.model import Table, build_tables

TABLES = load_tables()


def row(variant: str, score: float | None = None, **change: Any) -> dict[str, Any]:
    """One row; without a score, of a failed cell."""
    plain = dict.fromkeys(COLUMNS, "")
    plain |= {"study": "s", "variant": variant, "benchmark": "davis16-val", "benchmark_title": "DAVIS16 val", "seed": 0}
    plain |= {"scale": "mini", "data_kind": "embedded", "protocol": "p" * 64, "options": "{}", "masks": "{}"}
    plain |= {"status": "done" if score is not None else "failed", "sequences": 2 if score is not None else 0}
    plain |= dict.fromkeys(MEASURES, score if score is not None else float("nan"))
    return plain | {"seconds_per_frame": float("nan")} | change


def table(name: str, *rows: dict[str, Any]) -> list[Table]:
    """All parts of one table."""
    checked = check_rows(pd.DataFrame(rows), TABLES.variants)
    made = (one.table for one in build_tables(checked, TABLES, load_published())[0])
    return [table for table in made if table.name.split("-part")[0] == name]


def cells(made: Table, variant: str) -> str:
    """The Markdown line of a variant."""
    place = next(index for index, line in enumerate(made.lines) if line.variant == variant)
    return markdown(made).split("---: |\n")[1].split("\n")[place]


BOTH = (row("first-mask", 0.3), row("ipn-only", 0.4), row("ssn-only", 0.6), row("no-crop", 0.7))


def test_two_protocols_never_share_a_table() -> None:
    other = [row(line["variant"], line["J_mean"], protocol="q" * 64) for line in BOTH]
    parts = table("table6", *BOTH, *other)
    assert [part.title[-13:] for part in parts] == ["(part 1 of 2)", "(part 2 of 2)"]
    assert "davis16-val pppppppp." in parts[0].caption
    assert "davis16-val qqqqqqqq." in parts[1].caption


@pytest.mark.parametrize("change", [{"scale": "light"}, {"data_kind": "real"}])
def test_two_scales_or_kinds_of_data_never_share_a_table(change: dict[str, str]) -> None:
    assert len(table("table6", *BOTH, *(row(line["variant"], 0.5, **change) for line in BOTH))) == 2


def test_a_cell_that_never_got_a_fingerprint_stays_with_the_others() -> None:
    (made,) = table("table6", *BOTH[:3], row("no-crop", protocol="", reason="no space left"))
    assert "failed" in cells(made, "no-crop")


def test_best_is_bold_and_second_underlined_among_the_measured_only() -> None:
    (made,) = table("table6", *BOTH)
    assert "**.700**" in cells(made, "no-crop")
    assert "<u>.600</u>" in cells(made, "ssn-only")
    assert markdown(made).count("| **.") == 1


def test_equal_as_printed_is_equal_in_rank() -> None:
    (made,) = table("table6", BOTH[0], row("ipn-only", 0.70001), row("ssn-only", 0.6), row("no-crop", 0.69999))
    assert markdown(made).count("**.700**") == 2
    assert "<u>" not in markdown(made)  # a third is not second


def test_lower_is_better_for_decay() -> None:
    from reports.tables.overview import all_cells

    (part,) = split(check_rows(pd.DataFrame(BOTH), TABLES.variants))
    (made,) = all_cells(part, TABLES)
    ranks = {line.variant: line.values[2].rank for line in made.lines}
    assert ranks == {"first-mask": 1, "ipn-only": 2, "ssn-only": 0, "no-crop": 0}


def test_a_row_over_fewer_sequences_is_shown_and_not_ranked() -> None:
    (made,) = table("table6", *BOTH[:3], row("no-crop", 0.9, sequences=1))
    assert "**" not in cells(made, "no-crop")
    assert "1 of 2 sequences: not comparable" in made.notes


def test_the_baseline_stands_in_every_table() -> None:
    rows = check_rows(
        pd.DataFrame([row(variant, 0.5) for variant in (*TABLES.variants, "omega-0.50")]), TABLES.variants
    )
    made, _ = build_tables(rows, TABLES, load_published())
    names = {one.table.name for one in made}
    assert names >= {"table1", "table6", "table7", "omega", "text-concat", "text-crop"}
    assert all(one.table.lines[0].variant == "first-mask" for one in made)


def test_every_published_row_is_in_italics_with_its_source() -> None:
    (made,) = table("table1", row("first-mask", 0.3), row("full", 0.5))
    quoted = [line for line in markdown(made).split("\n") if "quoted:" in line]
    assert len(quoted) == 11
    assert all(line.startswith("| *") and "Table 1*" in line for line in quoted)
    assert 'quoted,"DIPNet, WACV 2020, Table 1",,light,yes,13.5k,0.858000' in as_csv(made)


def test_a_failed_cell_says_why() -> None:
    (made,) = table("table6", *BOTH[:3], row("no-crop", reason="out of memory"))
    assert "failed: out of memory" in markdown(made)
    assert "Cells filled: 3/4." in made.caption


def test_a_variant_that_the_study_lacks_is_not_silently_absent() -> None:
    (made,) = table("table6", *BOTH[:3])
    assert "not run" in cells(made, "no-crop")


def test_a_row_that_went_without_training_says_so() -> None:
    (made,) = table("table6", *BOTH[:3], row("no-crop", 0.7, left_out="pre-training left out: no VOC"))
    assert "<sup>1</sup>" in cells(made, "no-crop")
    assert "pre-training left out: no VOC" in made.notes


def test_seeds_are_averaged_and_a_failed_one_is_told() -> None:
    more = [row("no-crop", 0.8, seed=1), row("no-crop", seed=2, reason="killed")]
    (made,) = table("table6", *BOTH, *more)
    assert ".750 <sup>" in cells(made, "no-crop")
    assert "2 of 3 seeds; failed: killed" in made.notes


def test_no_part_of_a_report_depends_on_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [*BOTH, row("omega-0.50", 0.3), row("omega-0.10", 0.2), row("full", 0.4, seed=1), row("full", 0.9)]
    for name, ordered in {"a": rows, "b": rows[::-1]}.items():
        write_report(pd.DataFrame(ordered), "s", tmp_path / name)
    found = (path for path in (tmp_path / "a").rglob("*") if path.is_file() and path.name != STAMP)
    files = {path.relative_to(tmp_path / "a") for path in found}
    assert files
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_seconds_stand_in_the_speed_page_alone(tmp_path: Path) -> None:
    for name, seconds in {"a": 0.125, "b": 0.25}.items():
        rows = [{**line, "seconds_per_frame": seconds, "hardware": f"box {name}"} for line in BOTH]
        write_report(pd.DataFrame(rows), "s", tmp_path / name)
    differing = {
        path.name
        for path in (tmp_path / "a").rglob("*.*")
        if path.name != STAMP and path.read_bytes() != (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    }
    assert differing == {
        *("speed.md", "index.html"),
        *("speed.csv", "speed.tex", "table1-speed.csv", "table1-speed.tex"),
    }


def test_a_cell_that_could_not_be_timed_says_why_beside_its_seconds(tmp_path: Path) -> None:
    write_report(pd.DataFrame([*BOTH[:3], row("no-crop", 0.7, reason="time: out of memory")]), "s", tmp_path / "r")
    assert "time: out of memory" in (tmp_path / "r" / "speed.md").read_text()


def test_a_whole_report_of_the_same_rows_is_not_made_again(tmp_path: Path) -> None:
    files = write_report(pd.DataFrame(BOTH), "s", tmp_path / "r")
    assert unchanged(tmp_path / "r", pd.DataFrame(BOTH)) == files
    assert not unchanged(tmp_path / "r", pd.DataFrame([*BOTH[:3], row("no-crop", 0.71)]))
    files[0].unlink()
    assert not unchanged(tmp_path / "r", pd.DataFrame(BOTH))


def test_no_rows_at_all_give_a_report_that_says_so(tmp_path: Path) -> None:
    write_report(pd.DataFrame(columns=list(COLUMNS)), "s", tmp_path / "r")
    assert "No rows are recorded" in (tmp_path / "r" / "index.md").read_text()


def test_rows_without_a_column_are_refused() -> None:
    with pytest.raises(ReportError, match="columns missing: protocol"):
        check_rows(pd.DataFrame([row("full", 0.5)]).drop(columns="protocol"))


def test_a_cell_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ReportError, match="more than one row"):
        check_rows(pd.DataFrame([row("full", 0.5), row("full", 0.6)]))


def test_shares_are_printed_as_the_paper_prints_them() -> None:
    assert [number(value, 3) for value in (0.8584, -0.0123, 1.0, -0.0001, 0.0)] == [
        ".858",
        "-.012",
        "1.000",
        ".000",
        ".000",
    ]


def test_published_numbers_that_nobody_lists_are_named() -> None:
    with pytest.raises(StudyError, match="no row 'table9'"):
        load_published().row("table9")


def test_the_tables_ask_only_for_published_rows_that_exist() -> None:
    published = load_published()
    for spec in TABLES.tables:
        for key in (*spec.published, *(line.published for line in spec.rows if line.published)):
            assert published.row(key).unavailable or set(published.row(key).values) & set(spec.benchmarks)


def test_one_seed_on_one_sequence_gives_numbers_without_intervals(tmp_path: Path) -> None:
    rows = []
    for line in BOTH:
        folder = tmp_path / line["variant"]
        folder.mkdir()
        (folder / "sequences.csv").write_text(f"sequence,objects,J_mean\nalone,1,{line['J_mean']}\n")
        rows.append({**line, "sequences": 1, "score_folder": str(folder)})
    write_report(pd.DataFrame(rows), "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "1 sequences are too few" in page
    assert "| IPN + SSN | 1 | 1 | .700 | – | – |" in page or "DIPNet\\*, no crop | 1 | 1 | .700 | – | – |" in page


def test_a_report_in_which_every_cell_failed_says_so(tmp_path: Path) -> None:
    write_report(pd.DataFrame([row("full", reason="no space left"), row("no-crop")]), "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "Cells filled: 0/2." in page
    assert "| full | davis16-val | 0 | mini | failed | no space left |" in page
    assert "no reason was recorded" in page


def test_a_study_that_bears_on_no_claim_says_so_instead_of_an_empty_table(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "sequences.csv").write_text("sequence,objects,J_mean\nalone,1,0.5\n")
    write_report(pd.DataFrame([row("first-mask", 0.5, score_folder=str(folder))]), "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "\n## The paper's claims\n" not in page
    assert "- The paper's claims: the rows of this study bear on none of them" in page


def test_the_papers_tables_are_printed_where_nothing_of_them_was_run(tmp_path: Path) -> None:
    write_report(pd.DataFrame(BOTH), "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "Nothing in it was measured: the study has no benchmark youtube-objects." in page
    assert "| *DIPNet* | *quoted: DIPNet, WACV 2020, Table 5* | *not available* |" in page


def test_options_beyond_the_paper_are_compared_with_the_nearest_variant_and_claim_nothing() -> None:
    from reports.inputs.scores import Scorebook
    from reports.tables.options import beyond

    options = {"no-crop": '{"crop": false}', "flip": '{"crop": false, "test_flip": true}', "full": "{}"}
    rows = [row(name, 0.5, options=text, method_label="DIPNet") for name, text in options.items()]
    (part,) = split(check_rows(pd.DataFrame(rows), TABLES.variants))
    made = beyond(part, "davis16-val", TABLES, Scorebook(by_folder={}, averaging={}))
    assert made is not None
    assert [(line.variant, line.facts) for line in made.lines] == [
        ("flip", ("DIPNet*, no crop", "test_flip = True")),
    ]
    assert "no claim of the paper rests on them" in made.caption


def test_means_over_classes_weigh_every_class_alike(tmp_path: Path) -> None:
    from reports.inputs.scores import read_scorebook

    values = {"bird-0001-001": 0.2, "bird-0001-002": 0.4, "cat-0001-001": 0.9}
    lines = [f"{name},1,{value}" for name, value in values.items()]
    (tmp_path / "sequences.csv").write_text("\n".join(["sequence,objects,J_mean", *lines]) + "\n")
    line = row("full", 0.6, benchmark="youtube-objects", score_folder=str(tmp_path))
    checked = check_rows(pd.DataFrame([line]))
    scores = read_scorebook(checked)
    found = scores.mean(checked, "J_mean")
    assert found is not None
    assert found.estimate == pytest.approx((0.3 + 0.9) / 2)
    assert scores.plain_mean(checked, "J_mean") == pytest.approx(0.5)


def test_of_a_sweep_too_long_for_a_figure_the_papers_value_and_both_ends_are_drawn() -> None:
    sweep = [row(f"omega-{value / 20:.2f}", 0.5) for value in (*range(0, 20, 2), 19, 20)]
    (part,) = split(check_rows(pd.DataFrame(sweep), TABLES.variants))
    shown = shown_variants(part, "davis16-val", TABLES)
    assert shown == tuple(f"omega-{value}" for value in ("0.00", "0.20", "0.40", "0.60", "0.80", "0.95", "1.00"))
    (part,) = split(check_rows(pd.DataFrame([*sweep, *BOTH]), TABLES.variants))
    assert {"first-mask", "ipn-only", "ssn-only", "no-crop"} < set(shown_variants(part, "davis16-val", TABLES))
