"""The whole command beside a second one of its kind, and on a disk that is full."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import install, labels, published, start
from tests.engine import make_davis16, runs
from tests.finished import shown

NAMES = tuple("abcdef")
STUDY = """
name: try
method: sleepy
benchmarks: [davis16-val]
variants: {{one: {{log: {log}, {more}}}}}
"""


def prepare(place: Path, **more: str) -> Path:
    """A folder with data, method and study; every video that is begun is noted in `log`."""
    make_davis16(place / "data", NAMES)
    install(place / "plugin")
    options = ", ".join(f"{name}: {value}" for name, value in more.items())
    (place / "try.yaml").write_text(STUDY.format(log=place / "log", more=options))
    return place


def test_two_drivers_on_one_home_share_the_work_and_show_every_run_once(tmp_path: Path) -> None:
    place = prepare(tmp_path, seconds="0.3")
    drivers = [start(place, cpus=1) for _ in range(2)]
    seen: dict[str, int] = {}
    while any(driver.poll() is None for driver in drivers):
        now = published(place)
        assert seen.items() <= now.items(), "a stage was published again"
        seen = now
        time.sleep(0.1)
    outputs = [driver.communicate()[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], outputs
    assert all("1/1 cells filled" in output for output in outputs)
    assert Counter(runs(place / "log")) == dict.fromkeys(NAMES, 1)
    assert seen.items() <= published(place).items()
    assert not list((place / "home" / "store" / "damaged").iterdir())
    in_mlflow = [(run.data.tags["role"], run.info.status) for run in shown(place / "home", "try")]
    assert sorted(in_mlflow) == [("cell", "FINISHED"), ("study", "FINISHED")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 24 MB."""
    folder = tmp_path / "home"
    folder.mkdir()
    try:
        mount(folder, "size=24m")
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", "") or error
        pytest.skip(f"needs to mount a small file system, which only root may: {words}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True, text=True)


def test_on_a_full_disk_the_cause_is_named_the_rest_is_kept_and_with_room_the_same_command_goes_on(
    tmp_path: Path, small_disk: Path
) -> None:
    place = prepare(tmp_path, big="c")
    full = start(place, cpus=1)
    output, _ = full.communicate()
    assert full.returncode == 1, output
    assert re.search(r"failed: one × davis16-val.*segment c: the disk is full .*No space left", output), output
    assert labels(place) == {f"segment {name}" for name in NAMES if name != "c"}
    kept = published(place)

    mount(small_disk, "remount,size=200m")
    again = start(place, cpus=1)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert "1/1 cells filled" in output
    assert kept.items() <= published(place).items()
    assert Counter(runs(place / "log")) == {**dict.fromkeys(NAMES, 1), "c": 2}
