"""Some lines of the GPU check in one process; the runner starts it, watches it and reads its events."""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
import tempfile
import traceback
from pathlib import Path

import cv2
import torch

from harness.hardware import cores
from tests.gpu.context import Context
from tests.gpu.sizes import size_of

UNUSABLE = 3
"""Exit status after an error that leaves the device unusable in this process: the runner starts another."""


def main() -> int:
    """Run the lines, each with its own verdict; return an exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plan", required=True, help="module with a PLAN")
    parser.add_argument("--lines", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--size", required=True)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--events", type=Path, required=True)
    options = parser.parse_args()
    lines = {line.name: line for line in importlib.import_module(options.plan).PLAN}
    if options.device.startswith("cuda"):
        torch.set_num_threads(min(cores(), 16))
        torch.zeros(1, device=options.device)  # starts the device before the first line's clock
    else:  # the networks of the tiny size are too small to share among threads
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    folder = options.events.parent  # the runner removes it, even if this process is killed
    with options.events.open("a") as events, tempfile.TemporaryDirectory(dir=folder) as scratch:
        context = Context(
            device=options.device,
            size=size_of(options.size),
            pack=options.pack.absolute(),
            scratch=Path(scratch),
            until=options.until,
            events=events,
        )
        for name in options.lines.split(";"):
            context.line, context.problems = name, []
            context.emit("running")
            module, _, function = lines[name].function.partition(":")
            try:
                getattr(importlib.import_module(module), function)(context)
            except Exception:  # noqa: BLE001  whatever a line raises is its result, and the next one runs
                context.emit("error", traceback=traceback.format_exc(), problems=context.problems)
                if not _usable(context):
                    return UNUSABLE
            else:
                context.emit("failed" if context.problems else "passed", problems=context.problems)
            gc.collect()
            if context.gpu:
                torch.cuda.empty_cache()
    return 0


def _usable(context: Context) -> bool:
    """Return whether the device still works after an error: an illegal access breaks it for the whole process."""
    try:
        context.synchronize()
        return bool(torch.ones(1, device=context.device).sum().item() == 1)
    except RuntimeError:
        return False


if __name__ == "__main__":
    sys.exit(main())
