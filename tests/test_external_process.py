"""A command of others ends with everything that it has started, whatever it does and however its worker ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import CommandError
from harness.external.process import Command, run_command
from tests.engine import ROOT
from tests.external import alive, mark, wait_until

FORKS = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", MARK])
subprocess.Popen(["sleep", MARK], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", MARK])
    os._exit(0)
os.wait()
print("forked", flush=True)
"""
"""Starts a child, one in another session, and a daemon whose parent ends."""


def python(code: str, folder: Path, mark: str = "") -> Command:
    argv = (sys.executable, "-c", code.replace("MARK", repr(mark)))
    return Command(argv=argv, folder=folder, environment=dict(os.environ))


def failing(command: Command, **options: float) -> str:
    with pytest.raises(CommandError) as caught:
        run_command(command, "cutie on bear", **options)
    return str(caught.value)


def test_lines_come_as_they_are_printed(tmp_path: Path) -> None:
    found: list[tuple[str, float]] = []
    code = "import time; print('one', flush=True); time.sleep(0.5); print('two', flush=True); time.sleep(0.5)"
    run = run_command(python(code, tmp_path), "try", on_line=lambda line, when: found.append((line, when)))
    assert [line for line, _ in found] == ["one", "two"]
    assert run.began < found[0][1] < found[1][1] < run.began + run.seconds
    assert found[1][1] - found[0][1] > 0.4


def test_a_failing_command_says_status_and_last_lines(tmp_path: Path) -> None:
    message = failing(python("print('loading'); raise SystemExit('no weights')", tmp_path))
    assert message.startswith("cutie on bear: ended with exit status 1 after ")
    assert message.endswith("s; its last lines:\n  loading\n  no weights")


def test_a_silent_failing_command_says_that_it_printed_nothing(tmp_path: Path) -> None:
    assert failing(python("raise SystemExit(3)", tmp_path)).endswith("it printed nothing")


def test_a_command_killed_by_a_signal_says_which(tmp_path: Path) -> None:
    assert "was killed by SIGSEGV after" in failing(python("import os; os.kill(os.getpid(), 11)", tmp_path))
    assert "for want of memory" in failing(python("import os; os.kill(os.getpid(), 9)", tmp_path))


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    command = Command(argv=("no-such-program", "x"), folder=tmp_path, environment={"PATH": "/usr/bin"})
    assert "the program no-such-program cannot be started (No such file or directory)" in failing(command)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    command = Command(argv=("true",), folder=tmp_path / "gone", environment={"PATH": "/usr/bin:/bin"})
    assert f"the folder {tmp_path / 'gone'} cannot be entered" in failing(command)


def test_a_hanging_command_is_ended_before_the_limit(tmp_path: Path) -> None:
    begin = time.monotonic()
    message = failing(python("print('begun', flush=True); import time; time.sleep(600)", tmp_path), time_limit=2.0)
    assert time.monotonic() - begin < 15
    assert "did not end within 1.5 s of its time limit of 2.0 s, so it was killed; its last lines:\n  begun" in message


def test_a_command_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    sleeper = mark()
    code = f"import signal, time; signal.signal(15, signal.SIG_IGN){FORKS}time.sleep(600)"
    assert "its last lines:\n  forked" in failing(python(code, tmp_path, sleeper), time_limit=3.0)
    assert not alive(sleeper)


def test_children_that_outlive_a_command_are_ended_and_counted(tmp_path: Path) -> None:
    sleeper = mark()
    assert run_command(python(FORKS, tmp_path, sleeper), "try").left == 3
    assert not alive(sleeper)


def test_100_mb_of_output_leave_head_and_tail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('first'); [sys.stdout.write('x' * 999 + '\\n') for _ in range(100_000)]; print('last')"
    run_command(python(code, tmp_path), "try")
    printed = capfd.readouterr().out
    assert printed.startswith("first\nxxx")
    assert printed.endswith("xxx\nlast\n")
    assert "… 97.9 MB of output left out here …" in printed
    assert len(printed) < 2_200_000


def test_an_endless_line_takes_no_memory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found: list[int] = []
    code = "import sys; [sys.stdout.write('x' * 1_000_000) for _ in range(30)]; print('\\nend')"
    run_command(python(code, tmp_path), "try", on_line=lambda line, when: found.append(len(line)))
    assert found == [1 << 16, 3]


def test_a_command_reads_nothing(tmp_path: Path) -> None:
    found: list[str] = []
    code = "import sys; print(repr(sys.stdin.read()))"
    run_command(python(code, tmp_path), "try", on_line=lambda line, when: found.append(line))
    assert found == ["''"]


WORKER = """
import sys
from pathlib import Path
from harness.external.process import run_command
from harness.signals import ending_signals
from tests.test_external_process import FORKS, python

code = FORKS + "import signal; signal.signal(15, signal.SIG_IGN); import time; time.sleep(600)"
try:
    with ending_signals():
        run_command(python(code, Path(sys.argv[1]), sys.argv[2]), "try", grace=0.5)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGALRM])
def test_a_command_ends_when_its_worker_does(tmp_path: Path, number: signal.Signals) -> None:
    sleeper = mark()
    argv = [sys.executable, "-c", WORKER, str(tmp_path), sleeper]
    worker = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert wait_until(lambda: len(alive(sleeper)) == 5), alive(sleeper)  # worker, command, its children
    worker.send_signal(number)
    assert worker.wait(timeout=20) in (0, -number)
    assert wait_until(lambda: not alive(sleeper)), alive(sleeper)


def test_a_command_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    def kill(line: str, when: float) -> None:
        os.kill(int(line), signal.SIGKILL)

    code = "import os, time; print(os.getppid(), flush=True); os.execvp('sleep', ['sleep', MARK])"
    sleeper = mark()
    with pytest.raises(CommandError, match="its supervisor was killed"):
        run_command(python(code, tmp_path, sleeper), "try", on_line=kill)
    assert wait_until(lambda: not alive(sleeper))
