"""Helpers for the tests of the whole command: a method installed from elsewhere, and the command in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.engine import ROOT

METHOD = '''
"""The least that one must write to be a method: here, the first mask after some sleep."""
import time
from pathlib import Path
from harness.config import Config
from harness.datasets.pixels import write_mask
from harness.method import CellPlan
from harness.stage import Stage

class SleepyConfig(Config):
    seconds: float = 0.0
    fails: str = ""
    log: str = ""
    """File that the name of every video that is begun is added to."""
    gate: str = ""
    """File that is waited for."""
    big: str = ""
    """Video whose result is BIG bytes."""

BIG = 64_000_000

class Sleepy:
    label = "sleepy"
    config = SleepyConfig
    def plan(self, request):
        return CellPlan(segment={
            name: Stage(name="segment", label=f"segment {name}", run="sleepy:segment", config=request.config,
                        data={"video": data})
            for name, data in request.sequences.items()})

METHOD = Sleepy()

def segment(task):
    config, video = task.config, task.data["video"]
    if config.log:
        with open(config.log, "a") as log:
            log.write(f"{video.name}\\n")
    while config.gate and not Path(config.gate).exists():
        time.sleep(0.05)
    time.sleep(config.seconds)
    if video.name == config.fails:
        print("words in the log")
        raise ValueError(f"{video.name} is too hard")
    if video.name == config.big:
        (task.folder / "big").write_bytes(bytes(BIG))
    (task.folder / "masks").mkdir()
    for index in range(len(video)):
        write_mask(task.folder / "masks" / f"{video.frame_name(index)}.png", video.mask(0))
'''


def install(folder: Path) -> None:
    """The method, as pip would install it, in a folder for PYTHONPATH."""
    info = folder / "sleepy-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "sleepy.py").write_text(METHOD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.methods]\nsleepy = sleepy:METHOD\n")


def start(place: Path, study: str = "try.yaml", home: str = "home", cpus: int = 2) -> subprocess.Popen[str]:
    """The command on `place/data`, in a session of its own, as from a shell; the method lies in `place/plugin`."""
    command = [sys.executable, "-m", "harness.run", str(place / study), "--data", str(place / "data")]
    return subprocess.Popen(
        [*command, "--home", str(place / home), "--cpus", str(cpus)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(place / "plugin")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it prints up to a line with these words, or all of it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            break
    return "".join(lines)


def published(place: Path, home: str = "home") -> dict[str, int]:
    """Key → inode of the manifest: a folder that is published again has another one."""
    return {path.parent.name: path.stat().st_ino for path in _manifests(place / home)}


def labels(place: Path, home: str = "home") -> set[str]:
    """Return the labels of the published stages."""
    return {json.loads(path.read_text())["label"] for path in _manifests(place / home)}


def wait_for(place: Path, process: subprocess.Popen[str], count: int) -> None:
    """Wait until so many stages are published, or the process has ended."""
    while len(published(place)) < count and process.poll() is None:
        time.sleep(0.05)


def _manifests(home: Path) -> list[Path]:
    found = (home / "store").glob("*/*/manifest.json")
    return [path for path in found if path.parent.parent.name not in ("work", "damaged")]
