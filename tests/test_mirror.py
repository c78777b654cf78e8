"""Homes that share nothing but a URL: each finds what another has done, none does it twice, nothing damaged is used."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.errors import RemoteError, StoreError
from harness.execution.worker import make_job, work
from harness.stage import Identity, Stage
from harness.store import SharedStore, Store, run_in_progress
from harness.store.objects import ObjectStore
from harness.store.remote_gc import damage, garbage, referenced, remove
from tests.engine import ROOT, runs, toy
from tests.s3 import S3, s3_server
from tests.test_race import plan


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["s3", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("s3").new_url() if request.param == "s3" else f"file://{tmp_path / 'shared'}"


def shared(home: Path, url: str, *, run: str = "", lasts: float = 3600.0) -> SharedStore:
    return SharedStore(home, ObjectStore(url), run=run or home.name, lasts=lasts)


def go(stage: Stage, store: Store) -> bool:
    return work(make_job(stage, store, 1, ""))


def go_unshared(stage: Stage, store: Store) -> None:
    assert go(stage, Store(store.home))


def files(store: Store, stage: Stage) -> dict[str, bytes]:
    folder = store.folder(stage.name, stage.key)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_one_home_has_done_another_fetches_with_what_it_needs(url: str, tmp_path: Path) -> None:
    train = toy(tmp_path / "log", "train")
    use = toy(tmp_path / "log", "use", {"network": train})
    a, b, c = (shared(tmp_path / name, url) for name in "abc")
    assert go(train, a)
    assert go(train, b)
    assert go(use, c)
    assert runs(tmp_path / "log") == ["train", "use"]
    assert files(a, train) == files(b, train) == files(c, train)
    assert a.mirror.published() == {("toy", train.key), ("toy", use.key)}
    assert not a.leases.in_force()


PROGRAM = """
import sys
from pathlib import Path
from tests.test_mirror import go, shared
from tests.test_race import plan
store = shared(Path(sys.argv[1]), sys.argv[3])
sys.exit(0 if all([go(stage, store) for stage in plan(Path(sys.argv[2]))]) else 1)
"""


def test_two_processes_of_two_homes_run_each_stage_once(s3: S3, tmp_path: Path) -> None:
    url = s3.new_url()
    racers = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path / home, tmp_path / "log", url], cwd=ROOT)
        for home in "ab"
    ]
    assert [racer.wait() for racer in racers] == [0, 0]
    stages = plan(tmp_path / "log")
    assert Counter(runs(tmp_path / "log")) == {stage.config.tag: 1 for stage in stages}
    assert {key for _, key in shared(tmp_path / "a", url).mirror.published()} == {stage.key for stage in stages}


KILLED = """
import os, sys
from pathlib import Path
from tests.test_mirror import shared
store = shared(Path(sys.argv[1]), sys.argv[2], lasts=float(sys.argv[4]))
with store.claim("toy", sys.argv[3]) as granted:
    os.kill(os.getpid(), 9 if granted else 15)
