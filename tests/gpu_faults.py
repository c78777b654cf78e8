"""A plan of lines that go wrong, each in another way, for the tests of the GPU check's runner."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.gpu.plan import Line, Part

if TYPE_CHECKING:
    from tests.gpu.context import Context

PARTS = {"a": Part(title="Lines that go wrong", share=0.9), "b": Part(title="Too late", share=0.9)}


def _line(name: str, part: str = "a", limit: float = 60) -> Line:
    return Line(name=name, part=part, function=f"tests.gpu_faults:{name}", seconds=0, limit=limit, about="a test")


PLAN = (_line("raises"), _line("fails"), _line("dies"), _line("hangs", limit=0.5), _line("passes"))


def raises(context: Context) -> None:
    context.note(before=1)
    raise ValueError("out of luck")


def fails(context: Context) -> None:
    context.require(False, "a broken promise")


def dies(context: Context) -> None:
    context.note(before=2)
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(context: Context) -> None:
    context.note(before=3)
    time.sleep(600)


def passes(context: Context) -> None:
    context.note(figure=0.125)
