"""Text for people: timestamped lines, log records on stderr, durations, commands that can be pasted into a shell."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

PROGRAM = "vos-harness"
"""Name of the console script."""

_PASSWORD = re.compile(r"(:/+[^:/@\s]*:)\S*@")
_SECRET = re.compile(
    r"([?&;][^?&;=\s]*(?:pass|pwd|secret|token|key|sig|credential|odbc_connect)[^=\s]*=)(?!\*{3})[^&\s]*", re.I
)


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
    for name in ("harness", "reports", "vos", "dipnet"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
            logger.addHandler(_Stderr())
