"""A cache against kill and damage: what is published is whole, runs once, and never changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.execution.worker import make_job, work
from harness.store.local import Store, find_damage
from tests.engine import ROOT, is_published, runs, toy

PROGRAM = """
import sys
from pathlib import Path
from harness.store.local import Store
from harness.execution.worker import make_job, work
from tests.engine import toy
store = Store(Path(sys.argv[1]))
stage = toy(Path(sys.argv[2]), "slow", seconds=float(sys.argv[3]))
print("ready", flush=True)
sys.exit(0 if work(make_job(stage, store, 1, "")) else 1)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def start(store: Store, log: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(store.home), str(log), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for(log: Path) -> None:
    while not runs(log):
        time.sleep(0.02)


def test_a_published_stage_is_not_run_again(store: Store, log: Path) -> None:
    stage = toy(log, "a")
    assert work(make_job(stage, store, 1, ""))
    assert work(make_job(stage, store, 1, ""))
    assert runs(log) == ["a"]


def test_two_processes_that_race_for_a_key_run_it_once(store: Store, log: Path) -> None:
    racers = [start(store, log, 0.5) for _ in range(3)]
    assert [racer.wait() for racer in racers] == [0, 0, 0]
    assert runs(log) == ["slow"]


def test_a_killed_worker_frees_its_claim_and_publishes_nothing(store: Store, log: Path) -> None:
    worker = start(store, log, 60)
    wait_for(log)
    stage = toy(log, "slow", seconds=60.0)
    assert store.is_running(stage.key)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert not store.is_running(stage.key)
    assert not is_published(store, stage)


def test_scratch_outlives_an_attempt_and_the_folder_does_not(store: Store, log: Path) -> None:
    stage = toy(log, "a", fails=True)
    assert not work(make_job(stage, store, 1, ""))
    first = store.start(stage.key)
    (first.folder / "half").write_text("")
    second = store.start(stage.key)
    assert (second.scratch / "attempts").read_text() == "x"
    assert not list(second.folder.iterdir())
    assert second.number == 3


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "half-manifest"])
def test_a_damaged_folder_is_moved_aside_and_computed_again(store: Store, log: Path, damage: str) -> None:
    stage = toy(log, "a")
    work(make_job(stage, store, 1, ""))
    folder = store.folder("toy", stage.key)
    if damage == "truncate":
        (folder / "done.txt").write_text("")
    elif damage == "half-manifest":
        text = (folder / "manifest.json").read_text()
        (folder / "manifest.json").write_text(text[: len(text) // 2])
    else:
        (folder / {"remove": "done.txt", "manifest": "manifest.json"}[damage]).unlink()
    assert store.find("toy", stage.key) is None
    assert len(list((store.root / "damaged").iterdir())) == 1
    assert work(make_job(stage, store, 1, ""))
    assert runs(log) == ["a", "a"]
    assert (folder / "done.txt").read_text() == "a after []"


def test_damage_that_leaves_the_size_is_seen_when_contents_are_hashed(store: Store, log: Path) -> None:
    stage = toy(log, "a")
    work(make_job(stage, store, 1, ""))
    folder = store.folder("toy", stage.key)
    (folder / "done.txt").write_text("A after []")
    manifest = store.manifest("toy", stage.key)
    assert manifest is not None
    assert find_damage(manifest) is None
    assert "content" in (find_damage(manifest, contents=True) or "")


def test_a_failure_keeps_error_traceback_and_log_until_a_success(store: Store, log: Path) -> None:
    stage = toy(log, "a", fails=True, prints="words-from-a-child-process")
    assert not work(make_job(stage, store, 1, ""))
    failure = store.failure(stage.key)
    assert failure is not None
    assert failure.error == "ValueError: a was configured to fail"
    assert "run_toy" in failure.traceback
    assert "words-from-a-child-process" in failure.log
    place = store.start(stage.key)
    (place.folder / "x").write_text("")
    store.publish("toy", stage.key, stage.label, stage.identity, {})
    assert store.failure(stage.key) is None


def test_the_manifest_says_what_was_run_on_what_and_how_long(store: Store, log: Path) -> None:
    stage = toy(log, "a")
    work(make_job(stage, store, 2, "abc"))
    manifest = json.loads((store.folder("toy", stage.key) / "manifest.json").read_text())
    assert manifest["identity"] == asdict(stage.identity)
    assert set(manifest["files"]) == {"done.txt"}
    provenance = manifest["provenance"]
    assert provenance["revision"] == "abc"
    assert provenance["cpus"] == 2
    assert provenance["attempts"] == 1
    assert provenance["seconds"] >= 0
    assert "numpy" in provenance["libraries"]


def test_a_home_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--home"):
        Store(tmp_path / "file")


def test_code_that_changed_since_the_plan_is_refused(store: Store, log: Path) -> None:
    job = make_job(toy(log, "a"), store, 1, "")
    job = replace(job, identity=replace(job.identity, code={**job.identity.code, "tests.engine": "another"}))
    assert not work(job)
    failure = store.failure(job.key)
    assert failure is not None
    assert "tests.engine" in failure.error
    assert runs(log) == []


def test_a_need_that_was_deleted_is_a_named_error(store: Store, log: Path) -> None:
    before = toy(log, "before")
    after = toy(log, "after", {"network": before})
    assert work(make_job(before, store, 1, ""))
    shutil.rmtree(store.folder("toy", before.key))
    assert not work(make_job(after, store, 1, ""))
    failure = store.failure(after.key)
    assert failure is not None
    assert f"toy {before.key[:12]}, which it needs, is no longer in {store.home}" in failure.error
    assert runs(log) == ["before"]
