"""A report from frozen rows is the frozen report. After a wanted change, `UPDATE_GOLDEN=1 pytest` of this file writes
the golden files anew, for the eye to check in the diff."""

import os
from pathlib import Path

import pandas as pd
import pytest

from reports.report import STAMP, write_report
from reports.spec import MEASURES

GOLDEN = Path(__file__).with_name("golden") / "reports"
NUMBERS = (*MEASURES, "seconds_per_frame")
OFFSETS = {"alpha": 0.05, "beta": -0.05, "gamma": 0.0, "delta": 0.12, "epsilon": -0.12, "zeta": 0.03, "eta": -0.03}


def write_objects(folder: Path, mean: float) -> None:
    """objects.csv and frames.csv: J falls over eight frames."""
    objects, frames = ["sequence,object,J_mean"], ["sequence,object,frame,J,F"]
    for name, offset in OFFSETS.items():
        objects.append(f"{name},1,{mean + offset:.6f}")
        for index in range(8):
            value = mean + offset - 0.02 * index
            frames.append(f"{name},1,{index:05d},{value:.6f},{value:.6f}")
    (folder / "objects.csv").write_text("\n".join(objects) + "\n")
    (folder / "frames.csv").write_text("\n".join(frames) + "\n")


def frozen_rows(folder: Path) -> pd.DataFrame:
    """The frozen rows, with scores of two sequences for each that is done."""
    rows = pd.read_csv(GOLDEN / "rows.csv", na_values=dict.fromkeys(NUMBERS, ""), keep_default_na=False)
    for place in rows.index[rows["status"] == "done"]:
        scores = folder / "scores" / str(place)
        scores.mkdir(parents=True)
        lines = [
            ",".join([name, "2", *(f"{rows.loc[place, key] + offset * (1 + place % 5):.6f}" for key in MEASURES)])
            for name, offset in OFFSETS.items()
        ]
        (scores / "sequences.csv").write_text("\n".join([",".join(["sequence", "objects", *MEASURES]), *lines]) + "\n")
        write_objects(scores, float(rows.loc[place, "J_mean"]))
        rows.loc[place, "score_folder"] = str(scores)
    return rows


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    write_report(frozen_rows(folder), "frozen", folder / "report")
    return folder / "report"


NAMES = (
    *("index.md", "speed.md", "tables/table6.tex", "tables/claims.tex"),
    *(f"tables/{name}.csv" for name in ("table1", "table3", "table6", "table7", "omega")),
    *(f"tables/{name}.csv" for name in ("text-concat", "text-crop", "text-joint", "table1-speed", "speed")),
    *(
        f"tables/{name}.csv"
        for name in ("claims", "claims-open", "table6-differences", "omega-differences", "intervals-davis17-val")
    ),
    *("tables/cells-davis17-val.csv", "tables/sequences-davis16-val.csv"),
)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_rows_give_the_frozen_file(written: Path, name: str) -> None:
    golden = GOLDEN / name.replace("/", "-")
    found = (written / name).read_text()
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


def test_every_table_of_the_frozen_report_is_under_test_or_alike_one(written: Path) -> None:
    made = {path.relative_to(written).as_posix() for path in written.rglob("*.csv")}
    alike = {"cells-davis16-val", "cells-davis17-foreground", "sequences-davis17-val", "sequences-davis17-foreground"}
    alike |= {f"{name}-differences" for name in ("table7", "text-concat", "text-crop", "text-joint")}
    alike |= {"intervals-davis16-val", "intervals-davis17-foreground", "table3-speed"}
    assert made - set(NAMES) == {f"tables/{name}.csv" for name in alike}


def test_the_same_rows_give_the_same_bytes_figures_and_page_too(written: Path, tmp_path: Path) -> None:
    write_report(frozen_rows(tmp_path), "frozen", tmp_path / "report")
    files = {path.relative_to(written) for path in written.rglob("*.*") if path.name != STAMP}
    assert {path.suffix for path in files} == {".md", ".csv", ".tex", ".html", ".svg", ".png"}
    again = tmp_path / "report"
    assert [name for name in sorted(files) if (written / name).read_bytes() != (again / name).read_bytes()] == []
