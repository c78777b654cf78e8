"""Time of a whole report from 2,000 runs in MLflow.

    pytest tests/benchmarks/bench_reports.py --benchmark-enable

Twenty-five variants on four benchmarks with twenty seeds, each run with as many parameters as DIPNet has options; each
cell has scores of twenty videos with seventy frames. Making the runs takes some minutes (BENCH_REPORTS_HOME names a
folder to keep them in). The timing covers the report command from start to end. Its processor time, which does not
depend on other load, is reported as `cpu_seconds`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.protocol import DAVIS
from harness.results import CellResult

STUDY = "bench"
VARIANTS = (
    *("first-mask", "full", "no-crop", "ipn-only", "ssn-only", "no-one-shot", "pretraining-only", "concat", "separate"),
    *(f"omega-{value:.2f}" for value in (0, 0.25, 0.5, 0.75, 0.95, 1)),
    *(f"option-{index}" for index in range(10)),
)
BENCHMARKS = {"davis16-val": 1, "davis17-val": 3, "davis17-foreground": 1, "segtrack-v2": 2}
SEEDS, VIDEOS, FRAMES = 20, 20, 70
PARAMS = {f"option.number{place}": str(place) for place in range(189)}


def make_scores(folder: Path, objects: int, frames: Path, rng: np.random.Generator) -> dict[str, float]:
    """Write the score files of one cell; `frames`: a `frames.csv` that all cells of a benchmark share."""
    folder.mkdir(parents=True)
    values = rng.beta(4, 2, size=(VIDEOS, len(DAVIS)))
    head = ",".join(["sequence", "objects", "frames", *DAVIS, "problem"])
    lines = [f"video{v:02d},{objects},{FRAMES},{','.join(f'{x:.17g}' for x in values[v])}," for v in range(VIDEOS)]
    (folder / "sequences.csv").write_text("\n".join([head, *lines]) + "\n")
    lines = [f"video{v:02d},{o + 1},{values[v, 0]:.17g}" for v in range(VIDEOS) for o in range(objects)]
    (folder / "objects.csv").write_text("\n".join(["sequence,object,J_mean", *lines]) + "\n")
    os.link(frames, folder / "frames.csv")
    return dict(zip(DAVIS, values.mean(axis=0).tolist(), strict=True))


def make_frames(path: Path, objects: int, rng: np.random.Generator) -> Path:
    """Write a `frames.csv`."""
    lines = [
        f"video{v:02d},{o + 1},{f:05d},{rng.random():.17g},{rng.random():.17g}"
        for v in range(VIDEOS)
        for o in range(objects)
        for f in range(FRAMES)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["sequence,object,frame,J,F", *lines]) + "\n")
    return path


def make_runs(home: Path) -> int:
    """Write the runs of 2,000 cells to the MLflow database of `home` and return their number."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    from harness.tracking.run_spec import metrics_of, tags_of

    rng = np.random.default_rng(0)
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.create_experiment(STUDY, artifact_location=(home / "mlartifacts").as_uri())
    client.create_run(experiment, run_name=STUDY, tags={"role": "study", "id": STUDY})
    count = 0
    for benchmark, objects in BENCHMARKS.items():
        frames = make_frames(home / "frames" / f"{benchmark}.csv", objects, rng)
        for variant in VARIANTS:
            omega = variant.removeprefix("omega-")
            options = {"omega": float(omega)} if omega != variant else {"name": variant}
            for seed in range(SEEDS):
                folder = home / "store" / "score" / f"{count:08d}"
                numbers = make_scores(folder, objects, frames, rng)
                result = CellResult(
                    study=STUDY,
                    variant=variant,
                    method="dipnet",
                    method_label="DIPNet",
                    benchmark=benchmark,
                    benchmark_title=benchmark,
                    seed=seed,
                    scale="mini",
                    data_kind="embedded",
                    protocol=benchmark * 4,
                    status="done",
                    options={} if variant == "full" else options,
                    sequences=VIDEOS,
                    values=numbers,
                    seconds_per_frame=0.1,
                    hardware="2 cores",
                    score_folder=str(folder),
                )
                tags = tags_of(result) | {"role": "cell", "id": result.id, "order": str(count)}
                run = client.create_run(experiment, run_name=f"{variant} {benchmark} {seed}", tags=tags).info.run_id
                metrics = [Metric(name, value, 0, 0) for name, value in metrics_of(result).items()]
                client.log_batch(run, metrics=metrics, params=[Param(*pair) for pair in PARAMS.items()])
                count += 1
    return count


def processor_time() -> float:
    """Return the processor seconds of the processes started from here."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.benchmark(group="a report of 2,000 runs")
def test_report_of_2000_runs(benchmark, tmp_path_factory):
    home = Path(os.environ.get("BENCH_REPORTS_HOME") or tmp_path_factory.mktemp("runs"))
    if not (home / "mlflow.db").exists():
        assert make_runs(home) == 2000
    command = [sys.executable, "-m", "reports", STUDY, "--home", str(home)]

    def again() -> tuple[tuple, dict]:
        subprocess.run(["rm", "-rf", str(home / "reports")], check=True)
        return (command,), {"check": True}

    before = processor_time()
    benchmark.pedantic(subprocess.run, setup=again, rounds=1)
    benchmark.extra_info["cpu_seconds"] = round(processor_time() - before, 1)
    page = (home / "reports" / STUDY / "index.md").read_text()
    assert "Cells filled: 2000/2000." in page
