"""Homes that share nothing but a URL: each finds what another has done, none does it twice, nothing damaged is used."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import RemoteError, StoreError
from harness.execution.worker import make_job, work
from harness.stage import Stage, key_of
from harness.store.local import Store
from harness.store.mirror import Mirror
from harness.store.objects import ObjectStore
from harness.store.remote_gc import litter, remove
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


def mirror_of(home: Path, url: str, *, run: str = "", lasts: float = 3600.0) -> Mirror:
    return Mirror(Store(home), ObjectStore(url), run=run or home.name, lasts=lasts)


def go(stage: Stage, mirror: Mirror) -> bool:
    return work(make_job(stage, mirror.store, 1, "", mirror=mirror))


def files(mirror: Mirror, stage: Stage) -> dict[str, bytes]:
    folder = mirror.store.folder(stage.name, stage.key)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_one_home_has_done_another_fetches_with_what_it_needs(url: str, tmp_path: Path) -> None:
    train = toy(tmp_path / "log", "train")
    use = toy(tmp_path / "log", "use", {"network": train})
    a, b, c = (mirror_of(tmp_path / name, url) for name in "abc")
    assert go(train, a)
    assert go(train, b)
    assert go(use, c)
    assert runs(tmp_path / "log") == ["train", "use"]
    assert files(a, train) == files(b, train) == files(c, train)
    assert a.published() == {("toy", train.key), ("toy", use.key)}
    assert not a.leases.in_force()


PROGRAM = """
import sys
from pathlib import Path
from tests.test_mirror import go, mirror_of
from tests.test_race import plan
mirror = mirror_of(Path(sys.argv[1]), sys.argv[3])
sys.exit(0 if all([go(stage, mirror) for stage in plan(Path(sys.argv[2]))]) else 1)
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
    assert {key for _, key in mirror_of(tmp_path / "a", url).published()} == {stage.key for stage in stages}


KILLED = """
import os, sys
from pathlib import Path
from tests.test_mirror import mirror_of
mirror = mirror_of(Path(sys.argv[1]), sys.argv[2], lasts=float(sys.argv[4]))
with mirror.store.claim(sys.argv[3]):
    mirror.share("toy", sys.argv[3], lambda: os.kill(os.getpid(), 9), is_driver_s=True)
"""


def kill_at(home: Path, url: str, stage: Stage, lasts: float) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, home, url, stage.key, str(lasts)], cwd=ROOT, check=False)
    assert done.returncode == -9


def test_the_lease_of_a_killed_worker_holds_against_other_homes_and_not_against_its_own(s3: S3, tmp_path: Path) -> None:
    stage, url = toy(tmp_path / "log", "one"), s3.new_url()
    kill_at(tmp_path / "a", url, stage, 3600.0)
    a, b = (mirror_of(tmp_path / home, url, run="again") for home in "ab")
    with b.leases.held(stage.key, lambda: (0.0, "")) as had:
        assert not had
    assert not work(make_job(stage, b.store, 1, "", mirror=b), wait=False)
    assert not b.store.failing()
    assert go(stage, a)
    assert go(stage, b)
    assert runs(tmp_path / "log") == ["one"]


