"""Time and memory of check and score for a long video, for many objects, and for a benchmark of the size of KITTI MOTS.

    pytest tests/benchmarks/bench_score_scale.py --benchmark-enable --benchmark-columns=min,rounds -s

The masks are made: rectangles that move, at a low resolution, as palette PNG. Every benchmark says frames a second of
processor time, and the megabytes at the peak of a process that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.pixels import write_mask

SIZES = {
    "long": ([10_000], [3], (48, 64)),
    "many objects": ([100], [200], (240, 426)),
    "as KITTI MOTS": (np.diff(np.linspace(0, 8008, 22).round()), np.diff(np.linspace(0, 749, 22).round()), (188, 621)),
}
"""Name → frames of each video, objects of each video, height × width. KITTI MOTS: 21 videos, 8,008 frames, 749 tracks
(Voigtlaender et al., CVPR 2019, table 1)."""

LIFE = 90
"""Frames in which an object is in sight, if they come and go."""

MEASURE = """
import json, sys, time
from pathlib import Path
from harness.datasets import check_sequences, load_protocols
from harness.score import total, write_scores
from harness.score.folders import find_truth, find_videos
from harness.score.processes import score_all

root, counting, seconds = Path(sys.argv[1]), sys.argv[2], {}
protocol = load_protocols()["davis17-val"].model_copy(update={"counting": counting})
def timed(name, function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    seconds[name] = time.process_time() - start
    return result
truth = timed("find truth", find_truth, root / "truth", protocol)
videos, problems, _ = timed("find masks", find_videos, truth, root / "masks")
found = timed("check", check_sequences, truth.sequences.values())
problems |= {one.sequence: one.message for one in found if one.severity == "error"}
assert not problems, problems
scores, failed = timed("score", score_all, videos)
assert not failed, failed
timed("write", write_scores, root / "scores", scores, "objects")
frames = sum(len(video.frames) for video in videos)
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
rates = {name: round(frames / max(taken, 1e-9)) for name, taken in seconds.items()}
print(json.dumps({"frames": frames, "objects": sum(len(one.object_ids) for one in scores), "megabytes": peak,
                  "frames a second": rates}))
"""


def write_video(root: Path, name: str, frames: int, objects: int, size: tuple[int, int], *, late: bool) -> None:
    """Write a video of rectangles that bounce off the borders; `late`: they come one after another and leave again."""
    rng = np.random.default_rng(0)
    room = np.array(size) - 20
    columns = int(np.ceil(np.sqrt(objects * room[1] / room[0])))
    grid = np.stack(np.divmod(np.arange(objects), columns), axis=1)  # the first mask must show every object
    places, speeds = grid * room / (-(-objects // columns), columns), rng.normal(0, 1, (objects, 2))
    sides = rng.integers(4, 16, (objects, 2))
    starts = np.sort(rng.integers(0, frames // 2, objects)) if late else np.zeros(objects, int)
    starts[0] = 0
    for side in ("truth", "masks"):
        (root / side / name).mkdir(parents=True)
    for frame in range(frames):
        truth, mask = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        for index in range(objects):
            if late and not starts[index] <= frame <= starts[index] + LIFE:
                continue
            y, x = np.abs((places[index] + speeds[index] * frame) % (2 * room) - room).astype(int)
            height, width = sides[index]
            truth[y : y + height, x : x + width] = index + 1
            if (frame + index) % 11:
                mask[y + 1 : y + 1 + height, x : x + width] = index + 1
        write_mask(root / "truth" / name / f"{frame:06d}.png", truth)
        write_mask(root / "masks" / name / f"{frame:06d}.png", mask)


@pytest.mark.parametrize("kind", SIZES)
def test_scale(benchmark, tmp_path: Path, kind: str) -> None:
    frames, objects, size = SIZES[kind]
    late = kind == "as KITTI MOTS"
    for number, (length, count) in enumerate(zip(frames, objects, strict=True)):
        write_video(tmp_path, f"{number:04d}", int(length), int(count), size, late=late)
    command = [sys.executable, "-c", MEASURE, str(tmp_path), "after-first-mask" if late else "first-frame"]
    done = benchmark.pedantic(subprocess.run, (command,), {"capture_output": True, "text": True}, rounds=1)
    assert not done.returncode, done.stderr[-2000:]
    benchmark.extra_info |= json.loads(done.stdout)
    print(kind, done.stdout)
