"""The whole command against Ctrl-C, SIGTERM, a second one of its kind, and a disk that is full."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command import install, labels, published, read_until, start
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


@dataclass(frozen=True)
class Stopped:
    """A run after one Ctrl-C and its end."""

    status: int
    output: str
    begun: list[str]
    """Videos, in all runs up to now."""

    published: dict[str, int]
    labels: set[str]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> list[Stopped]:
    """One study three times: Ctrl-C once while two stages run, then twice, then left alone."""
    place = tmp_path_factory.mktemp("stopped")
    prepare(place, gate=str(place / "gate"))
    found = []
    for interrupts in (1, 2, 0):
        before = len(runs(place / "log"))
        process = start(place)
        output = ""
        if not interrupts:
            (place / "gate").touch()
        while interrupts and len(runs(place / "log")) < before + 2 and process.poll() is None:
            time.sleep(0.1)
        for number in range(interrupts):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to Ray's processes too
            if number == 0:
                output = read_until(process, "stopping")
        if interrupts == 1:
            (place / "gate").touch()
        output += process.communicate()[0]
        (place / "gate").unlink(missing_ok=True)
        found.append(Stopped(process.returncode, output, runs(place / "log"), published(place), labels(place)))
    assert not list((place / "home" / "store" / "damaged").iterdir())
    return found


def test_ctrl_c_once_finishes_what_runs_keeps_it_and_begins_nothing_more(stopped: list[Stopped]) -> None:
    once = stopped[0]
    assert once.status == 130, once.output
    assert 2 <= len(once.begun) < len(NAMES)
    assert once.labels == {f"segment {name}" for name in once.begun}


def test_ctrl_c_twice_stops_at_once_and_publishes_nothing_half(stopped: list[Stopped]) -> None:
    once, twice, _ = stopped
    assert twice.status == 130, twice.output
    assert "the same command goes on" in twice.output
    assert len(twice.begun) > len(once.begun)
    assert twice.published == once.published


def test_after_both_the_same_command_does_the_rest_and_nothing_again(stopped: list[Stopped]) -> None:
    once, _, last = stopped
    assert last.status == 0, last.output
    assert "1/1 cells filled" in last.output
    assert once.published.items() <= last.published.items()
    assert last.labels == {*(f"segment {name}" for name in NAMES), "score DAVIS16 val"}
    assert all(last.begun.count(name) == 1 for name in once.begun)


def test_a_run_stopped_by_sigterm_closes_mlflow_and_leaves_no_process(tmp_path: Path) -> None:
    place = tmp_path
    make_davis16(place / "data")
    install(place / "plugin")
    (place / "try.yaml").write_text(
        "name: try\nmethod: sleepy\nbenchmarks: [davis16-val]\n"
        f"variants: {{one: {{}}, two: {{gate: {place / 'gate'}}}}}\n"
    )
    process = start(place, cpus=3)
    while parent_status(place) != "RUNNING" and process.poll() is None:
        time.sleep(0.5)
    before = published(place)
    os.killpg(process.pid, signal.SIGTERM)  # as a scheduler does: to Ray's processes too
    output, _ = process.communicate(timeout=25)  # Slurm kills after 30 s
    assert process.returncode == 143, output
    assert "stopped by SIGTERM; the same command goes on" in output
    assert "***" not in output
    assert parent_status(place) == "KILLED"
    assert not living(process.pid)
    (place / "gate").touch()
    again = start(place)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert before.items() <= published(place).items()


def parent_status(place: Path) -> str:
    """Return the status of the study's parent run in MLflow, empty if there is none."""
    if not (place / "home" / "mlflow.db").is_file():
        return ""
    with closing(sqlite3.connect(place / "home" / "mlflow.db")) as database:
        found = database.execute("SELECT status FROM runs WHERE name = 'try'").fetchone()
    return found[0] if found else ""


def living(group: int) -> list[str]:
    """Return the processes of a group that have not ended; those that nobody waits for are ended."""
    done = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    return [args for pgid, stat, args in rows if int(pgid) == group and not stat.startswith("Z")]


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


def fill(folder: Path, left: int) -> None:
    """Leave so many bytes on a file system."""
    free = os.statvfs(folder)
    with (folder / "filler").open("ab") as file:
        file.write(bytes(max(free.f_bavail * free.f_frsize - left, 0)))


def test_a_disk_without_any_room_is_one_cause_for_all_and_no_retry(tmp_path: Path, small_disk: Path) -> None:
    place = prepare(tmp_path)
    fill(small_disk, left=130_000)  # how many stages that stops depends on the sizes of blocks
    full = start(place, cpus=1)
    output, _ = full.communicate()
    assert full.returncode == 1, output
    (line,) = [line for line in output.splitlines() if line.startswith("failed: ")]
    cause = f"the disk is full: no room at {small_disk} "
    assert re.search(rf"segment \w( and \d more)?: {re.escape(cause)}", line), output
    assert not any(words in output for words in ("tried again", "want of memory", "no record of why", "Traceback"))

    fill(small_disk, left=0)
    none = start(place, cpus=1)
    output, _ = none.communicate()
    assert none.returncode in (1, 2), output
    assert cause in output
    assert "Traceback" not in output

    (small_disk / "filler").unlink()
    again = start(place, cpus=1)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert "1/1 cells filled" in output


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


def test_a_full_disk_is_named_and_the_same_command_continues(tmp_path: Path, small_disk: Path) -> None:
    place = prepare(tmp_path, big="c")
    full = start(place, cpus=1)
    output, _ = full.communicate()
    assert full.returncode == 1, output
    assert re.search(
        rf"failed: one × davis16-val.*segment c: the disk is full: no room at {re.escape(str(small_disk))} ", output
    ), output
    assert "segment c had written " in output
    assert "Traceback" not in output
    assert labels(place) == {f"segment {name}" for name in NAMES if name != "c"}
    kept = published(place)

    mount(small_disk, "remount,size=200m")
    again = start(place, cpus=1)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert "1/1 cells filled" in output
    assert kept.items() <= published(place).items()
    assert Counter(runs(place / "log")) == {**dict.fromkeys(NAMES, 1), "c": 2}
