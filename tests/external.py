"""Helpers for the tests of commands of others: tasks, and small programs that stand for a method."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.datasets import Sequence
from harness.datasets.pixels import write_frame, write_mask
from harness.external import stages
from harness.external.config import Program, SegmentConfig
from harness.external.sources import Files, Repository, Runner
from harness.stage import Task

HEIGHT, WIDTH = 24, 32

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image

frames, first, masks = map(Path, sys.argv[1:4])
names = sorted(path.stem for path in frames.iterdir())
mask = Image.open(first)
masks.mkdir(parents=True, exist_ok=True)

def save(name, image=mask, folder=masks):
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{name}.png")

"""
"""Beginning of a program that is called with frames, first mask and the folder for masks."""

COPIES = "for name in names: save(name)\n"


def make_video(folder: Path, ids: tuple[int, ...] = (1, 2), frames: int = 5, name: str = "dogs") -> Sequence:
    """A video of squares that move, with the whole truth."""
    folder.mkdir(parents=True)
    images, masks = [], []
    for index in range(frames):
        frame, mask = np.full((HEIGHT, WIDTH, 3), 60, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        for band, value in enumerate(ids):
            place = slice(1 + 7 * band, 7 + 7 * band), slice(3 + 2 * index, 11 + 2 * index)
            frame[place], mask[place] = 100 + 40 * band, value
        images.append(folder / f"{index:05d}.jpg")
        masks.append(folder / f"{index:05d}.png")
        write_frame(images[-1], frame)
        write_mask(masks[-1], mask)
    return Sequence(name=name, frames=tuple(images), masks=tuple(masks), object_ids=ids)


def python_runner() -> Runner:
    runner = Runner(kind="python", python=Path(sys.executable))
    return Runner(kind="python", python=Path(sys.executable), digest=runner.identity()[0])


def make_task(folder: Path, config: Any, *, needs: dict[str, Path] | None = None, **data: Any) -> Task:
    """A task in a folder, whose command is run by this Python."""
    for name in ("folder", "scratch"):
        (folder / name).mkdir(parents=True)
    limits = {"time_limit": data.pop("time_limit")} if "time_limit" in data else {}
    common = {
        "runner": python_runner(),
        "repository": Repository(path=None, digest=""),
        "files": Files(paths=(), digests=()),
    }
    return Task(
        folder=folder / "folder",
        scratch=folder / "scratch",
        config=config,
        needs=needs or {},
        data=common | data,
        **limits,
    )


def script(folder: Path, code: str) -> str:
    """Write a program that is called with frames, first mask and masks; return the command that calls it."""
    path = folder / "method.py"
    path.write_text(PROGRAM + code)
    return f"{{python}} {path} {{frames}} {{first_mask}} {{masks}}"


def segment_config(template: str, **options: Any) -> SegmentConfig:
    program = {name: options.pop(name) for name in ("shell", "options", "environment", "worker") if name in options}
    return SegmentConfig(program=Program(template=template, runner="python", **program), **options)


def run(folder: Path, code: str, video: Sequence | None = None, **options: Any) -> Task:
    """Segment with a program that begins as PROGRAM and goes on with `code`; return its task."""
    folder.mkdir(exist_ok=True)
    limit = {"time_limit": options.pop("time_limit")} if "time_limit" in options else {}
    video = make_video(folder / "data") if video is None else video
    task = make_task(folder / "task", segment_config(script(folder, code), **options), video=video, **limit)
    stages.segment(task)
    return task


def read_all(folder: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    return {path.stem: read(path) for path in sorted(folder.iterdir())}


def mark() -> str:
    """A number of seconds to sleep that no other process has."""
    return f"{300 + time.time_ns() % 10**9}.{os.getpid()}"


def alive(mark: str) -> list[str]:
    """Processes that have this text among their arguments and have not ended."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line, state = (place / "cmdline").read_bytes(), (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in line and state != "Z":
            found.append(place.name)
    return found


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()
