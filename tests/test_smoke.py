"""The shortest whole way with all the real parts: data rendered, networks trained, Ray, MLflow, scores, tables."""

import os
import subprocess
import sys
from pathlib import Path

from harness.tracking.sync import read_rows

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
    rows = read_rows(tmp_path, "smoke").set_index("variant")
    assert set(rows.status) == {"done"}
    assert (rows.seconds_per_frame >= 0).all()
    assert 0 < rows.J_mean["first-mask"] < 0.5
    assert rows.J_mean["full"] != rows.J_mean["first-mask"]
    index = (tmp_path / "reports" / "smoke" / "index.md").read_text()
    assert "not a benchmark result" in index
    assert len(list((tmp_path / "reports" / "smoke" / "sheets" / "davis16-val").glob("*.png"))) == 4
    again = smoke(tmp_path)
    assert "starting Ray" not in again
    assert "2/2 cells filled" in again
    assert (tmp_path / "reports" / "smoke" / "index.md").read_text() == index
