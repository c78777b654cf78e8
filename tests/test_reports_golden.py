"""A report from frozen rows is the frozen report. After a wanted change, `UPDATE_GOLDEN=1 pytest` of this file writes
the golden files anew, for the eye to check in the diff."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from reports.inputs.spec import MEASURES
from reports.report import STAMP, write_report

GOLDEN = Path(__file__).with_name("golden") / "reports"
NUMBERS = (*MEASURES, "seconds_per_frame", "timed_objects")
OFFSETS = {"alpha": 0.05, "beta": -0.05, "gamma": 0.0, "delta": 0.12, "epsilon": -0.12, "zeta": 0.03, "eta": -0.03}


CLASSES = {"youtube-objects": {name: f"{'bird' if name < 'c' else 'cat'}-0001-{name}" for name in OFFSETS}}
"""Benchmark → how its sequences are called, where their names say something."""

SEVERAL = {"davis17-val", "segtrack-v2"}
"""Benchmarks with two objects a sequence."""

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
    """objects.csv and frames.csv: J falls over eight frames; a second object reaches half as much."""
    objects, frames = ["sequence,object,J_mean"], ["sequence,object,frame,J,F"]
    for name, offset in OFFSETS.items():
        for number in (1, 2) if several else (1,):
            objects.append(f"{names[name]},{number},{(mean + offset) / number:.6f}")
            for index in range(8):
                value = (mean + offset - 0.02 * index) / number
                frames.append(f"{names[name]},{number},{index:05d},{value:.6f},{value:.6f}")
    (folder / "objects.csv").write_text("\n".join(objects) + "\n")
    (folder / "frames.csv").write_text("\n".join(frames) + "\n")


def frozen_rows(folder: Path) -> pd.DataFrame:
    """The frozen rows, with scores of seven sequences for each that is done, and attributes of those of DAVIS 2016."""
    rows = pd.read_csv(GOLDEN / "rows.csv", na_values=dict.fromkeys(NUMBERS, ""), keep_default_na=False)
    davis = folder / "data" / "DAVIS2016"
    (davis / "ImageSets/480p").mkdir(parents=True)
    (davis / "ImageSets/480p/val.txt").write_text("")
    (davis / "db_info.yml").write_text(ATTRIBUTES)
    rows["data_root"] = str(folder / "data")
    for place in rows.index[rows["status"] == "done"]:
        scores = folder / "scores" / str(place)
        scores.mkdir(parents=True)
        benchmark = rows.loc[place, "benchmark"]
        names = CLASSES.get(benchmark, {name: name for name in OFFSETS})
        count = 2 if benchmark in SEVERAL else 1
        lines = [
            ",".join(
                [names[name], str(count), *(f"{rows.loc[place, m] + offset * (1 + place % 5):.6f}" for m in MEASURES)]
            )
            for name, offset in OFFSETS.items()
        ]
        (scores / "sequences.csv").write_text("\n".join([",".join(["sequence", "objects", *MEASURES]), *lines]) + "\n")
        write_objects(scores, float(rows.loc[place, "J_mean"]), names, benchmark in SEVERAL)
        rows.loc[place, "score_folder"] = str(scores)
    return rows


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    write_report(frozen_rows(folder), "frozen", folder / "report")
    if os.environ.get("UPDATE_GOLDEN"):
        keep(folder / "report")
    return folder / "report"


def keep(report: Path) -> None:
    """Makes the frozen report what this one is."""
    for path in (*GOLDEN.glob("*.md"), *GOLDEN.glob("tables/*")):
        path.unlink()
    (GOLDEN / "tables").mkdir(exist_ok=True)
    for path in (*report.glob("*.md"), *report.glob("tables/*.csv"), *(report / name for name in LATEX)):
        shutil.copy(path, GOLDEN / path.relative_to(report))


LATEX = ("tables/table1.tex", "tables/table6.tex", "tables/claims.tex", "tables/coverage.tex")
"""Of the LaTeX tables, which are made of the same values as the others, those under test."""


def test_the_pages_are_the_frozen_ones(written: Path) -> None:
    for name in ("index.md", "speed.md"):
        assert (written / name).read_text() == (GOLDEN / name).read_text()


def test_every_table_is_the_frozen_one(written: Path) -> None:
    made = {path.name: path.read_text() for path in written.glob("tables/*.csv")}
    assert made == {path.name: path.read_text() for path in GOLDEN.glob("tables/*.csv")}


@pytest.mark.parametrize("name", LATEX)
def test_tables_to_paste_are_the_frozen_ones(written: Path, name: str) -> None:
    assert (written / name).read_text() == (GOLDEN / name).read_text()


def test_all_tables_of_the_paper_are_there(written: Path) -> None:
    assert {f"table{number}" for number in range(1, 8)} <= {path.stem for path in written.glob("tables/*.csv")}


def test_the_same_rows_give_the_same_bytes_figures_and_page_too(written: Path, tmp_path: Path) -> None:
    write_report(frozen_rows(tmp_path), "frozen", tmp_path / "report")
    files = {path.relative_to(written) for path in written.rglob("*.*") if path.name != STAMP}
    assert {path.suffix for path in files} == {".md", ".csv", ".tex", ".html", ".svg", ".png"}
    again = tmp_path / "report"
    assert [name for name in sorted(files) if (written / name).read_bytes() != (again / name).read_bytes()] == []