"""


def kill_at(home: Path, url: str, stage: Stage, lasts: float) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, home, url, stage.key, str(lasts)], cwd=ROOT, check=False)
    assert done.returncode == -9


def test_the_lease_of_a_killed_worker_blocks_other_homes_only(s3: S3, tmp_path: Path) -> None:
    stage, url = toy(tmp_path / "log", "one"), s3.new_url()
    kill_at(tmp_path / "a", url, stage, 3600.0)
    a, b = (shared(tmp_path / home, url, run="again") for home in "ab")
    with b.leases.held(stage.key, lambda: (0.0, "")) as had:
        assert not had
    assert not work(make_job(stage, b, 1, ""), wait=False)
    assert not b.failed_keys()
    assert go(stage, a)
    assert go(stage, b)
    assert runs(tmp_path / "log") == ["one"]


def test_an_expired_lease_is_taken_over(url: str, tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    kill_at(tmp_path / "a", url, stage, 0.1)
    b = shared(tmp_path / "b", url)
    assert go(stage, b)
    assert not b.leases.expired()


def test_if_two_homes_finish_a_stage_the_first_counts_for_both(url: str, tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a, b = (shared(tmp_path / home, url) for home in "ab")
    with b.claim(stage.name, stage.key) as granted:
        assert granted
        go_unshared(stage, a)  # a is presumed dead, and is not
        assert a.synchronize([stage]).sent == 1
        attempt = b.start(stage.key)
        (attempt.folder / "done.txt").write_text("not the same to the last bit")
        b.publish(stage.name, stage.key, stage.label, stage.identity, {})
    assert files(a, stage) == files(b, stage)
    objects = ObjectStore(url).sizes(f"files/{stage.name}/{stage.key}")
    assert len(objects) == 1  # what came too late is not left lying there


def test_files_without_a_manifest_are_not_used(url: str, tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a, b = (shared(tmp_path / home, url) for home in "ab")
    assert go(stage, a)
    ObjectStore(url).remove([f"manifests/{stage.name}/{stage.key}.json"])  # as if killed before it
    b.fetch([stage])
    assert b.find(stage.name, stage.key) is None
    assert go(stage, b)
    assert runs(tmp_path / "log") == ["one", "one"]


def _change_file(url: str, stage: Stage) -> None:
    (name,) = ObjectStore(url).sizes(f"files/{stage.name}/{stage.key}")
    content = ObjectStore(url).read(name)
    assert content is not None
    ObjectStore(url).replace(name, content[::-1])


def _cut_file(url: str, stage: Stage) -> None:
    (name,) = ObjectStore(url).sizes(f"files/{stage.name}/{stage.key}")
    ObjectStore(url).replace(name, b"")


def _lose_file(url: str, stage: Stage) -> None:
    ObjectStore(url).remove(ObjectStore(url).sizes(f"files/{stage.name}/{stage.key}"))


def _change_manifest(url: str, stage: Stage, change: Callable[[dict], None]) -> None:
    name = f"manifests/{stage.name}/{stage.key}.json"
    manifest = json.loads(ObjectStore(url).read(name) or b"")
    change(manifest)
    ObjectStore(url).replace(name, json.dumps(manifest).encode())


def _change_config(url: str, stage: Stage) -> None:
    _change_manifest(url, stage, lambda manifest: manifest["identity"]["config"].update(tag="two"))


def _lead_out_of_the_home(url: str, stage: Stage) -> None:
    _change_manifest(url, stage, lambda manifest: manifest["files"].update({"../../x": {"size": 0, "sha256": ""}}))


def _cut_manifest(url: str, stage: Stage) -> None:
    ObjectStore(url).replace(f"manifests/{stage.name}/{stage.key}.json", b'{"key": ')


@pytest.mark.parametrize(
    "do_damage", [_change_file, _cut_file, _lose_file, _change_config, _lead_out_of_the_home, _cut_manifest]
)
def test_damage_at_the_url_is_reported_and_computed_again(
    do_damage: Callable[[str, Stage], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"file://{tmp_path / 'shared'}"
    stage = toy(tmp_path / "log", "one")
    a, b, c = (shared(tmp_path / home, url) for home in "abc")
    assert go(stage, a)
    do_damage(url, stage)
    assert damage(b, stage.name, stage.key)
    assert go(stage, b)
    assert "damaged" in caplog.text
    assert go(stage, c)
    assert runs(tmp_path / "log") == ["one", "one"]
    assert files(b, stage) == files(c, stage)
    assert damage(b, stage.name, stage.key) is None


def test_a_server_that_is_down_gets_the_results_when_it_is_back(s3: S3, tmp_path: Path) -> None:
    stage, other = toy(tmp_path / "log", "one"), toy(tmp_path / "log", "two")
    url = s3.new_url()
    a, b = (shared(tmp_path / home, url) for home in "ab")
    assert go(other, b)
    s3.down()
    try:
        assert go(stage, a)
        with pytest.raises(RemoteError, match=url):
            a.synchronize([stage, other])
    finally:
        s3.up()
    assert a.synchronize([stage, other]).sent == 1
    assert a.find(other.name, other.key)
    assert go(stage, b)
    assert runs(tmp_path / "log") == ["two", "one"]


def test_a_worker_whose_home_the_driver_cannot_see_sends_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path / 'shared'}"
    fails, works = toy(tmp_path / "log", "fails", fails=True), toy(tmp_path / "log", "works")
    driver = shared(tmp_path / "driver", url)
    monkeypatch.setenv("HARNESS_NODE_HOME", str(tmp_path / "node"))
    # As in a worker on another node, which is a process of its own.
    program = (
        "import pickle, sys; from harness.execution.worker import work\nprint(work(pickle.load(sys.stdin.buffer)))"
    )
    jobs = [make_job(stage, driver, 1, "") for stage in (fails, works)]
    begun = time.time()
    for job in jobs:
        subprocess.run([sys.executable, "-c", program], input=pickle.dumps(job), cwd=ROOT, check=True)
    assert driver.failure(fails.key) is None
    failure = driver.failure(fails.key, since=begun)
    assert failure is not None
    assert "configured to fail" in failure.error
    assert driver.is_published(works.name, works.key)
    assert driver.find(works.name, works.key) is None
    driver.fetch([works])
    assert driver.find(works.name, works.key)


def test_a_damaged_stage_of_the_home_is_not_sent(tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a = shared(tmp_path / "a", f"file://{tmp_path / 'shared'}")
    go_unshared(stage, a)
    path = a.folder(stage.name, stage.key) / "done.txt"
    path.write_text(path.read_text()[::-1])
    with pytest.raises(StoreError, match="content has changed"):
        a.synchronize([stage])
    assert not a.mirror.published()


def test_the_key_follows_from_the_recorded_identity(tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "two", {"network": toy(tmp_path / "log", "one")}, seconds=0.1)
    assert Identity.from_dict(json.loads(json.dumps(asdict(stage.identity)))).key == stage.key


def test_a_stage_of_a_release_with_other_keys_is_not_damaged(tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a = shared(tmp_path / "a", f"file://{tmp_path / 'shared'}")
    assert go(stage, a)
    manifest = tmp_path / "shared" / "manifests" / "toy" / f"{stage.key}.json"
    content = json.loads(manifest.read_text())
    content["identity"]["version"] += 1  # so that the key cannot be made from it
    manifest.write_text(json.dumps(content))
    assert "does not agree" in (a.mirror.find_damage("toy", stage.key, tmp_path / "scratch") or "")
    del content["identity"]["scheme"]
    manifest.write_text(json.dumps(content))
    assert a.mirror.find_damage("toy", stage.key, tmp_path / "scratch") is None


def test_pruning_at_the_url_spares_referenced_and_running_stages(tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'shared'}"
    used, unused, begun = (toy(tmp_path / "log", tag) for tag in ("used", "unused", "begun"))
    a, b = (shared(tmp_path / home, url) for home in "ab")
    assert all(go(stage, a) for stage in (used, unused))
    (a.home / "plans").mkdir()
    (a.home / "plans" / "study.json").write_text(json.dumps({"plans": [{"stages": {used.key: "toy"}}]}))
    a.synchronize([])
    for stage in (begun, unused):
        a.mirror.objects.replace(f"files/toy/{stage.key}/0123/half.txt", b"half")
    assert not list(garbage(b, 3600.0))
    with b.leases.held(begun.key, lambda: (0.0, "")):
        assert len(list(remove(b, list(garbage(b, 0.0))))) == 2
    assert b.mirror.published() == {("toy", used.key)}
    assert {name.split("/")[2] for name in b.mirror.objects.sizes("files")} == {used.key, begun.key}


def test_pruning_at_the_url_spares_what_a_run_in_progress_was_planned_with(tmp_path: Path) -> None:
    a, b = (shared(tmp_path / home, f"file://{tmp_path / 'shared'}") for home in "ab")
    stage = toy(tmp_path / "log", "one")
    assert go(stage, a)
    with run_in_progress(a.root, "study", {stage.key: "toy"}):
        a.synchronize([])
        assert referenced(b.mirror) == {stage.key: ("study",)}
        assert not list(garbage(b, 0.0))
    a.synchronize([])
    assert list(remove(b, list(garbage(b, 0.0))))
    assert not b.mirror.published()
