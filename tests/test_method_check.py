"""`vos-harness method check FILE` runs a method on three tiny sequences and says what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.cli.main import main

METHODS = f"""
methods:
  mine:
    command: "{{python}} mine.py {{frames}} {{first_mask}} {{masks}} {{shift}}"
    python: {sys.executable}
    folder: .
    options: {{shift: 0}}
  other:
    command: "{{python}} other.py {{frames}} {{first_mask}} {{masks}}"
    python: {sys.executable}
    folder: .
"""
MINE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
frames, first, masks = map(Path, sys.argv[1:4])
mask = np.roll(np.array(Image.open(first)), int(sys.argv[4]), axis=1)
for frame in sorted(frames.iterdir()):
    Image.fromarray(mask).save(masks / f"{frame.stem}.png")
"""
OTHER = """
import sys
print("loading")
sys.exit("no weights found")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "other.py").write_text(OTHER)
    (tmp_path / "methods.yaml").write_text(METHODS)
    return tmp_path / "methods.yaml"


def test_a_method_that_works_is_run_scored_and_timed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["method", "check", str(file), "mine"]) == 0
    output = capsys.readouterr().out
    for words in (
        "mine: 3 sequences of 8 frames",
        "segment davis17-val/one-object with mine: ok",
        "two-objects: J 0.",
        "late-object: J 0.",
        "whole process",
        "no problems",
    ):
        assert words in output
    assert "other" not in output
    assert "worse than copying" not in output


def test_a_method_that_fails_shows_its_error_and_its_log(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["method", "check", str(file), "other"]) == 1
    output = capsys.readouterr().out
    assert "segment davis17-val/one-object with other: failed" in output
    assert "ended with exit status 1" in output
    assert "no weights found" in output
    assert "1 of 1 methods failed" in output


def test_masks_that_are_shifted_are_pointed_out(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["method", "check", str(file), "mine", "--option", "shift=150"]) == 0
    assert "is worse than copying; is each mask named as its frame" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected FILE"),
        (["absent.yaml"], "absent.yaml"),
        (["{file}", "absent"], "no method 'absent'; defined there: mine, other"),
        (["{file}", "mine", "--option", "speed=1"], "unknown key 'speed'"),
        (["{file}", "--json"], "no --json"),
    ],
)
def test_a_check_that_makes_no_sense_is_a_named_error(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["method", "check", *(one.format(file=file) for one in arguments)]) == 2
    assert words in capsys.readouterr().err


def test_a_file_without_methods_is_a_named_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("name: try\n")
    assert main(["method", "check", str(file)]) == 2
    assert "no methods found" in capsys.readouterr().err
    assert main(["method", "first-mask", str(file)]) == 2
    assert "a file is for `check` only" in capsys.readouterr().err
