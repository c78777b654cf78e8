"""The GPU check: every line in a process that is watched, killed when its time is up and started again for the rest.

Needs the standard library and torch here; what the parts need besides is unpacked from the packed wheels."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.gpu.plan import Line, Part

ROOT = Path(__file__).parents[2]
START_LIMIT = 120.0
"""Seconds in which a process must begin its first line: imports, and the first touch of the device."""

FAREWELL = 6.0
"""Seconds before the end at which everything is killed, so that the last figures are written in time."""

CPU_PATIENCE = 6.0
"""How many times as long a line may take on a CPU."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return 0 if every line passed, else 1."""
    parser = argparse.ArgumentParser(prog="tests/gpu/run", description="Check and measure the GPU path: docs/gpu.md.")
    parser.add_argument("--pack", type=Path, required=True, help="folder that tests/gpu/pack wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and table.md")
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit of the whole check (default: 9)")
    parser.add_argument("--device", help="cuda or cpu (default: cuda if there is one)")
    parser.add_argument("--size", choices=("paper", "tiny"), help="default: paper on cuda, tiny on cpu")
    options = parser.parse_args(arguments)
    end = time.time() + 60 * options.minutes - FAREWELL
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        add_wheels(options.pack, Path(folder) / "site")
        device = options.device or _device()
        check = Check(options.pack.absolute(), options.out, Path(folder), device, options.size, end)
        check.run()
    print((options.out / "table.md").read_text())
    return 0 if check.results.good else 1


def add_wheels(pack: Path, site: Path) -> None:
    """Put the packed wheels on the path, here and in the parts, if pydantic cannot be imported without them."""
    if importlib.util.find_spec("pydantic") is not None:
        return
    for wheel in sorted((pack / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    sys.path.insert(1, str(site))  # before what is installed: pydantic needs its own typing_extensions
    if importlib.util.find_spec("pydantic") is None:
        raise SystemExit(f"{pack / 'wheels'}: no pydantic, and none is installed; make the pack with wheels")
    import pydantic_core  # noqa: F401  fails at once if the wheel is for another Python


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class _Progress:
    """The lines that a process still has to do, and the one it is at."""

    waiting: list[Line]
    current: Line | None = None
    since: float = field(default_factory=time.time)


class Check:
    """One run of all lines."""

    def __init__(
        self,
        pack: Path,
        out: Path,
        folder: Path,
        device: str,
        size: str | None,
        end: float,
        plan: str = "tests.gpu.plan",
    ) -> None:
        from harness.hardware import code_revision, describe_hardware
        from tests.gpu.results import Results

        self.pack, self.folder, self.device, self.end, self.module = pack, folder, device, end, plan
        self.plan: tuple[Line, ...] = importlib.import_module(plan).PLAN
        self.parts: Mapping[str, Part] = importlib.import_module(plan).PARTS
        self.size = size or ("paper" if device.startswith("cuda") else "tiny")
        self.begun = time.time()
        self.patience = 1.0 if device.startswith("cuda") else CPU_PATIENCE
        out.mkdir(parents=True, exist_ok=True)
        about = {
            "hardware": describe_hardware(gpu=device.startswith("cuda")),
            "device": device,
            "size": self.size,
            "python": platform.python_version(),
            "revision": code_revision(),
            "data": json.loads((pack / "pack.json").read_text())["text"],
        }
        self.results = Results(out, about, self.plan, self.parts)
        self.results.write()

    def run(self) -> None:
        """Run all parts, each until its share of the time is over."""
        for key, part in self.parts.items():
            end = self.begun + part.share * (self.end - self.begun)
            waiting = [line for line in self.plan if line.part == key]
            while waiting and time.time() < end:
                waiting = self._process(waiting, end)
            for line in waiting:
                self.results.update(line.name, "skipped", problems=["no time was left"])

    def _process(self, lines: list[Line], end: float) -> list[Line]:
        """Start a process for lines, and return those that another one has to do."""
        events, log = self.folder / "events.jsonl", self.folder / "log.txt"
        events.write_text("")
        command = [
            *(sys.executable, "-m", "tests.gpu.part", "--plan", self.module),
            *("--lines", ";".join(line.name for line in lines)),
            *("--device", self.device, "--size", self.size, "--pack", str(self.pack)),
            *("--until", str(end), "--events", str(events)),
        ]
        path = os.pathsep.join([str(ROOT), str(self.folder / "site"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
        with log.open("wb") as output, events.open() as found:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                progress = self._watch(process, found, _Progress(list(lines)), end)
            finally:
                _kill(process)
        if progress.current is not None or len(progress.waiting) == len(lines):
            current = progress.current or progress.waiting.pop(0)
            text = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-30:])
            problem = f"its process ended with status {process.returncode}"
            if process.returncode == -signal.SIGKILL:
                problem = f"killed after {time.time() - progress.since:.0f} s"
            self.results.update(current.name, "killed", problems=[problem], log=text)
        return progress.waiting

    def _watch(self, process: subprocess.Popen[bytes], found: Any, progress: _Progress, end: float) -> _Progress:
        """Read a process's events until it has ended, or has to be killed."""
        text = ""
        while True:
            over = process.poll() is not None
            text += found.read()
            *whole, text = text.split("\n")
            for event in map(json.loads, whole):
                self._take(event, progress)
            now = time.time()
            limit = START_LIMIT if progress.current is None else progress.current.limit
            if over or now > end or now > progress.since + self.patience * limit:
                return progress
            time.sleep(0.1)

    def _take(self, event: dict[str, Any], progress: _Progress) -> None:
        name, state = event.pop("line"), event.pop("state")
        event.pop("time")
        if progress.current is None:
            progress.current = next(line for line in progress.waiting if line.name == name)
            progress.waiting.remove(progress.current)
            progress.since = time.time()
        self.results.update(name, state, **event)
        if state != "running":
            progress.current, progress.since = None, time.time()
            print(f"{time.time() - self.begun:6.1f} s  {name}: {state}", flush=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
