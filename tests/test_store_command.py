"""The store verb: it prunes only what nobody refers to, finds damage and leaves running stages as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.console import human_size
from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.study import load_study
from harness.results import save_plan
from harness.stage import Stage
from harness.store import run_in_progress
from harness.store.local import Failure, Store
from tests.engine import ROOT, make_davis16, toy

STUDY = "name: try\nmethod: first-mask\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def plan(tmp_path: Path, store: Store) -> Plan:
    """A study that was run to its end, and its plan kept."""
    protocols = load_protocols()
    make_davis16(tmp_path / "data")
    (tmp_path / "try.yaml").write_text(STUDY)
    study = load_study(tmp_path / "try.yaml", protocols)
    plan = make_plan(study, gather([protocols["davis16-val"]], tmp_path / "data", tmp_path / "facts"), store)
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, ""))
    save_plan(plan, store, tmp_path / "try.yaml", {})
    return plan


@pytest.fixture
def stray(tmp_path: Path, store: Store) -> Stage:
    """A finished stage that no study refers to."""
    stage = toy(tmp_path / "log", "stray")
    assert work(make_job(stage, store, 1, ""))
    return stage


def command(store: Store, *words: str) -> int:
    return main(["store", *words, "--home", str(store.home)])


def published(store: Store) -> set[str]:
    return {key for _, key in store.published()}


def grow_old(place: Path, days: float) -> None:
    then = time.time() - days * 86400
    for path in (*place.rglob("*"), place):
        os.utime(path, (then, then))


def test_pruning_shows_what_would_go_and_removes_nothing(
    store: Store, plan: Plan, stray: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(store, "prune") == 0
    output = capsys.readouterr().out
    assert f"toy/{stray.key}" in output
    assert "1 would be removed" in output
    assert published(store) == {*plan.items, stray.key}


def test_pruning_removes_what_no_study_refers_to_and_nothing_else(store: Store, plan: Plan, stray: Stage) -> None:
    store.fail(Failure(key="f" * 64, label="gone", error="no luck", traceback="", log="", when=0.0))
    assert command(store, "prune", "--yes") == 0
    assert published(store) == set(plan.items)
    assert not store.failed_keys()
    assert not list((store.root / "damaged").iterdir())


def test_pruning_keeps_running_stages(store: Store, plan: Plan, stray: Stage) -> None:
    with store.lock(stray.key):
        assert command(store, "prune", "--yes") == 0
    assert stray.key in published(store)


def test_pruning_keeps_what_a_run_in_progress_was_planned_with(
    tmp_path: Path, store: Store, plan: Plan, stray: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = {key: item.stage.name for key, item in plan.items.items()}
    with run_in_progress(store.root, "try", stages):
        save_plan(replace(plan, items={}, cells=()), store, tmp_path / "try.yaml", {})  # takes the place of the former
        assert command(store, "prune", "--yes") == 0
        assert published(store) == set(plan.items)
        command(store, "list", "--json")
        listed = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert all(entry["studies"] == ["try"] for entry in listed)
    assert command(store, "prune", "--yes") == 0
    assert not published(store)


def test_a_run_that_was_killed_keeps_nothing_from_pruning(store: Store, plan: Plan, stray: Stage) -> None:
    program = (
        "import os, pathlib, sys; from harness.store import run_in_progress\n"
        "with run_in_progress(pathlib.Path(sys.argv[1]), 'other', {sys.argv[2]: 'toy'}): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(store.root), stray.key], cwd=ROOT, check=False)
    assert len(list((store.root / "runs").iterdir())) == 1
    assert command(store, "prune", "--yes") == 0
    assert published(store) == set(plan.items)
    assert not list((store.root / "runs").iterdir())


def test_pruning_removes_attempts_abandoned_long_ago(store: Store, plan: Plan) -> None:
    old, new, held = ("a" * 64, "b" * 64, "c" * 64)
    for key in (old, new, held):
        (store.start(key).scratch / "checkpoint").write_text("")
    for key in (old, held):
        grow_old(store.root / "work" / key, 8)
    with store.lock(held):
        assert command(store, "prune", "--yes") == 0
    assert {path.name for path in (store.root / "work").iterdir()} == {new, held}
    assert command(store, "prune", "--yes", "--older-than", "0") == 0
    assert not list((store.root / "work").iterdir())


def test_pruning_is_refused_if_a_study_has_no_plan_record(
    store: Store, stray: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.home / "rows").mkdir()
    (store.home / "rows" / "older.json").write_text('{"version": 1, "results": []}')
    assert command(store, "prune", "--yes") == 2
    assert "older" in capsys.readouterr().err
    assert published(store) == {stray.key}


def test_verifying_finds_changed_bytes_and_sets_the_folder_aside(
    store: Store, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(store, "verify") == 0
    stage = next(item.stage for item in plan.items.values() if item.stage.name == "score")
    total = store.folder(stage.name, stage.key) / "total.json"
    total.write_text(total.read_text().replace("0", "1"))
    assert command(store, "verify") == 1
    assert store.find(stage.name, stage.key) is not None  # its size has not changed
    assert "total.json: its content has changed" in capsys.readouterr().out
    assert command(store, "verify", "--set-aside") == 1
    assert store.find(stage.name, stage.key) is None
    assert command(store, "verify") == 0
    assert work(make_job(stage, store, 1, ""))
    assert command(store, "verify") == 0


def test_a_manifest_without_digests_is_verified_by_sizes(store: Store, plan: Plan) -> None:
    name, key = next(store.published())
    path = store.folder(name, key) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {file: {"size": facts["size"]} for file, facts in manifest["files"].items()}
    path.write_text(json.dumps(manifest))
    assert command(store, "verify") == 0


def test_the_list_names_the_studies_that_refer_to_a_stage(
    store: Store, plan: Plan, stray: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(store, "list", "--json") == 0
    found = {entry["key"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(found) == {*plan.items, stray.key}
    assert found[stray.key]["studies"] == []
    assert all(found[key]["studies"] == ["try"] for key in plan.items)
    assert command(store, "list", "--kind", "toy") == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_sizes_add_up(store: Store, plan: Plan, stray: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(store, "size") == 0
    lines = {line[:22].strip(): line[22:].split() for line in capsys.readouterr().out.splitlines()}
    assert int(lines["finished stages"][0]) == len(plan.items) + 1
    assert int(lines["that no study needs"][0]) == 1


def test_a_folder_without_a_store_is_a_named_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "list", "--home", str(tmp_path / "absent")]) == 2
    assert "absent" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()


def test_sizes_have_readable_units() -> None:
    assert [human_size(size) for size in (0, 999, 1500, 2_340_000)] == ["0 B", "999 B", "1.5 kB", "2.3 MB"]
