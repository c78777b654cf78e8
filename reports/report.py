"""A study's report on disk: `index.md`, `speed.md`, `index.html`, tables as CSV and LaTeX, figures, contact sheets.

`compare.html` shows two variants frame by frame.

Equal results give equal bytes, except for measured seconds: they appear in the speed page with its tables and figures,
and in the HTML page. Paths of this machine appear nowhere, unless a recorded reason contains one."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from threadpoolctl import threadpool_limits

from harness.errors import StudyError
from harness.files import atomic_folder, locked, read_json, write_error
from harness.results import CellResult, require_studies, study_question
from reports.figures import Figure, identity_figure, read_curves, save, score_figures, speed_figures, training_figures
from reports.formats import Pictures, as_csv, html_page, index_page, latex, speed_page
from reports.inputs import (
    Lineage,
    Part,
    ReportError,
    Scorebook,
    TableSet,
    Videos,
    claims_file,
    load_claims,
    load_published,
    load_tables,
    order_cells,
    read_scorebook,
)
from reports.media import draw_sheets, draw_strip, highlights
from reports.tables import Content, compose
from reports.viewer import write_viewer

STAMP = ".stamp.json"
"""File with the digest of everything that a report was made from, the names of its files and the cells with a score."""


class PaperReport:
    """The report with the paper's tables and figures, found under the entry point group `harness.reports`."""

    def write(
        self, study: str, home: Path, *, from_store: bool = False, tracking: str = "", compare: bool = True
    ) -> list[Path]:
        """Bring `<home>/reports/<study>/` up to date with the results, log it to MLflow, and return its files.

        `from_store`: read the results from the store without MLflow. `tracking`: read them from the MLflow there.
        `compare`: write the page that compares two variants.
        Raises StudyError if there are no results, ReportError for unusable ones and for such that would empty the
        report, which is kept then; StoreError if the folder cannot be written."""
        from harness.tracking import sync  # here, because it loads MLflow, which takes seconds

        folder = home / "reports" / study
        cells = sync.read_results(home, study, from_store=from_store, tracking=tracking)
        if not cells:
            require_studies(home, study)
            raise StudyError(f"study {study!r} has no results in {home} yet; run it to its end, or give another --home")
        question = study_question(home, study)
        try:
            with locked(folder):  # two runs of a study may end at the same time
                files = unchanged(folder, cells, question, compare)
                if not files:
                    check_kept(folder, cells)
                    files = write_report(cells, study, folder, question, compare)
                if not from_store:
                    sync.log_report(home, study, folder, tracking)
        except OSError as error:
            raise write_error(folder, error, "free the folder or choose --home") from None
        return files


REPORT = PaperReport()


