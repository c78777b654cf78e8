"""A study's report on disk: `index.md`, `speed.md`, each table as CSV, and the contact sheets.

Everything but the speed page, its tables and its figure is the same, byte for byte, for the same rows; measured seconds
stand there alone. Of this machine's paths none is written, unless a recorded reason names one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from harness.errors import StoreError
from reports.claims import load_claims
from reports.content import compose
from reports.formats import as_csv
from reports.pages import index_page, speed_page
from reports.published import load_published
from reports.rows import check_rows
from reports.scores import read_scorebook
from reports.sheets import draw_sheets
from reports.spec import load_tables


def write(study: str, home: Path) -> list[Path]:
    """Writes `<home>/reports/<study>/` anew from the recorded rows, logs it to MLflow, and returns the files.

    Raises ReportError for rows that no report can be made of, StoreError where the folder cannot be written."""
    from harness import record  # here, because it loads MLflow, which takes seconds

    folder = home / "reports" / study
    files = write_report(record.read_rows(home, study), study, folder)
    record.log_report(home, study, folder)
    return files


def write_report(frame: pd.DataFrame, study: str, folder: Path) -> list[Path]:
    """The files of a report in `folder`, from rows as record.read_rows gives them; what lay there before is replaced
    as a whole. The first two are the pages."""
    tables, published, claims = load_tables(), load_published(), load_claims()
    rows = check_rows(frame, tables.variants)
    scores = read_scorebook(rows)
    content = compose(study, rows, tables, published, claims, scores)
    draft = folder.with_name(f"{folder.name}.partial")
    try:
        _remove(draft)
        (draft / "tables").mkdir(parents=True)
        sheets, unseen = draw_sheets(content.parts, tables, scores, draft)
        texts = {
            "index.md": index_page(content, {}, sheets, unseen),
            "speed.md": speed_page(content, published, {}),
        }
        for table in (*content.steady, *content.seconds):
            texts[f"tables/{table.name}.csv"] = as_csv(table)
        for name, text in texts.items():
            (draft / name).write_text(text, encoding="utf-8", newline="\n")
        _remove(folder)
        draft.rename(folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: the report cannot be written ({error}); free the folder or choose --home"
        ) from None
    return [folder / name for name in (*texts, *sheets.values())]


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
