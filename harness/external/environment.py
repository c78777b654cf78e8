"""The environment variables of a command: the user's own, without what belongs to this Python, to Ray and to conda."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.external.config import Program
from harness.external.sources import Runner

_OURS = ("PYTHON", "RAY_", "TUNE_", "VIRTUAL_ENV", "CONDA_", "__PYVENV_LAUNCHER__", "THP_MEM_ALLOC_ENABLE")
"""Beginnings of names that another interpreter must not see."""

GPU_SWITCHES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def own_settings(program: Program, cpus: int) -> dict[str, str]:
    """Return the variables that are set for a command, the definition's among them.

    Python does not buffer its output, so that lines come when they are printed, and writes no bytecode, so that the
    folder of the method stays as it is."""
    return {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(cpus),
        **{name: value for name, value in program.environment.items() if name not in GPU_SWITCHES},
    }


def command_environment(program: Program, runner: Runner, cpus: int) -> dict[str, str]:
    """Return all variables of a command outside of a container, the GPUs that it may use as this process has them."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    path = [place for place in inherited.get("PATH", os.defpath).split(os.pathsep) if not _is_own(place)]
    settings: Mapping[str, str] = {}
    if runner.prefix is not None:
        settings = {"CONDA_PREFIX": str(runner.prefix)}
    elif runner.python is not None and (runner.python.parent.parent / "pyvenv.cfg").is_file():
        settings = {"VIRTUAL_ENV": str(runner.python.parent.parent)}
    if runner.kind in ("python", "conda") and runner.python is not None:
        path.insert(0, str(runner.python.parent))
    return {**inherited, "PATH": os.pathsep.join(path), **settings, **own_settings(program, cpus)}


def _is_own(place: str) -> bool:
    """Return whether a folder of PATH is that of the virtual environment which the harness runs in."""
    return sys.prefix != sys.base_prefix and Path(place) == Path(sys.prefix) / "bin"
