"""The shortest complete run with all real parts: rendered data, trained networks, Ray, MLflow, scores, tables."""

import os
import subprocess
import sys
from pathlib import Path

from harness.tracking import read_results

ROOT = Path(__file__).parent.parent


def smoke(home: Path) -> str:
    command = [sys.executable, "-m", "harness.run", "studies/smoke.yaml", "--home", str(home)]
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "RAY_AUTH_MODE")
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_smoke_study_fills_every_cell_and_runs_nothing_again(tmp_path: Path) -> None:
    first = smoke(tmp_path)
    assert "2/2 cells filled" in first
    results = {one.variant: one for one in read_results(tmp_path, "smoke")}
    assert {one.status for one in results.values()} == {"done"}
    assert all(one.seconds_per_frame is not None for one in results.values())
    assert 0 < results["first-mask"].values["J_mean"] < 0.5
    assert results["full"].values["J_mean"] != results["first-mask"].values["J_mean"]
    index = (tmp_path / "reports" / "smoke" / "index.md").read_text()
    assert "not a benchmark result" in index
    assert len(list((tmp_path / "reports" / "smoke" / "sheets" / "segtrack-v2").glob("*.png"))) == 4
    again = smoke(tmp_path)
    assert "starting Ray" not in again
    assert "2/2 cells filled" in again
    assert (tmp_path / "reports" / "smoke" / "index.md").read_text() == index
