"""Configs of the stages that run a command: everything of it that can change a result, and no path of this machine.

Interpreters, folders and weight files travel as `Data`, whose digests are in the key."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.config import Config

Scalar = bool | int | float | str
"""Value of an option."""

Per = Literal["sequence", "benchmark"]
"""What one call of the command segments."""

Frames = Literal["stored", "jpg", "png"]
"""Format of the frames that the command gets: as the dataset stores them, or all as JPEG or PNG."""


LateObjects = Literal["separate", "given"]
"""How objects that appear later are segmented: by a call for each group that starts in one frame, on the frames from
there on, or by one call that is given their masks too."""


class Program(Config):
    """A command and what is filled into it."""

    template: str
    """The command as it is written in the definition, placeholders in braces."""

    shell: bool = False
    """Whether `sh -c` runs the command. Otherwise it is split into arguments as a shell would, and no shell runs."""

    runner: Literal["python", "conda", "container", "none"] = "none"
    """What `{python}` is, and where the command runs."""

    options: Mapping[str, Scalar] = Field(default_factory=dict)
    """Values of the placeholders that are the method's own: those that the template names."""

    environment: Mapping[str, str] = Field(default_factory=dict)
    """Environment variables that the definition sets."""

    worker: str = ""
    """SHA-256 of `worker_file()` if the template names `{worker}`; else empty, as the worker does not matter then."""


class SegmentConfig(Config):
    """Segmenting one sequence, or all of a benchmark in one call; timing takes the same."""

    program: Program
    per: Per = "sequence"
    frames: Frames = "stored"
    late_objects: LateObjects = "separate"
    """`separate` where no object appears later, so that it makes no difference there."""

    seed: int | None = None
    """Value of `{seed}`; None if the template does not name it, so that all seeds share one result."""


class TrainConfig(Config):
    """Training on all videos of a split."""

    program: Program
    frames: Frames = "stored"
    seed: int | None = None
    """Value of `{seed}`; None if the template does not name it."""


class PickConfig(Config):
    """The masks of one sequence out of a call for a whole benchmark."""

    sequence: str


def worker_file() -> Path:
    """Return the stand-alone `harness-worker.py` that `{worker}` stands for; no module of the harness imports it."""
    return Path(inspect.getfile(Program)).with_name("harness-worker.py")
