"""A study whose command hangs: it is ended with its children at its limit, and when the run is ended."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.command import read_until, start
from tests.engine import make_davis16
from tests.external import alive, mark, wait_until

HANGS = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", sys.argv[1]], start_new_session=True)
print("loading the network", flush=True)
time.sleep(600)
"""
STUDY = f"""
name: try
method: hangs
benchmarks: [davis16-val]
variants: {{hangs: {{}}}}
methods:
  hangs:
    command: "{{python}} hangs.py {{mark}} {{frames}} {{masks}}"
    python: {sys.executable}
    folder: code
    per: benchmark
    timed: false
    time_limit: LIMIT
    options: {{mark: "MARK"}}
"""


def make_place(folder: Path, sleeper: str, limit: int) -> Path:
    make_davis16(folder / "data")
    (folder / "code").mkdir()
    (folder / "code/hangs.py").write_text(HANGS)
    (folder / "try.yaml").write_text(STUDY.replace("MARK", sleeper).replace("LIMIT", str(limit)))
    return folder


def test_a_hanging_command_fails_at_its_limit_with_its_last_lines(tmp_path: Path) -> None:
    sleeper = mark()
    process = start(make_place(tmp_path, sleeper, 24))
    output = read_until(process, "no such words")
    assert process.wait() == 1, output
    assert "the command on 2 sequences: did not end within" in output
    assert "loading the network" in output
    assert not alive(sleeper)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_ends_with_the_run(tmp_path: Path, number: signal.Signals) -> None:
    sleeper = mark()
    process = start(make_place(tmp_path, sleeper, 600))
    assert wait_until(lambda: len(alive(sleeper)) == 2, 240), "the command and its child"
    os.kill(process.pid, number)
    process.wait(60)
    assert wait_until(lambda: not alive(sleeper), 60), alive(sleeper)
