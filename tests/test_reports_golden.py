"""A report from frozen cells is the frozen report.

After an intended change, `UPDATE_GOLDEN=1 pytest` of this file rewrites the golden files; review the diff."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from harness.datasets.protocol import DAVIS
from harness.results import CellResult
from reports.report import STAMP, write_report

GOLDEN = Path(__file__).with_name("golden") / "reports"
QUESTION = "What does each *part* contribute?"
OFFSETS = {"alpha": 0.05, "beta": -0.05, "gamma": 0.0, "delta": 0.12, "epsilon": -0.12, "zeta": 0.03, "eta": -0.03}


CLASSES = {"youtube-objects": {name: f"{'bird' if name < 'c' else 'cat'}-0001-{name}" for name in OFFSETS}}
"""Benchmark → names of its sequences, if they carry the class."""

SEVERAL = {"davis17-val", "segtrack-v2"}
"""Benchmarks with two objects per sequence."""

ATTRIBUTES = """sequences:
- {name: alpha, attributes: [OCC, FM]}
- {name: beta, attributes: [OCC]}
- {name: gamma, attributes: []}
- {name: delta, attributes: [FM, SV]}
- {name: epsilon, attributes: []}
- {name: zeta, attributes: [SV]}
- {name: eta, attributes: [SV]}
"""


def write_objects(folder: Path, mean: float, names: dict[str, str], several: bool) -> None:
    """Write objects.csv and frames.csv: J falls over eight frames; a second object reaches half as much."""
    objects, frames = ["sequence,object,J_mean"], ["sequence,object,frame,J,F"]
    for name, offset in OFFSETS.items():
        for number in (1, 2) if several else (1,):
            objects.append(f"{names[name]},{number},{(mean + offset) / number:.6f}")
            for index in range(8):
                value = (mean + offset - 0.02 * index) / number
                frames.append(f"{names[name]},{number},{index:05d},{value:.6f},{value:.6f}")
    (folder / "objects.csv").write_text("\n".join(objects) + "\n")
    (folder / "frames.csv").write_text("\n".join(frames) + "\n")


def frozen_cells(folder: Path) -> list[CellResult]:
    """Return the frozen cells, with score files of seven sequences if done, and attributes for those of DAVIS 2016."""
    davis = folder / "data" / "DAVIS2016"
    (davis / "ImageSets/480p").mkdir(parents=True)
    (davis / "ImageSets/480p/val.txt").write_text("")
    (davis / "db_info.yml").write_text(ATTRIBUTES)
    with (GOLDEN / "cells.csv").open(newline="", encoding="utf-8") as file:
        return [frozen_cell(row, index, folder) for index, row in enumerate(csv.DictReader(file))]


def frozen_cell(row: dict[str, str], index: int, folder: Path) -> CellResult:
    """Return the cell of one row of cells.csv, with its score files in `folder`."""
    values = {name: float(text) for name in DAVIS if (text := row.pop(name))}
    numbers = {"seed": int(row.pop("seed")), "sequences": int(row.pop("sequences"))}
    seconds, objects = row.pop("seconds_per_frame"), row.pop("timed_objects")
    omitted, options = row.pop("omitted"), row.pop("options")
    row |= {"score_folder": "", "data_root": str(folder / "data")}
    if row["status"] == "done":
        scores = folder / "scores" / str(index)
        scores.mkdir(parents=True)
        row["score_folder"] = str(scores)
        names = CLASSES.get(row["benchmark"], {name: name for name in OFFSETS})
        several = row["benchmark"] in SEVERAL
        lines = [",".join(["sequence", "objects", *DAVIS])]
        for name, offset in OFFSETS.items():
            texts = (f"{value + offset * (1 + index % 5):.6f}" for value in values.values())
            lines.append(",".join([names[name], "2" if several else "1", *texts]))
        (scores / "sequences.csv").write_text("\n".join(lines) + "\n")
        write_objects(scores, values["J_mean"], names, several)
    return CellResult(
        **row,  # type: ignore[arg-type]  # texts of the remaining columns
        **numbers,  # type: ignore[arg-type]
        values=values,
        options=json.loads(options),
        omitted=(omitted,) if omitted else (),
        seconds_per_frame=float(seconds) if seconds else None,
        timed_objects=int(float(objects)) if objects else None,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    write_report(frozen_cells(folder), "frozen", folder / "report", QUESTION)
    if os.environ.get("UPDATE_GOLDEN"):
        keep(folder / "report")
    return folder / "report"


def keep(report: Path) -> None:
    """Replace the frozen report by this one."""
    for path in (*GOLDEN.glob("*.md"), *GOLDEN.glob("tables/*")):
        path.unlink()
    (GOLDEN / "tables").mkdir(exist_ok=True)
    for path in (*report.glob("*.md"), *report.glob("tables/*.csv"), *(report / name for name in LATEX)):
        shutil.copy(path, GOLDEN / path.relative_to(report))


LATEX = ("tables/table1.tex", "tables/table6.tex", "tables/claims.tex", "tables/coverage.tex")
"""LaTeX tables under test; they show the same values as the other formats."""


def test_pages_equal_the_golden_files(written: Path) -> None:
    for name in ("index.md", "speed.md"):
        assert (written / name).read_text() == (GOLDEN / name).read_text()


def test_csv_tables_equal_the_golden_files(written: Path) -> None:
    made = {path.name: path.read_text() for path in written.glob("tables/*.csv")}
    assert made == {path.name: path.read_text() for path in GOLDEN.glob("tables/*.csv")}


@pytest.mark.parametrize("name", LATEX)
def test_latex_tables_equal_the_golden_files(written: Path, name: str) -> None:
    assert (written / name).read_text() == (GOLDEN / name).read_text()


def test_every_table_of_the_paper_is_written(written: Path) -> None:
    assert {f"table{number}" for number in range(1, 8)} <= {path.stem for path in written.glob("tables/*.csv")}


def test_equal_cells_give_equal_bytes_in_every_file(written: Path, tmp_path: Path) -> None:
    write_report(frozen_cells(tmp_path), "frozen", tmp_path / "report", QUESTION)
    files = {path.relative_to(written) for path in written.rglob("*.*") if path.name != STAMP}
    assert {path.suffix for path in files} == {".md", ".csv", ".tex", ".html", ".svg", ".png", ".js", ""}
    again = tmp_path / "report"
    assert [name for name in sorted(files) if (written / name).read_bytes() != (again / name).read_bytes()] == []