def write_report(
    cells: Iterable[CellResult], study: str, folder: Path, question: str = "", compare: bool = True
) -> list[Path]:
    """Write the report of these results in place of the former one and return its files, the two pages first.

    `question`: the one that the study asks, if it is known; `compare`: also write the page that compares two variants.
    Raises OSError if the folder cannot be written."""
    cells = list(cells)
    tables, published = load_tables(), load_published()
    ordered = order_cells(cells, tables.variants)
    scores, lineage, videos = read_scorebook(ordered), Lineage(), Videos()
    with threadpool_limits(1):  # of many small products, threads would only wait for each other
        content = compose(study, ordered, tables, published, load_claims(), scores, lineage, question)
        with atomic_folder(folder) as draft:
            with ThreadPoolExecutor(1) as pool:  # sheets are drawn by C libraries, while Python draws the figures
                drawing = pool.submit(draw_sheets, content.parts, scores, videos, tables.baseline, draft)
                figures, missing_figures = draw_figures(content.parts, tables, scores, lineage)
                speed = [figure for part in content.parts for figure in speed_figures(part, tables, scores, published)]
                (draft / "figures").mkdir()
                images = [path for figure in (*figures, *speed) for path in save(figure, draft / "figures")]
                sheets, missing_sheets = drawing.result()
            chosen = highlights(content.parts, sheets, scores, tables.baseline)
            viewer = write_viewer(study, content.parts, scores, videos, tables.baseline, draft) if compare else []
            strip, about_strip = draw_top(content, scores, videos, tables.baseline, draft)
            pictures = Pictures(
                lead=lead_figure(content, figures, speed),
                strip=strip,
                about_strip=about_strip,
                figures=figures,
                speed_figures=speed,
                missing_figures=missing_figures,
                sheets=sheets,
                highlights=chosen,
                missing_sheets=missing_sheets,
                viewer=viewer[0] if viewer else "",
            )
            texts = {"index.md": index_page(content, pictures), "speed.md": speed_page(content, published, pictures)}
            texts["index.html"] = html_page(content, pictures, draft)
            for table in (*content.steady, *content.seconds):
                texts[f"tables/{table.name}.csv"] = as_csv(table)
                texts[f"tables/{table.name}.tex"] = latex(table)
            (draft / "tables").mkdir()
            for name, text in texts.items():
                (draft / name).write_text(text, encoding="utf-8", newline="\n")
            names = [*texts, *(f"figures/{path.name}" for path in images), *strip.values(), *sheets.values(), *viewer]
            stamp = {
                "made_from": made_from(cells, question, compare),
                "files": names,
                "done": [cell.id for cell in cells if cell.done],
            }
            (draft / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    return [folder / name for name in names]


def draw_figures(
    parts: Iterable[Part], tables: TableSet, scores: Scorebook, lineage: Lineage
) -> tuple[list[Figure], dict[str, str]]:
    """Return the figures without seconds, and title → reason for those that are not drawn."""
    drawn: list[Figure] = []
    undrawn: dict[str, str] = {}
    for part in parts:
        drawn += score_figures(part, tables, scores)
        for benchmark in part.benchmarks:
            identities, why = identity_figure(part, benchmark, lineage)
            if identities:
                drawn.append(identities)
            else:
                undrawn[f"t-SNE of identity vectors (figure 7): {part.title(benchmark)}{part.suffix}"] = why
        trainings = training_figures(part, read_curves(part, lineage))
        drawn += trainings
        if not trainings:
            undrawn[f"Loss of the trainings{part.suffix}"] = "no training curves were found in the store or in MLflow"
    return drawn, undrawn


def lead_figure(content: Content, figures: Sequence[Figure], speed: Sequence[Figure]) -> Figure | None:
    """Return the figure for the top of the page: accuracy against speed, or else the first figure of that benchmark."""
    if content.summary is None:
        return None
    part, benchmark = content.summary.part, content.summary.benchmark
    own = [one for one in (*speed, *figures) if one.name.endswith(f"-{benchmark}{part.suffix}")]
    return next(iter(own), None)


def draw_top(
    content: Content, scores: Scorebook, videos: Videos, baseline: str, folder: Path
) -> tuple[Mapping[str, str], str]:
    """Draw the strip of frames for the top of the page; return label → path, and its caption."""
    if content.summary is None:
        return {}, ""
    return draw_strip(content.summary.part, content.summary.benchmark, scores, videos, baseline, folder)


def unchanged(folder: Path, cells: Iterable[CellResult], question: str = "", compare: bool = True) -> list[Path]:
    """Return the files of the report in `folder` if it is complete and up to date with results and code, else none."""
    stamp = read_json(folder / STAMP) or {}
    files = [folder / name for name in stamp.get("files", ())]
    same = stamp.get("made_from") == made_from(cells, question, compare)
    return files if same and all(file.is_file() for file in files) else []


def check_kept(folder: Path, cells: Iterable[CellResult]) -> None:
    """Raise ReportError if a cell that has a score in the report in `folder` has none any more.

    A cell that the study no longer has may leave its report, but not all cells of its scale and data kind."""
    cells = list(cells)
    done, known = {cell.id for cell in cells if cell.done}, {cell.id for cell in cells}
    groups = {_group(name) for name in known}
    shown = (read_json(folder / STAMP) or {}).get("done", ())
    lost = [name for name in shown if name not in done and (name in known or _group(name) not in groups)]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise ReportError(
            f"{folder}: not replaced, as {len(lost)} of the {len(shown)} cells that it shows with a score have none "
            f"any more: {lost[0]}{more}; run the study again, or, for a report without them, remove it first: "
            f"{shlex.join(['rm', '-r', str(folder)])}"
        )


def _group(name: str) -> str:
    """Return scale and data kind in the id of a cell."""
    return "/".join(name.split("/")[:2])


def made_from(cells: Iterable[CellResult], question: str, compare: bool) -> str:
    """Return the SHA-256 of everything that a report depends on: results, question, options, files of this package."""
    here = Path(__file__).parent
    sources = sorted(path for path in here.rglob("*") if path.suffix in {".py", ".yaml", ".css", ".js", ".html"})
    made = [question, compare, *(cell.to_dict() for cell in cells)]
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode())
    for path in (*sources, claims_file()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