def test_a_lease_that_has_run_out_is_taken_over(url: str, tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    kill_at(tmp_path / "a", url, stage, 0.1)
    b = mirror_of(tmp_path / "b", url)
    assert go(stage, b)
    assert not b.leases.run_out()


def test_of_two_who_finish_one_stage_the_first_counts_for_both(url: str, tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a, b = (mirror_of(tmp_path / home, url) for home in "ab")

    def late() -> bool:
        assert work(make_job(stage, a.store, 1, ""))  # a is thought dead, and is not
        a.send(stage.name, stage.key)
        place = b.store.start(stage.key)
        (place.folder / "done.txt").write_text("not the same to the last bit")
        b.store.publish(stage.name, stage.key, stage.label, stage.identity, {})
        return True

    with b.store.claim(stage.key):
        assert b.share(stage.name, stage.key, late, is_driver_s=True)
    assert files(a, stage) == files(b, stage)
    objects = ObjectStore(url).sizes(f"files/{stage.name}/{stage.key}")
    assert len(objects) == 1  # what came too late is not left lying there


def test_files_without_a_manifest_are_not_used(url: str, tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a, b = (mirror_of(tmp_path / home, url) for home in "ab")
    assert go(stage, a)
    ObjectStore(url).remove([f"manifests/{stage.name}/{stage.key}.json"])  # as if killed before it
    assert not b.fetch(stage.name, stage.key)
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
    "damage", [_change_file, _cut_file, _lose_file, _change_config, _lead_out_of_the_home, _cut_manifest]
)
def test_what_is_damaged_at_the_url_is_told_and_computed_again(
    damage: Callable[[str, Stage], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{tmp_path / 'shared'}"
    stage = toy(tmp_path / "log", "one")
    a, b, c = (mirror_of(tmp_path / home, url) for home in "abc")
    assert go(stage, a)
    damage(url, stage)
    assert b.problem(stage.name, stage.key)
    assert go(stage, b)
    assert "damaged" in capfd.readouterr().err
    assert go(stage, c)
    assert runs(tmp_path / "log") == ["one", "one"]
    assert files(b, stage) == files(c, stage)
    assert b.problem(stage.name, stage.key) is None


def test_a_server_that_is_down_stops_no_work_and_gets_the_results_when_it_is_back(s3: S3, tmp_path: Path) -> None:
    stage, other = toy(tmp_path / "log", "one"), toy(tmp_path / "log", "two")
    url = s3.new_url()
    a, b = (mirror_of(tmp_path / home, url) for home in "ab")
    assert go(other, b)
    s3.down()
    try:
        assert go(stage, a)
        with pytest.raises(RemoteError, match=url):
            a.level([stage, other])
    finally:
        s3.up()
    assert a.level([stage, other]).sent == 1
    assert a.store.find(other.name, other.key)
    assert go(stage, b)
    assert runs(tmp_path / "log") == ["two", "one"]


def test_a_worker_whose_driver_does_not_see_its_home_tells_it_of_failures_and_of_results_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path / 'shared'}"
    fails, works = toy(tmp_path / "log", "fails", fails=True), toy(tmp_path / "log", "works")
    driver = mirror_of(tmp_path / "driver", url)
    monkeypatch.setenv("HARNESS_NODE_HOME", str(tmp_path / "node"))
    # As in a worker on another node, which is a process of its own.
    program = (
        "import pickle, sys; from harness.execution.worker import work\nprint(work(pickle.load(sys.stdin.buffer)))"
    )
    jobs = [make_job(stage, driver.store, 1, "", mirror=driver) for stage in (fails, works)]
    for job in jobs:
        subprocess.run([sys.executable, "-c", program], input=pickle.dumps(job), cwd=ROOT, check=True)
    driver.failure(fails.key, 0.0)
    failure = driver.store.failure(fails.key)
    assert failure is not None
    assert "told to fail" in failure.error
    assert driver.has(works.name, works.key)
    assert driver.store.find(works.name, works.key) is None
    driver.bring([works])
    assert driver.store.find(works.name, works.key)


def test_a_damaged_stage_of_the_home_is_not_sent(tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "one")
    a = mirror_of(tmp_path / "a", f"file://{tmp_path / 'shared'}")
    assert work(make_job(stage, a.store, 1, ""))
    path = a.store.folder(stage.name, stage.key) / "done.txt"
    path.write_text(path.read_text()[::-1])
    with pytest.raises(StoreError, match="content has changed"):
        a.level([stage])
    assert not a.published()


def test_the_key_can_be_told_from_what_is_kept(tmp_path: Path) -> None:
    stage = toy(tmp_path / "log", "two", {"network": toy(tmp_path / "log", "one")}, seconds=0.1)
    assert key_of(json.loads(json.dumps(stage.identity))) == stage.key


def test_pruned_at_the_url_is_what_no_home_s_study_refers_to_and_nothing_that_is_in_work(tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'shared'}"
    used, unused, begun = (toy(tmp_path / "log", tag) for tag in ("used", "unused", "begun"))
    a, b = (mirror_of(tmp_path / home, url) for home in "ab")
    assert all(go(stage, a) for stage in (used, unused))
    (a.store.home / "plans").mkdir()
    (a.store.home / "plans" / "study.json").write_text(json.dumps({"plans": [{"stages": {used.key: "toy"}}]}))
    a.keep_plans()
    for stage in (begun, unused):
        a.remote.replace(f"files/toy/{stage.key}/0123/half.txt", b"half")
    assert not list(litter(b, 3600.0))
    with b.leases.held(begun.key, lambda: (0.0, "")):
        assert len(list(remove(b, list(litter(b, 0.0))))) == 2
    assert b.published() == {("toy", used.key)}
    assert {name.split("/")[2] for name in b.remote.sizes("files")} == {used.key, begun.key}
