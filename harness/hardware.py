"""What this machine has, and what it is called."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


@cache
def gpu_names() -> tuple[str, ...]:
    """Return the names of the NVIDIA GPUs that this process may use, as nvidia-smi reports them."""
    command = ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):  # no NVIDIA driver, or none that works
        return ()
    found = [[part.strip() for part in line.split(",", 2)] for line in done.stdout.splitlines() if line.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not found:
        return tuple(name for _, _, name in found)
    chosen = [entry.strip() for entry in visible.split(",") if entry.strip() not in ("", "-1")]
    return tuple(
        next((name for index, uuid, name in found if entry == index or uuid.startswith(entry)), found[0][2])
        for entry in chosen
    )


def describe_hardware(*, gpu: bool) -> str:
    """Return the GPU, if one is used, the CPU and its cores on one line."""
    cpu = f"{_cpu_name()}, {cores()} cores"
    return f"{gpu_names()[0]} ({cpu})" if gpu and gpu_names() else cpu


@cache
def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def code_revision() -> str:
    """Return the git revision of the project, with `+changes` for uncommitted ones; empty outside a checkout."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
