"""The command with `--store URL`: homes and nodes that share no folder share what they have done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.results import load_results
from tests.command import install, published
from tests.engine import ROOT, make_davis16, runs

STUDY = "name: shared\nmethod: sleepy\nbenchmarks: [davis16-val]\nvariants:\n  one: {seconds: 0.5}\n"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Two nodes; the second has a home of its own, as if it did not see the driver's."""
    from ray.cluster_utils import Cluster

    temp = Path(f"/tmp/vos-shared-{os.getpid()}")
    (temp / "ray").mkdir(parents=True)
    monkeypatch.setenv("RAY_TMPDIR", str(temp))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path / "plugin")]))
    install(tmp_path / "plugin")
    few = {"num_cpus": 1, "object_store_memory": 80_000_000}
    made = Cluster(initialize_head=True, head_node_args={**few, "include_dashboard": False})
    with monkeypatch.context() as second:
        second.setenv("HARNESS_NODE_HOME", str(tmp_path / "node"))
        made.add_node(**few)
    yield made
    made.shutdown()
    shutil.rmtree(temp, ignore_errors=True)


def test_nodes_without_a_common_folder_fill_the_home_of_the_driver(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_davis16(tmp_path / "data", ("a", "b", "c", "d", "e", "f"))
    (tmp_path / "shared.yaml").write_text(STUDY)
    url = f"file://{tmp_path / 'bucket'}"
    words = [str(tmp_path / "shared.yaml"), "--data", str(tmp_path / "data"), "--store", url]

    def run(home: str, *more: str) -> str:  # in a process of its own, as methods are looked for once
        command = [sys.executable, "-m", "harness.run", *words, "--home", str(tmp_path / home), *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("a", "--address", cluster.address)
    assert published(tmp_path, "node"), "nothing ran on the second node"
    assert published(tmp_path, "node").keys() <= published(tmp_path, "a").keys()  # which node does how much is chance
    assert "7 of the cached are not in this home yet" in run("b", "--plan")
    assert not published(tmp_path, "b")
    assert "7 finished stages fetched" in run("b")
    assert published(tmp_path, "a").keys() == published(tmp_path, "b").keys()
    numbers = [
        [replace(one, score_folder="", masks={}) for one in load_results(tmp_path / home, "shared")] for home in "ab"
    ]
    assert numbers[0] == numbers[1]
    assert main(["store", "verify", "--remote", "--home", str(tmp_path / "b")]) == 0
    assert "7 finished stages checked, 0 damaged" in capsys.readouterr().out


def test_two_runs_of_two_homes_at_once_do_each_stage_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_davis16(tmp_path / "data", ("a", "b", "c", "d", "e", "f"))
    log = tmp_path / "log"
    (tmp_path / "shared.yaml").write_text(STUDY.replace("{seconds: 0.5}", f"{{seconds: 0.5, log: {log}}}"))
    install(tmp_path / "plugin")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path / "plugin")]))
    words = [str(tmp_path / "shared.yaml"), "--data", str(tmp_path / "data"), "--cpus", "1"]
    command = [sys.executable, "-m", "harness.run", *words, "--store", f"file://{tmp_path / 'bucket'}"]
    racers = [subprocess.Popen([*command, "--home", str(tmp_path / home)], cwd=tmp_path) for home in "ab"]
    assert [racer.wait() for racer in racers] == [0, 0]
    assert sorted(runs(log)) == ["a", "b", "c", "d", "e", "f"]
    assert published(tmp_path, "a").keys() == published(tmp_path, "b").keys()


def test_an_unreachable_url_ends_the_command_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("sleepy", "first-mask").replace("{seconds: 0.5}", "{}"))
    command = ["run", str(tmp_path / "study.yaml"), "--home", str(tmp_path / "home"), "--store"]
    assert main([*command, f"file://{tmp_path}/not/mounted"]) == 2
    assert "is it mounted" in capsys.readouterr().err
    assert not (tmp_path / "home" / "data").exists()
