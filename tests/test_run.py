"""The run verb: a killed run continues when it is started again, and reports how it ended."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.cli.main import main
from tests.command import install, published, start, wait_for
from tests.engine import make_davis16

STUDY = """
name: try
method: sleepy
benchmarks: [davis16-val]
variants:
  good: {seconds: 1.0}
  bad: {fails: b}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and a method that is installed from elsewhere."""
    place = tmp_path_factory.mktemp("run")
    make_davis16(place / "data", ("a", "b", "c", "d", "e", "f"))
    install(place / "plugin")
    (place / "try.yaml").write_text(STUDY)
    return place


def test_a_killed_run_continues_and_reports_what_failed(place: Path) -> None:
    killed = start(place)
    wait_for(place, killed, 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    after_kill = published(place)
    assert 2 <= len(after_kill) < 12

    last = start(place)
    output, _ = last.communicate()
    assert last.returncode == 1, output
    assert after_kill.items() <= published(place).items()
    assert "1/2 cells filled" in output
    assert "b is too hard" in output
    assert "words in the log" in output
    assert re.search(r"failed: bad × davis16-val.*segment b: ValueError", output)
    assert not list((place / "home" / "store" / "damaged").iterdir())

    shutil.rmtree(place / "home" / "reports", ignore_errors=True)
    (place / "good.yaml").write_text(STUDY.replace("  bad: {fails: b}\n", ""))
    done = start(place, "good.yaml")
    output, _ = done.communicate()
    assert done.returncode == 0, output
    assert "starting Ray" not in output
    assert "1/1 cells filled" in output
    assert (place / "home" / "reports" / "try" / "index.md").is_file()


def command(tmp_path: Path, study: str, *more: str) -> int:
    (tmp_path / "study.yaml").write_text(study)
    if not (tmp_path / "data").exists():
        make_davis16(tmp_path / "data")
    words = [tmp_path / "study.yaml", "--data", tmp_path / "data", "--home", tmp_path / "home", *more]
    return main(["run", *map(str, words)])


FIRST = "name: try\nmethod: first-mask\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n"


def test_the_plan_is_printed_and_nothing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, FIRST, "--plan") == 0
    output = capsys.readouterr().out
    assert "1 cells; 4 stages" in output
    assert "to run: copy first mask, davis16-val/a (new)" in output
    assert "waiting: score DAVIS16 val (new; for copy first mask, davis16-val/a and 1 more)" in output
    assert not list((tmp_path / "home" / "store").glob("segment/*"))
    assert not (tmp_path / "home" / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("study", "more", "words"),
    [
        (FIRST.replace("{}", "{omega: 1}"), [], "omega"),
        (FIRST.replace("first-mask", "last-mask"), [], "last-mask"),
        (FIRST.replace("davis16-val", "davis17-val"), [], "DAVIS 2017 not found"),
        (FIRST, ["--scale", "huge"], "huge"),
        (FIRST, ["--all"], "--plan"),
        (FIRST, ["--scale", "paper", "--gpus", "0"], "--yes"),
        (FIRST, ["--data", "/absent"], "/absent"),
        (FIRST, ["--home", "/proc/home"], "/proc/home"),
        (FIRST, ["--export", "/proc/masks"], "--export"),
    ],
)
def test_invalid_input_is_one_message_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], study: str, more: list[str], words: str
) -> None:
    assert command(tmp_path, study, *more) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert words in errors
    assert "Traceback" not in errors


def test_yes_accepts_a_scale_for_gpus_without_one(tmp_path: Path) -> None:
    assert command(tmp_path, FIRST, "--scale", "paper", "--gpus", "0", "--yes", "--plan") == 0


def damage_size(root: Path) -> str:
    cv2.imwrite(str(root / "JPEGImages/480p/b/00001.jpg"), np.zeros((20, 20, 3), np.uint8))
    return "b/00001"


def damage_frame(root: Path) -> str:
    (root / "JPEGImages/480p/b/00002.jpg").write_bytes(b"")
    return "00002.jpg"


def damage_mask(root: Path) -> str:
    (root / "Annotations/480p/a/00002.png").write_bytes(b"\x89PNG")
    return "00002.png"


@pytest.mark.parametrize("damage", [damage_size, damage_frame, damage_mask])
def test_damaged_data_is_a_named_error_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], str]
) -> None:
    make_davis16(tmp_path / "data")
    words = damage(tmp_path / "data" / "DAVIS2016")
    assert command(tmp_path, FIRST) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "home" / "store").glob("segment/*"))
