"""Helpers for the tests of the engine: a small DAVIS 2016 on disk, and stages that do little and say so.

A stage notes every run in the file TOY_LOG of its folder's store, so that tests can count what was really run."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from PIL import Image

from harness.config import Config
from harness.stage import Resources, Stage
from harness.store.local import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.stage import Task

ROOT = Path(__file__).parent.parent
HEIGHT, WIDTH = 48, 64


def make_davis16(root: Path, names: tuple[str, ...] = ("a", "b"), frames: int = 5) -> Path:
    """A square that moves, under `root` in DAVIS 2016's layout; train and val are identical."""
    davis = root / "DAVIS2016"
    lines = []
    for name in names:
        for folder in ("JPEGImages", "Annotations"):
            (davis / folder / "480p" / name).mkdir(parents=True)
        for index in range(frames):
            frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            place = slice(10, 30), slice(10 + 2 * index, 30 + 2 * index)
            frame[place], mask[place] = 200, 255
            cv2.imwrite(str(davis / "JPEGImages" / "480p" / name / f"{index:05d}.jpg"), frame)
            Image.fromarray(mask).save(davis / "Annotations" / "480p" / name / f"{index:05d}.png")
            lines.append(f"/JPEGImages/480p/{name}/{index:05d}.jpg /Annotations/480p/{name}/{index:05d}.png \n")
    lists = davis / "ImageSets" / "480p"
    lists.mkdir(parents=True)
    for split in ("train", "val"):
        (lists / f"{split}.txt").write_text("".join(lines))
    return root


class ToyConfig(Config):
    """What a toy stage does."""

    tag: str = ""
    log: str = ""
    seconds: float = 0.0
    deaths: int = 0
    """Attempts in which the worker kills itself, or does what `crash` says; then it works."""

    fails: bool = False
    crash: Literal["", "segfault", "hang", "memory", "disk"] = ""
    """How it goes wrong: a segmentation fault, a hang in C that no Python handler ends, MemoryError, ENOSPC."""

    prints: str = ""


def toy(log: Path, tag: str, needs: Mapping[str, Stage] | None = None, **options: Any) -> Stage:
    """A stage that notes `tag` in `log` when it runs."""
    resources = options.pop("resources", Resources())
    return Stage(
        name="toy",
        label=f"toy {tag}",
        run="tests.engine:run_toy",
        config=ToyConfig(tag=tag, log=str(log), **options),
        needs=needs or {},
        resources=resources,
    )


def run_toy(task: Task) -> None:
    """Writes `done.txt`."""
    config: ToyConfig = task.config
    with Path(config.log).open("a") as log:
        log.write(f"{config.tag}\n")
    if config.prints:
        os.system(f"echo {config.prints}")
    attempts = task.scratch / "attempts"
    attempts.write_text((attempts.read_text() if attempts.exists() else "") + "x")
    if len(attempts.read_text()) <= config.deaths:
        _CRASHES[config.crash or "kill"]()
    time.sleep(config.seconds)
    task.progress(0.5, "half")
    if config.crash and not config.deaths:
        _CRASHES[config.crash]()
    if config.fails:
        raise ValueError(f"{config.tag} was configured to fail")
    (task.folder / "done.txt").write_text(f"{config.tag} after {sorted(task.needs)}")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segfault() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    """With the interpreter's lock held, so that no thread of this process can run."""
    ctypes.PyDLL(None).sleep(600)


def _memory() -> None:
    bytearray(1 << 60)


def _disk() -> None:
    with Path("/dev/full").open("w") as full:
        full.write("words")


_CRASHES = {"kill": _kill, "segfault": _segfault, "hang": _hang, "memory": _memory, "disk": _disk}


def runs(log: Path) -> list[str]:
    """Tags of the toys that were run, in order."""
    return log.read_text().split() if log.exists() else []


def is_published(store: Store, stage: Stage) -> bool:
    """Whether the store has the stage, whole."""
    return store.find(stage.name, stage.key) is not None
