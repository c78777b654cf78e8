"""A small process between a worker and a command of others: no process of the command outlives it, nor the worker.

Started as `python -I -m harness.external.supervisor`. It reads one line of JSON from standard input: `argv`, `folder`,
`environment`, `grace`, `cleanup`. When standard input ends, as it does when the worker dies in whatever way, everything
that the command has started is ended: SIGTERM, then SIGKILL after `grace` seconds, then `cleanup` is run. It is the
"child subreaper" of the command (Linux): processes that leave the group or the session of the command, or whose parent
has died, stay its descendants. Should it be killed itself, the system kills the command, though not what that started.

It forks once at its start, so that it is no child of the worker: Ray kills the children of a worker that ends, and the
supervisor is to end the command in an orderly way then.

What happened goes to the descriptor of its only argument, as lines of JSON: `{"supervisor": …}`, its process id, then
`{"pid": …, "began": …}`, that of the command, and at the end `{"status":
…, "ended": …, "stopped": …, "left": …}`, or only `{"errno": …, "file": …}` if the command could not be started. Times
are of the monotonic clock, which all processes share."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
"""Options of prctl(2)."""

_LINGER = 1.0
"""Seconds that helpers of a command which has ended have to end by themselves."""

_KILL_SECONDS = 20.0
"""Seconds after which processes that SIGKILL does not end, as they hang in the kernel, are left."""

_CLEANUP_SECONDS = 30.0
_POLL = 0.05


def main() -> None:
    """Run the command that standard input describes."""
    report = int(sys.argv[1])
    if os.fork():
        os._exit(0)
    _write(report, {"supervisor": os.getpid()})
    job = json.loads(_first_line())
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _heed_nothing)  # not SIG_IGN, which the command would inherit
    library = ctypes.CDLL(None)
    library.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(
            job["argv"],
            cwd=job["folder"],
            env=job["environment"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _prepare(library),  # noqa: PLW1509  this process has one thread
        )
    except OSError as error:
        _write(report, {"errno": error.errno, "file": os.fsdecode(error.filename or "")})
        return
    _write(report, {"pid": child.pid, "began": time.monotonic()})
    status = _wait(child.pid, woken)
    ended, stopped = time.monotonic(), status is None
    left = 0 if stopped or _is_alone(_LINGER) else len(_descendants())
    _end_all(job["grace"])
    if job["cleanup"] and stopped:
        _clean_up(job["cleanup"], job["environment"])
    _write(report, {"status": status, "ended": ended, "stopped": stopped, "left": left})
    os._exit(0)  # without waiting for a child that SIGKILL did not end


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1 << 16)
        if not read:
            raise SystemExit("supervisor: a line of JSON expected on standard input")
        line += read
    return line


def _heed_nothing(_number: int, _frame: object) -> None:
    """Go on: only the end of standard input stops the command."""


def _prepare(library: ctypes.CDLL) -> None:
    """In the child, before the command: die with the supervisor, and handle signals as usual."""
    library.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _write(report: int, content: Mapping[str, Any]) -> None:
    try:
        os.write(report, json.dumps(content).encode() + b"\n")
    except BrokenPipeError:
        return  # the worker has died


def _wait(pid: int, woken: int) -> int | None:
    """Return the command's status, negative for a signal, when it ends; None when standard input ends first.

    `woken` can be read when a child has ended."""
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    poll.register(0, select.POLLIN)
    while True:
        ready = {number for number, _ in poll.poll()}
        if woken in ready:
            os.read(woken, 1 << 16)
        for one, status in _reap():
            if one == pid:
                return os.waitstatus_to_exitcode(status)
        if 0 in ready and not os.read(0, 1 << 16):
            return None


def _reap() -> list[tuple[int, int]]:
    """Return the children that have ended, orphans of the command among them, with their wait statuses."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.append((pid, status))


def _end_all(grace: float) -> None:
    """End every process that the command has started."""
    if _is_alone(0):
        return
    _signal_all(signal.SIGTERM)
    _signal_all(signal.SIGCONT)  # a process that is stopped sees no other signal
    begin = time.monotonic()
    while not _is_alone(_POLL) and time.monotonic() - begin < grace + _KILL_SECONDS:
        if time.monotonic() - begin >= grace:
            _signal_all(signal.SIGKILL)  # again and again: it may start more


def _signal_all(number: int) -> None:
    for pid in _descendants():
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue  # it has ended, or it is another user's


def _is_alone(seconds: float) -> bool:
    """Return whether no descendant is left, after waiting so long for that at most."""
    begin = time.monotonic()
    while True:
        _reap()
        if not _descendants():
            return True
        left = begin + seconds - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _POLL))


def _descendants() -> list[int]:
    """Return the processes below this one that have not ended."""
    children: dict[int, list[int]] = defaultdict(list)
    dead = set()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                state, parent = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            children[int(parent)].append(int(place.name))
            if state in "ZX":
                dead.add(int(place.name))
    found, work = [], [os.getpid()]
    while work:
        inner = children[work.pop()]
        found += [pid for pid in inner if pid not in dead]
        work += inner
    return found


def _clean_up(argv: list[str], environment: Mapping[str, str]) -> None:
    """Run the command that removes what is not a descendant: a container of a daemon."""
    try:
        subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, timeout=_CLEANUP_SECONDS, check=False, capture_output=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{' '.join(argv)} failed: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
