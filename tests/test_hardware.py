"""The names of the GPUs that a process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import ROOT

SMI = """#!/bin/sh
echo "0, GPU-aaaa-1, NVIDIA A100"
echo "1, GPU-bbbb-2, NVIDIA H100, 80GB"
"""


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ("NVIDIA A100", "NVIDIA H100, 80GB")),
        ("1", ("NVIDIA H100, 80GB",)),
        ("GPU-bbbb", ("NVIDIA H100, 80GB",)),
        ("1,0", ("NVIDIA H100, 80GB", "NVIDIA A100")),
        ("", ()),
        ("-1", ()),
    ],
)
def test_only_visible_gpus_are_named_in_their_order(tmp_path: Path, visible: str | None, names: tuple[str]) -> None:
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    environment |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    program = "from harness.hardware import gpu_names; print(gpu_names())"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(names)
