"""A command in a container: what its engine is called with, and that the container goes when the command is stopped."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from harness.errors import CommandError
from harness.external import stages
from harness.external.config import Program, SegmentConfig, worker_file
from harness.external.container import in_container
from harness.external.sources import Files, Runner, file_digest
from tests.external import COPIES, make_task, make_video, script

ENGINE = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if "inspect" in sys.argv:
    print("sha256:0123")
if sys.argv[1] == "run":
    place = sys.argv.index("--entrypoint")
    os.execv(sys.argv[place + 1], [sys.argv[place + 1], *sys.argv[place + 3:]])
"""
"""A program that is called as docker is, notes its arguments, and runs the command outside of any container."""


def engine(folder: Path, name: str = "docker") -> Path:
    path = folder / name
    path.write_text(ENGINE.format(python=sys.executable, log=str(folder / "log")))
    path.chmod(0o755)
    return path


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def run(folder: Path, code: str, **options: float) -> None:
    runner = Runner(kind="container", python=Path(sys.executable), container="cutie:1", engine=engine(folder))
    runner = Runner(**{**vars(runner), "digest": runner.identity()[0]})
    weights = folder / "weights.pth"
    weights.write_bytes(b"x")
    files = Files(paths=(weights,), digests=(file_digest(weights),))
    config = SegmentConfig(program=Program(template=script(folder, code), runner="container", environment={"A": "b c"}))
    video = make_video(folder / "data")
    task = make_task(folder / "task", config, video=video, runner=runner, files=files, **options)
    stages.segment(task)
    assert len([*(task.folder / "masks").iterdir()]) == len(video)


def test_a_container_sees_what_it_needs_under_the_same_paths(tmp_path: Path) -> None:
    run(tmp_path, COPIES)
    arguments = calls(tmp_path)[-1]
    mounts = [arguments[place + 1] for place, word in enumerate(arguments) if word == "--mount"]
    scratch = tmp_path / "task/scratch"
    written = [f"type=bind,source={scratch / name},target={scratch / name}" for name in ("input", "work", "output")]
    assert mounts[:3] == written
    read = [worker_file(), tmp_path / "weights.pth"]
    assert mounts[3:] == [f"type=bind,source={path},target={path},readonly" for path in read]
    assert arguments[:4] == ["run", "--rm", "--init", "--name"]
    assert arguments[arguments.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert {"A=b c", "PYTHONUNBUFFERED=1", "HOME=/tmp"} <= set(arguments)


def test_a_stopped_container_is_removed(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="did not end within"):
        run(tmp_path, "import time; time.sleep(600)", time_limit=6.0)
    started, removed = calls(tmp_path)[-2:]
    assert removed == ["rm", "--force", started[started.index("--name") + 1]]


@pytest.mark.parametrize(
    ("kind", "gpus", "expected"),
    [
        ("docker", "0,2", ["--gpus", '"device=0,2"']),
        ("docker", "", ["--gpus", "all"]),
        ("podman", "0,2", ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=2"]),
        ("apptainer", "0", ["--nv"]),
    ],
)
def test_each_engine_gets_the_gpus_of_the_stage(tmp_path: Path, kind: str, gpus: str, expected: list[str]) -> None:
    runner = Runner(kind="container", container="image", engine=Path("/usr/bin") / kind)

    def arguments(numbers: str | None) -> str:
        return " ".join(in_container(runner, ["python", "x"], tmp_path, {}, written=[], read=[], gpus=numbers)[0])

    assert " ".join(expected) in arguments(gpus)
    assert expected[0] not in arguments(None)
