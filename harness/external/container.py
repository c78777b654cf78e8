"""The arguments that run a command in a container, with the same paths inside as outside."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.external.sources import Runner

_SHARED_MEMORY = "4g"
"""Size of /dev/shm: loaders of PyTorch share their batches there, and docker's own 64 MB are too little."""


def in_container(
    runner: Runner,
    argv: list[str],
    folder: Path,
    settings: Mapping[str, str],
    *,
    written: Iterable[Path],
    read: Iterable[Path],
    gpus: str | None,
) -> tuple[list[str], tuple[str, ...]]:
    """Return the arguments that run `argv` in the runner's container, and those that remove the container.

    `settings`: environment variables to set. `written`, `read`: folders and files that are there, to write or only to
    read. `gpus`: numbers with commas; empty for all, None for none."""
    assert runner.engine is not None
    engine, kind = str(runner.engine), runner.engine.name
    if kind in ("apptainer", "singularity"):
        binds = [f"{path}:{path}" for path in written] + [f"{path}:{path}:ro" for path in read]
        return [
            *(engine, "exec", "--pwd", str(folder)),
            *(word for bind in binds for word in ("--bind", bind)),
            *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
            *(["--nv"] if gpus is not None else []),
            *(runner.container, *argv),
        ], ()
    name = f"vos-harness-{os.getpid()}-{secrets.token_hex(4)}"
    mounts = [_mount(path) for path in written] + [f"{_mount(path)},readonly" for path in read]
    rootless = kind == "podman" and os.getuid() != 0  # whose root inside is the user outside
    user = ["--userns=keep-id"] if rootless else ["--user", f"{os.getuid()}:{os.getgid()}"]
    started = [
        *(engine, "run", "--rm", "--init", "--name", name, *user, "--shm-size", _SHARED_MEMORY, "-w", str(folder)),
        *(word for mount in mounts for word in ("--mount", mount)),
        *(word for one, value in {"HOME": "/tmp", **settings}.items() for word in ("--env", f"{one}={value}")),
        *(_gpu_options(kind, gpus) if gpus is not None else []),
        *("--entrypoint", argv[0], runner.container, *argv[1:]),
    ]
    return started, (engine, "rm", "--force", name)


def _mount(path: Path) -> str:
    return f"type=bind,source={path},target={path}"


def _gpu_options(kind: str, gpus: str) -> list[str]:
    if kind == "podman":
        return [word for one in (gpus or "all").split(",") for word in ("--device", f"nvidia.com/gpu={one}")]
    return ["--gpus", f'"device={gpus}"' if gpus else "all"]  # docker takes a comma apart outside of quotes
