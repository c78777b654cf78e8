"""Text for people: timestamped lines, log records on stderr, durations, commands that can be pasted into a shell."""

from __future__ import annotations

import codecs
import errno
import io
import logging
import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any, TextIO

PROGRAM = "vos-harness"
"""Name of the console script."""

_PASSWORD = re.compile(r"(:/+[^:/@\s]*:)\S*@")
_SECRET = re.compile(
    r"([?&;][^?&;=\s]*(?:pass|pwd|secret|token|key|sig|credential|odbc_connect)[^=\s]*=)(?!\*{3})[^&\s]*", re.I
)

_ASCII = {"…": "...", "–": "-", "—": "-", "×": "x", "→": "->", "▸": ">", "ω": "omega"}
"""Characters of our texts → what is printed where the terminal's encoding lacks them; others become `?`."""

_LOST = (errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""Errors of a write after which output goes nowhere: no reader, no terminal, no room."""


class OutputLostError(Exception):
    """Output that cannot be written any more, and is all that a command is for."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.has_no_reader = error.errno in (errno.EPIPE, errno.EIO)


class _Output(io.FileIO):
    """Unbuffered stdout or stderr, which is given up as a whole when a write fails."""

    def __init__(self, number: int, *, needed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.needed = needed

    def write(self, data: Any) -> int:
        """Write, or drop everything from now on. Raises OutputLostError if the output is needed."""
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in _LOST:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.needed:
                raise OutputLostError(error) from None
            if self.fileno() == 1:
                note(f"stdout cannot be written any more ({error.strerror}); the command goes on without it")
            return len(memoryview(data))


def setup_output() -> None:
    """Make stdout and stderr print whatever their encoding, and raise OutputLostError once stdout cannot be written."""
    codecs.register_error("harness", _replaced)
    for name, number in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        raw = _raw(old)
        if isinstance(raw, io.FileIO) and not isinstance(raw, _Output) and raw.fileno() == number:
            old.flush()
            buffer = io.BufferedWriter(_Output(number, needed=number == 1))
            new = io.TextIOWrapper(buffer, old.encoding, "harness", line_buffering=old.line_buffering or number == 2)
            new.reconfigure(write_through=old.write_through)
            setattr(sys, name, new)


def outlive_stdout() -> None:
    """Let this process go on when stdout cannot be written any more: a run is for its results."""
    raw = _raw(sys.stdout)
    if isinstance(raw, _Output):
        raw.needed = False


def _raw(stream: TextIO) -> Any:
    buffer = getattr(stream, "buffer", None)  # tests may have put something simpler in its place
    return getattr(buffer, "raw", buffer)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_ASCII.get(one, "?") for one in error.object[error.start : error.end]), error.end


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def note(text: str) -> None:
    """Print a line on stderr while stdout holds data."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return `41 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def redacted(text: object) -> str:
    """Return text without the passwords of the URIs in it: `scheme://user:***@host`, `?password=***`."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1***@", str(text)))


def human_size(count: float) -> str:
    """Return `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def short_revision(revision: str) -> str:
    """Return a git revision in 12 digits, still with what marks uncommitted changes; `unknown` for an empty one."""
    commit, plus, changes = revision.partition("+")
    return f"{commit[:12]}{plus}{changes}" or "unknown"


def command_line(*words: object) -> str:
    """Return the shell command that runs `vos-harness WORDS...`, quoted so that it can be pasted.

    The console script of this Python environment is named in full unless it is the one on PATH; an environment without
    it gets `python -m harness`."""
    script = Path(sys.executable).with_name(PROGRAM)
    if not script.is_file():
        program = [sys.executable, "-m", "harness"]
    else:
        program = [PROGRAM if shutil.which(PROGRAM) == str(script) else str(script)]
    return shlex.join([*program, *map(str, words)])


class _Stderr(logging.Handler):
    """Handler that prints to whatever `sys.stderr` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(redacted(self.format(record)), file=sys.stderr, flush=True)


def setup_logging() -> None:
    """Show the project's log records on stderr as plain text; safe to call more than once."""
    for name in ("harness", "reports", "vos", "dipnet", "rivals"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
            logger.addHandler(_Stderr())
