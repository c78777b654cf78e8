"""A study's report on disk: `index.md`, `speed.md`, `index.html`, tables as CSV and LaTeX, figures, contact sheets.

Everything but the speed page, its tables and its figure, and the HTML page that holds them too, is the same, byte for
byte, for the same rows: measured seconds stand there alone. Of this machine's paths none is written, unless a recorded
reason names one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from harness.errors import StoreError
from harness.files import locked
from reports.figures.canvas import Figure, save
from reports.figures.identities import identity_figure
from reports.figures.scores import figures
from reports.figures.tradeoff import speed_figures
from reports.figures.training import read_curves, training_figures
from reports.formats.html import html_page
from reports.formats.latex import latex
from reports.formats.markdown import as_csv
from reports.formats.pages import index_page, speed_page
from reports.inputs.cells import Part, check_rows
from reports.inputs.claims import claims_file, load_claims
from reports.inputs.lineage import Lineage
from reports.inputs.published import load_published
from reports.inputs.scores import Scorebook, read_scorebook
from reports.inputs.spec import TableSet, load_tables
from reports.media.background import Here, second_process
from reports.media.sheets import draw_sheets, notable
from reports.media.videos import draw_videos
from reports.tables.content import compose, suffixes

STAMP = ".stamp.json"
"""What a report was made from, and its files."""


def write(study: str, home: Path, *, from_store: bool = False, tracking: str = "") -> list[Path]:
    """Brings `<home>/reports/<study>/` up to date with the recorded rows, logs it to MLflow, and returns the files.

    `from_store`, `tracking`: where the rows are read, as sync.read_rows says; from the store, MLflow is left alone.
    Raises ReportError for rows that no report can be made of, StoreError where the folder cannot be written."""

    folder = home / "reports" / study
    from harness.tracking import sync  # here, because it loads MLflow, which takes seconds

    frame = sync.read_rows(home, study, from_store=from_store, tracking=tracking)
    try:
        with locked(folder):  # two runs of a study may end at once
            files = unchanged(folder, frame)
            if not files:
                # One thread: of many small products, threads would only wait for each other.
                with second_process() as second, threadpool_limits(1):
                    files = write_report(frame, study, folder, second)
            if not from_store:
                sync.log_report(home, study, folder, tracking)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error}); free the folder or choose --home") from None
    return files


def write_report(frame: pd.DataFrame, study: str, folder: Path, second: Executor | None = None) -> list[Path]:
    """The files of a report in `folder`, from rows as sync.read_rows gives them; what lay there before is replaced
    as a whole. The first two are the pages. `second`: where videos and figures are written meanwhile."""
    second = second or Here()
    tables, published, claims = load_tables(), load_published(), load_claims()
    rows = check_rows(frame, tables.variants)
    scores = read_scorebook(rows)
    content = compose(study, rows, tables, published, claims, scores)
    draft = folder.with_name(f"{folder.name}.partial")
    try:
        _remove(draft)
        (draft / "tables").mkdir(parents=True)
        sheets, unseen = draw_sheets(content.parts, tables, scores, draft)
        chosen = notable(content, sheets, tables.baseline)
        filmed = second.submit(draw_videos, content.parts, tables.baseline, tuple(chosen.values()), draft)
        (draft / "figures").mkdir()
        saved: list[Future[tuple[Path, Path]]] = []

        def keep(figure: Figure) -> None:
            saved.append(second.submit(save, figure, draft / "figures"))

        drawn, undrawn = draw_figures(content.parts, tables, scores, keep)
        named = tuple(zip(content.parts, suffixes(content.parts), strict=True))
        apart = [one for part, suffix in named for one in speed_figures(part, tables, scores, published, suffix)]
        for figure in apart:
            keep(figure)
        texts = {
            "index.md": index_page(content, drawn, undrawn, sheets, unseen),
            "speed.md": speed_page(content, published, apart),
        }
        for table in (*content.steady, *content.seconds):
            texts[f"tables/{table.name}.csv"] = as_csv(table)
            texts[f"tables/{table.name}.tex"] = latex(table)
        videos, silent = filmed.result()
        images = [path for one in saved for path in one.result()]
        texts["index.html"] = html_page(
            content, draft, drawn, apart, undrawn, chosen, sheets, {**unseen, **silent}, videos
        )
        for name, text in texts.items():
            (draft / name).write_text(text, encoding="utf-8", newline="\n")
        drawings = [path.relative_to(draft).as_posix() for path in images]
        names = [*texts, *drawings, *sheets.values(), *videos.values()]
        (draft / STAMP).write_text(json.dumps({"made_from": made_from(frame), "files": names}), encoding="utf-8")
        _remove(folder)
        draft.rename(folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: the report cannot be written ({error}); free the folder or choose --home"
        ) from None

    return [folder / name for name in names]


def draw_figures(
    parts: tuple[Part, ...], tables: TableSet, scores: Scorebook, keep: Callable[[Figure], None]
) -> tuple[list[Figure], dict[str, str]]:
    """The figures without seconds, each given to `keep` once it is drawn; and title → why not for those that there are
    not."""
    drawn: list[Figure] = []
    undrawn: dict[str, str] = {}
    lineage = Lineage()

    def add(figure: Figure) -> None:
        drawn.append(figure)
        keep(figure)

    for part, suffix in zip(parts, suffixes(parts), strict=True):
        for figure in figures(part, tables, scores, suffix):
            add(figure)
        for benchmark in part.benchmarks:
            identities, why = identity_figure(part, benchmark, lineage, suffix)
            if identities:
                add(identities)
            if why:
                undrawn[f"t-SNE of identity vectors (figure 7): {part.title(benchmark)}{suffix}"] = why
        trainings = training_figures(part, read_curves(part, lineage), suffix)
        for figure in trainings:
            add(figure)
        if not trainings:
            undrawn[f"Loss of the trainings{suffix}"] = (
                "no training of these rows left a curve in the store or in MLflow"
            )
    return drawn, undrawn


def unchanged(folder: Path, frame: pd.DataFrame) -> list[Path]:
    """The files of the report in `folder` if it was made from these rows by this code and is whole, else none."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        files = [folder / name for name in stamp["files"]]
        same = stamp["made_from"] == made_from(frame)
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no stamp, or none of ours: the report is made anew
    return files if same and all(file.is_file() for file in files) else []


def made_from(frame: pd.DataFrame) -> str:
    """SHA-256 of all that a report depends on: the rows (published results never change), and this package's files."""
    here = Path(__file__).parent
    sources = sorted(path for path in here.rglob("*") if path.suffix in {".py", ".yaml"})
    digest = hashlib.sha256(frame.to_json(orient="records", double_precision=15).encode())
    for path in (*sources, claims_file()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


class PaperReport:
    """The paper's tables, figures and claims as Markdown, HTML, CSV and LaTeX."""

    def write(self, study: str, home: Path, *, from_store: bool = False, tracking: str = "") -> list[Path]:
        """Write the report as `harness.report.Report` says."""
        return write(study, home, from_store=from_store, tracking=tracking)


REPORT = PaperReport()
