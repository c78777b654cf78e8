"""A command of others, run to its end: its output in the log, its lines as they come, its processes ended with it.

It runs under `harness.external.supervisor`, a process of its own, so that its end does not depend on this one."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import CommandError
from harness.external.output import Lines, Output

GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL."""

_SPARE = 0.25
"""Share of a time limit that is kept for ending the command; twice its grace at most."""

_DRAIN = 1.0
"""Seconds in which output still counts when the command and its supervisor have ended."""

_ENDING = 60.0
"""Seconds after the grace for the supervisor to end everything; then it is killed."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program with its arguments, and where it runs."""

    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    """All of its environment variables."""

    cleanup: tuple[str, ...] = ()
    """Arguments of a program that removes what SIGKILL does not end, a container; empty: there is none."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A command that has ended with status 0."""

    began: float
    """Reading of the monotonic clock when the command was started."""

    seconds: float
    """Wall-clock seconds from its start to its end."""

    left: int
    """Processes that it had left behind, and that were ended."""


def run_command(
    command: Command,
    what: str,
    *,
    time_limit: float | None = None,
    grace: float = GRACE,
    on_line: Callable[[str, float], object] = lambda line, when: None,
) -> Run:
    """Run a command and return when it, and every process that it has started, has ended.

    What it prints goes to this process's standard output, shortened in the middle. `on_line` gets each line of its
    standard output, and the reading of the monotonic clock when it came. `time_limit`: seconds after which this process
    is killed; the command is ended a little earlier. `what` begins the messages of errors.

    Raises CommandError if the command cannot be started, ends with another status, or takes too long."""
    spare = 0.0 if time_limit is None else min(2 * grace, _SPARE * time_limit)
    allowed = None if time_limit is None else time_limit - spare
    output, lines = Output(), Lines(on_line)
    try:
        with _Supervised(command, grace if time_limit is None else spare / 2) as supervised:
            late = supervised.follow(output, lines, allowed)
    finally:
        output.close()
    report = supervised.report
    if "errno" in report:
        raise CommandError(f"{what}: {_not_started(command, report)}")
    last = f"; its last lines:\n{text}" if (text := output.last_lines()) else "; it printed nothing"
    if late:
        limit = f"{allowed:.1f} s of its time limit of {time_limit:.1f} s"
        raise CommandError(f"{what}: did not end within {limit}, so it was killed{last}")
    status = report.get("status")
    if status is None:
        raise CommandError(f"{what}: its supervisor was killed, so nothing is known of how the command ended{last}")
    if status:
        raise CommandError(f"{what}: {_ending(status)} after {report['ended'] - report['began']:.1f} s{last}")
    return Run(began=report["began"], seconds=report["ended"] - report["began"], left=report["left"])


class _Supervised:
    """A command under its supervisor, which ends it when this object is left."""

    def __init__(self, command: Command, grace: float) -> None:
        self.report: dict[str, Any] = {}
        self._text = b""
        self._ended = False
        self._command = command
        self._grace = grace

    def __enter__(self) -> _Supervised:
        job = {
            "argv": self._command.argv,
            "folder": str(self._command.folder),
            "environment": dict(self._command.environment),
            "grace": self._grace,
            "cleanup": self._command.cleanup,
        }
        self._reports, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "harness.external.supervisor", str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs],
                start_new_session=True,
                bufsize=0,
            )
        finally:
            os.close(theirs)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        self._stop()
        try:
            end = time.monotonic() + self._grace + _ENDING
            while not self._ended and (left := end - time.monotonic()) > 0:
                if select.select([self._reports], (), (), left)[0]:
                    self._read_report()
        finally:
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()
            os.close(self._reports)
        process.wait()
        with suppress(ProcessLookupError):
            if not self._ended and "supervisor" in self.report:
                os.kill(self.report["supervisor"], signal.SIGKILL)
            if "pid" in self.report and "status" not in self.report:  # the group of the command is all that is known
                os.killpg(self.report["pid"], signal.SIGKILL)

    def follow(self, output: Output, lines: Lines, seconds: float | None) -> bool:
        """Pass on what the command prints until it has ended; return whether it was ended after so many seconds."""
        begin, late, ended = time.monotonic(), False, float("inf")
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            for source in (self._process.stdout.fileno(), self._process.stderr.fileno(), self._reports):
                selector.register(source, selectors.EVENT_READ)
            while selector.get_map() and time.monotonic() < ended + _DRAIN:
                for key, _ in selector.select(0.5 if ended == float("inf") else _DRAIN / 10):
                    if key.fd == self._reports:
                        self._read_report()
                        if self._ended:
                            selector.unregister(key.fd)
                            ended = time.monotonic()
                    elif not (read := os.read(key.fd, 1 << 16)):
                        selector.unregister(key.fd)
                    else:
                        output.add(read)
                        if key.fd == self._process.stdout.fileno():
                            lines.add(read, time.monotonic())
                if not late and seconds is not None and time.monotonic() - begin > seconds:
                    late = ended == float("inf")
                    self._stop()
        lines.close(time.monotonic())
        return late

    def _read_report(self) -> None:
        """Read what the supervisor reports; it has ended when its report does."""
        read = os.read(self._reports, 1 << 16)
        self._ended = not read
        self._text += read
        for line in self._text.splitlines() if self._text.endswith(b"\n") else ():
            self.report |= json.loads(line)

    def _stop(self) -> None:
        """End the command: its supervisor sees the end of its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()


def _not_started(command: Command, report: Mapping[str, Any]) -> str:
    file, reason = report["file"], os.strerror(report["errno"])
    if file == str(command.folder):
        return f"the folder {file} cannot be entered ({reason}); is it on this machine?"
    return f"the program {command.argv[0]} cannot be started ({reason}); install it, or give its path"


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name if -status in [*signal.Signals] else f"signal {-status}"
    cause = ", most often by the system for want of memory," if name == "SIGKILL" else ""
    return f"was killed by {name}{cause}"
