"""A study's report: `index.md`, `speed.md`, each table as CSV, and the contact sheets.

Everything but the speed page and its tables is the same, byte for byte, for the same rows; measured seconds, which
differ from run to run, stand in the speed page alone. No path of the machine is written anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from harness.errors import StoreError
from reports.formats import as_csv, escape, markdown
from reports.overview import all_cells, missing_cells, per_sequence, speed, speed_beside
from reports.published import Published, load_published
from reports.rows import Row, check_rows, split
from reports.sheets import draw_sheets
from reports.spec import TableSet, load_tables
from reports.tables import Table, build_tables

HOW_TO_READ = (
    "Numbers that this study **measured** are upright; the best of the comparable measured rows is **bold**, the "
    "second <u>underlined</u>. Numbers *quoted* from a publication are in *italics* and name their source; they were "
    "never measured here. Rows of different protocol, scale or kind of data never share a table."
)


def write(study: str, home: Path) -> list[Path]:
    """Writes `<home>/reports/<study>/` anew from the recorded rows, logs it to MLflow, and returns the files.

    Raises ReportError for rows that no report can be made of, StoreError where the folder cannot be written."""
    from harness import record  # here, because it loads MLflow, which takes seconds

    folder = home / "reports" / study
    files = write_report(record.read_rows(home, study), study, folder)
    record.log_report(home, study, folder)
    return files


def write_report(frame: pd.DataFrame, study: str, folder: Path) -> list[Path]:
    """The files of a report in `folder`, from rows as record.read_rows gives them; what lay there before is removed."""
    tables, published = load_tables(), load_published()
    rows = check_rows(frame, tables.variants)
    made, absent = build_tables(rows, tables, published)
    parts = split(rows)
    suffixes = [""] if len(parts) == 1 else [f"-part{turn + 1}" for turn in range(len(parts))]
    cells = tuple(t for part, suffix in zip(parts, suffixes, strict=True) for t in all_cells(part, tables, suffix))
    sequences = tuple(t for part, suffix in zip(parts, suffixes, strict=True) for t in per_sequence(part, suffix))
    seconds = _speed_tables(rows, tables, published)
    draft = folder.with_name(f"{folder.name}.partial")
    try:
        _remove(draft)
        (draft / "tables").mkdir(parents=True)
        sheets, unseen = draw_sheets(parts, tables, draft)
        files = {f"tables/{table.name}.csv": as_csv(table) for table in (*made, *cells, *sequences, *seconds)}
        files["index.md"] = _index(study, rows, (*made, *cells, *sequences), absent, sheets, unseen)
        files["speed.md"] = _speed_page(study, seconds, published)
        for name, text in files.items():
            (draft / name).write_text(text, encoding="utf-8", newline="\n")
        _remove(folder)
        draft.rename(folder)
        return [folder / name for name in ("index.md", "speed.md", *list(files)[:-2], *sheets.values())]
    except OSError as error:
        raise StoreError(
            f"{folder}: the report cannot be written ({error}); free the folder or choose --home"
        ) from None


def _index(
    study: str,
    rows: tuple[Row, ...],
    tables: tuple[Table, ...],
    absent: Mapping[str, str],
    sheets: Mapping[str, str],
    unseen: Mapping[str, str],
) -> str:
    filled = sum(row.done for row in rows)
    out = [f"# {study}", "", f"**{filled}/{len(rows)} cells filled.** {HOW_TO_READ}", ""]
    if not rows:
        out += ["No rows are recorded for this study yet: run it first (`python -m harness.run`).", ""]
    out += ["Seconds a frame and hardware: [speed.md](speed.md). Every table as CSV: [tables/](tables/).", ""]
    missing = missing_cells(rows)
    if missing:
        out += ["## Missing cells", "", "| variant | benchmark | seed | scale | status | reason |"]
        out += ["| --- | --- | --- | --- | --- | --- |"]
        out += ["| " + " | ".join(escape(text) for text in cell) + " |" for cell in missing] + [""]
    for table in tables:
        out += [markdown(table), f"[CSV](tables/{table.name}.csv)", ""]
    if absent:
        out += ["## Tables without rows here", ""]
        out += [f"- {escape(title)}: {escape(reason)}" for title, reason in absent.items()] + [""]
    if sheets or unseen:
        out += ["## Contact sheets", "", "Frames evenly sampled; the truth in the first row, then every variant.", ""]
        out += [f"- [{escape(name)}]({path})" for name, path in sheets.items()]
        out += [f"- {escape(name)}: {escape(reason)}" for name, reason in unseen.items()] + [""]
    return "\n".join(out).rstrip() + "\n"


def _speed_tables(rows: tuple[Row, ...], tables: TableSet, published: Published) -> tuple[Table, ...]:
    parts = split(rows)
    out = []
    for turn, part in enumerate(parts):
        suffix = "" if len(parts) == 1 else f"-part{turn + 1}"
        out.append(speed(part, tables, suffix))
        for spec in tables.tables:
            if spec.speed and set(spec.benchmarks) & set(part.benchmarks):
                out.append(speed_beside(spec, part, tables, published, suffix))
    return tuple(out)


def _speed_page(study: str, tables: tuple[Table, ...], published: Published) -> str:
    out = [f"# {study}: speed", "", "Measured seconds differ from run to run and from machine to machine.", ""]
    for table in tables:
        out += [markdown(table), f"[CSV](tables/{table.name}.csv)", ""]
    out += ["## Durations in the paper's text", "", "| what | seconds | origin |", "| --- | ---: | --- |"]
    for entry in published.seconds:
        out.append(f"| {escape(entry.what)} | *{entry.value}* | *quoted: {escape(published.cite(entry))}* |")
    return "\n".join(out) + "\n"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
