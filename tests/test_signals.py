"""SIGTERM and SIGHUP end a command as Ctrl-C does; a second one ends it at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from harness.signals import ENDING, ending_signals
from tests.engine import ROOT

CHILD = """
import sys, time
from harness.cli import main, report

def slow(options):
    print("begun", flush=True)
    try:
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(float(sys.argv[1]))

report.execute = slow
raise SystemExit(main.main(["report", "try"]))
"""


def begin(*, cleaning: float = 0.0, ignored: str = "") -> subprocess.Popen[str]:
    """A command that waits, and takes `cleaning` seconds to end; `ignored`: a signal that its parent ignores."""
    process = subprocess.Popen(
        ["env", *([f"--ignore-signal={ignored}"] if ignored else []), sys.executable, "-c", CHILD, str(cleaning)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.5)  # it sleeps by then, and is not at the end of its print
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_after_its_cleaning_up(number: signal.Signals, status: int) -> None:
    process = begin()
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert output == "cleaning up\n"
    assert errors.endswith("; the same command goes on from what is there\n")
    assert errors.count("\n") == 1


def test_a_second_signal_ends_a_command_at_once() -> None:
    process = begin(cleaning=60)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning up\n"
    time.sleep(1.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == -signal.SIGTERM


def test_the_same_signal_twice_within_a_moment_counts_once() -> None:
    process = begin(cleaning=0.5)
    process.send_signal(signal.SIGHUP)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning up\n"
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 129


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    process = begin(ignored="HUP")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.terminate()
    assert process.wait(timeout=30) == 143


def test_an_ended_command_leaves_the_handlers_of_its_caller() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with ending_signals():
        assert [signal.getsignal(number) for number in ENDING] != before
    assert [signal.getsignal(number) for number in ENDING] == before
