"""How fast the scorer is, beside the official evaluator and vos-benchmark where they can be imported.

    pytest tests/benchmarks/bench_score.py --benchmark-enable [--benchmark-columns=min,mean,rounds]

Put checkouts of davisvideochallenge/davis2017-evaluation and hkchengrex/vos-benchmark on PYTHONPATH to have them timed
on the same masks in the same run; they need scikit-image, scipy and tqdm. Every benchmark says milliseconds a frame."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np
import pytest

from harness.datasets import load_protocols
from harness.datasets.pixels import write_mask
from harness.score.folders import find_truth, find_videos
from harness.score.processes import score_all
from harness.score.tables import total

HEIGHT, WIDTH = 480, 854
FRAMES = [69] * 11 + [68] * 9
OBJECTS = [2] * 10 + [3] * 10
PROTOCOL = load_protocols()["davis17-val"]


def draw(rng_state, frame, wobble):
    """Objects as blobs with an uneven outline that drift; `wobble` (pixels) tells a prediction from the truth."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    for index, (x, y, dx, dy, radius, phases) in enumerate(rng_state, start=1):
        waves = sum(np.sin((k + 2) * angles + phase + 0.05 * frame) / (k + 2) for k, phase in enumerate(phases))
        reach = radius * (1 + 0.35 * waves) + wobble * np.sin(9 * angles + frame)
        points = np.stack([x + dx * frame + reach * np.cos(angles), y + dy * frame + 0.8 * reach * np.sin(angles)], 1)
        cv2.fillPoly(mask, [np.round(points + wobble).astype(np.int32)], index)
    return mask


@pytest.fixture(scope="session")
def masks(tmp_path_factory):
    """20 sequences, 1,371 frames of 854×480, 50 objects, palette PNG, in the official layout; noise in one more."""
    root = tmp_path_factory.mktemp("score")
    rng = np.random.default_rng(0)
    names = [f"video{number:02d}" for number in range(len(FRAMES))]
    for name, frames, objects in zip(names, FRAMES, OBJECTS, strict=True):
        state = [
            (
                *rng.uniform((150, 120), (700, 360)),
                *rng.uniform(-1.5, 1.5, 2),
                rng.uniform(45, 130),
                rng.uniform(0, 6, 4),
            )
            for _ in range(objects)
        ]
        for frame in range(frames):
            write(root / "Annotations/480p" / name, frame, draw(state, frame, 0))
            write(root / "results" / name, frame, draw(state, frame, 2))
            picture = root / "JPEGImages/480p" / name / f"{frame:05d}.jpg"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.touch()  # the official evaluator counts them
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("\n".join(names) + "\n")
    for frame in range(12):
        write(root / "noise/truth/noise", frame, rng.integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8))
        write(root / "noise/results/noise", frame, rng.integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8))
    return root


def write(folder, frame, mask):
    folder.mkdir(parents=True, exist_ok=True)
    write_mask(folder / f"{frame:05d}.png", mask)


def run(truth, prediction, jobs=1):
    videos, problems, _ = find_videos(find_truth(truth, PROTOCOL), prediction)
    scores, failed = score_all(videos, jobs)
    assert not problems
    assert not failed
    return total(scores, PROTOCOL.averaging)


def timed(benchmark, function, *arguments, frames, rounds=3):
    result = benchmark.pedantic(function, arguments, rounds=rounds)
    if benchmark.stats is not None:
        benchmark.extra_info["milliseconds a frame"] = benchmark.stats["min"] / frames * 1000
    return result


@pytest.mark.parametrize("jobs", [1, 2])
def test_ours(benchmark, masks, jobs):
    found = timed(benchmark, run, masks / "Annotations/480p", masks / "results", jobs, frames=sum(FRAMES))
    assert 0.5 < found["JF_mean"] < 1


def test_two_processes_against_one(benchmark, masks):
    """How many times as fast two are: by turns, the medians, since a shared machine is not equally fast for long."""
    seconds = {1: [], 2: []}

    def by_turns():
        for jobs, taken in seconds.items():
            start = perf_counter()
            run(masks / "Annotations/480p", masks / "results", jobs)
            taken.append(perf_counter() - start)

    benchmark.pedantic(by_turns, rounds=15, warmup_rounds=1)
    benchmark.extra_info["one process ÷ two"] = median(seconds[1]) / median(seconds[2])


def test_ours_on_noise(benchmark, masks):
    timed(benchmark, run, masks / "noise/truth", masks / "noise/results", frames=12)


def test_memory_of_one_process(benchmark, masks):
    """Megabytes at the peak, of the whole command (Linux; getrusage would count the parent in)."""
    peak = "from pathlib import Path\nprint(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    code = f"from harness.cli.main import main\nimport sys\nmain(['score', *sys.argv[1:]])\n{peak}"
    options = ["--truth", masks / "Annotations/480p", "--pred", masks / "results", "--protocol", "davis17-val"]
    command = [sys.executable, "-c", code, *map(str, options), "--jobs", "1"]
    done = benchmark.pedantic(
        subprocess.run, (command,), {"capture_output": True, "text": True, "check": True}, rounds=1
    )
    benchmark.extra_info["megabytes"] = int(done.stdout.split()[-1]) // 1024


@pytest.mark.skipif(not importlib.util.find_spec("davis2017"), reason="davis2017-evaluation is not on PYTHONPATH")
def test_official(benchmark, masks):
    from davis2017.evaluation import DAVISEvaluation

    def evaluate():
        return DAVISEvaluation(str(masks), "semi-supervised", "val").evaluate(str(masks / "results"))

    found = timed(benchmark, evaluate, frames=sum(FRAMES), rounds=1)
    ours = run(masks / "Annotations/480p", masks / "results")
    official = [np.mean(found[measure][key]) for measure in "JF" for key in "MRD"]
    assert list(ours.values())[:6] == pytest.approx(official, abs=1e-9)


@pytest.mark.skipif(not importlib.util.find_spec("davis2017"), reason="davis2017-evaluation is not on PYTHONPATH")
def test_official_on_noise(benchmark, masks):
    from davis2017.metrics import db_eval_boundary, db_eval_iou
    from PIL import Image

    def evaluate():
        sides = [
            np.stack(
                [np.asarray(Image.open(path)) for path in sorted((masks / "noise" / side / "noise").iterdir())[1:-1]]
            )
            for side in ("truth", "results")
        ]
        for index in (1, 2, 3):
            truth, prediction = (side == index for side in sides)
            db_eval_iou(truth, prediction)
            db_eval_boundary(truth, prediction)

    timed(benchmark, evaluate, frames=12, rounds=1)


@pytest.mark.skipif(not importlib.util.find_spec("vos_benchmark"), reason="vos-benchmark is not on PYTHONPATH")
@pytest.mark.parametrize("jobs", [1, 2])
def test_vos_benchmark(benchmark, masks, jobs):
    from vos_benchmark.benchmark import benchmark as evaluate

    options = {"num_processes": jobs, "verbose": False}
    arguments = ([str(masks / "Annotations/480p")], [str(masks / "results")])
    benchmark.pedantic(evaluate, arguments, options, rounds=1)
    if benchmark.stats is not None:
        benchmark.extra_info["milliseconds a frame"] = benchmark.stats["min"] / sum(FRAMES) * 1000
    Path(masks / "results/results.csv").unlink()
