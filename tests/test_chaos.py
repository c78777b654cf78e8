"""Random SIGKILLs over driver, workers and nodes of a cluster: the tables come out as if nothing had happened.

A handful of kills by default, on two Ray nodes of this machine. The long form takes a quarter of an hour or more and
prints at its end how often what was killed, how many stages there were, and that the tables are the same:

    CHAOS_KILLS=30 CHAOS_SEED=1 pytest tests/test_chaos.py -s

Another CHAOS_SEED kills in another order."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command import install, published
from tests.engine import ROOT, make_davis16
from tests.finished import shown

KILLS = int(os.environ.get("CHAOS_KILLS", "4"))
SEED = int(os.environ.get("CHAOS_SEED", "0"))
KINDS = ("worker", "node", "driver")
SECONDS = 0.5
"""Seconds of one stage."""


def command(place: Path, home: str, *more: str) -> subprocess.Popen[str]:
    """The study, in a session of its own."""
    words = [sys.executable, "-m", "harness.run", str(place / "study.yaml"), "--data", str(place / "data")]
    with (place / f"{home}.log").open("a") as log:
        return subprocess.Popen(
            [*words, "--home", str(place / home), *more],
            cwd=place,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


class Machines:
    """A cluster of two nodes, of which one can be killed and comes back."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.second = self._add()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_node(self) -> bool:
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = self._add()
        return True

    def kill_worker(self, choose: random.Random) -> bool:
        """One that works on a stage; whether there was one."""
        workers = [pid for pid, name in _below(os.getpid()).items() if name.startswith("ray::ImplicitFunc")]
        if workers:
            with suppress(ProcessLookupError):
                os.kill(choose.choice(sorted(workers)), signal.SIGKILL)
        return bool(workers)

    def _add(self) -> object:
        return self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)


def _below(root: int) -> dict[int, str]:
    """Descendants of a process: id → command line."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    found: dict[int, str] = {}
    work = [root]
    while work:
        parent = work.pop()
        for pid, above in parents.items():
            if above == parent and pid not in found:
                found[pid] = names.get(pid, "")
                work.append(pid)
    return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Its files in a folder of its own, with a short name."""
    temp = Path(f"/tmp/vos-chaos-{os.getpid()}")
    (temp / "ray").mkdir(parents=True)
    monkeypatch.setenv("RAY_TMPDIR", str(temp))
    made = Machines()
    yield made
    made.cluster.shutdown()
    shutil.rmtree(temp, ignore_errors=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of many short stages, and its data."""
    make_davis16(tmp_path / "data", tuple(f"v{number}" for number in range(max(6, 2 * KILLS))))
    install(tmp_path / "plugin")
    (tmp_path / "study.yaml").write_text(
        "name: chaos\nmethod: sleepy\nbenchmarks: [davis16-val]\n"
        f"variants:\n  one: {{seconds: {SECONDS}}}\n  two: {{seconds: {SECONDS + 0.01}}}\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path / "plugin")]))
    return tmp_path


@pytest.fixture
def calm(place: Path) -> Iterator[subprocess.Popen[str]]:
    """The undisturbed run, started before the cluster is."""
    process = command(place, "calm", "--cpus", "2")
    yield process
    process.kill()


def tables(home: Path) -> dict[str, str]:
    """The report's tables, without the folder that they lie in."""
    folder = home / "reports" / "chaos"
    return {path.name: path.read_text().replace(str(home), "HOME") for path in sorted(folder.glob("*.md"))}


def summary(home: Path, kills: Counter[str], *, identical: bool) -> str:
    """What the long form is run for."""
    manifests = [json.loads(path.read_text()) for path in home.glob("store/*/*/manifest.json")]
    again = sum(manifest["provenance"]["attempts"] - 1 for manifest in manifests)
    ids = Counter(run.data.tags["id"] for run in shown(home, "chaos"))
    return (
        f"\n{kills.total()} kills ({', '.join(f'{kills[kind]} {kind}' for kind in KINDS)}), seed {SEED}\n"
        f"{len(manifests)} stages published, none twice; {again} attempts were cut off and made again\n"
        f"{ids.total()} runs in MLflow, {ids.total() - len(ids)} double\n"
        f"tables {'the same as those' if identical else 'DIFFERENT from those'} of a run without kills"
    )


def test_random_kills_change_no_table_and_publish_no_stage_twice(
    place: Path, calm: subprocess.Popen[str], cluster: Machines
) -> None:
    choose = random.Random(SEED)
    seen: dict[str, int] = {}
    kills: Counter[str] = Counter()
    driver = command(place, "wild", "--address", cluster.address)
    try:
        while kills.total() < KILLS:
            now = published(place, "wild")
            assert seen.items() <= now.items(), "a stage was published again"
            if driver.poll() is not None:
                # The driver dies with the node that it joined through; what it must not say is that the input is wrong.
                assert driver.returncode != 2, (place / "wild.log").read_text()
                if driver.returncode == 0:
                    break
                driver = command(place, "wild", "--address", cluster.address)
            if len(now) == len(seen):
                time.sleep(0.1)
                continue
            seen = now
            time.sleep(choose.uniform(0, SECONDS))
            kind = KINDS[kills.total() % 3] if KILLS < 9 else choose.choice(KINDS)
            if kind == "driver":
                driver.kill()
                kills[kind] += 1
            else:
                kills[kind] += cluster.kill_node() if kind == "node" else cluster.kill_worker(choose)
        for _ in range(5):
            if driver.wait() == 0:
                break
            driver = command(place, "wild", "--address", cluster.address)
        assert driver.wait() == 0, (place / "wild.log").read_text()
    finally:
        driver.kill()
    assert calm.wait() == 0, (place / "calm.log").read_text()
    print(summary(place / "wild", kills, identical=tables(place / "wild") == tables(place / "calm")))
    assert kills.total() == KILLS
    assert seen.items() <= published(place, "wild").items(), "a stage was published again"
    assert published(place, "wild").keys() == published(place, "calm").keys()
    assert not list((place / "wild" / "store" / "damaged").iterdir())
    assert tables(place / "wild") == tables(place / "calm")
    assert "index.md" in tables(place / "calm")
    assert sorted(run.data.tags["role"] for run in shown(place / "wild", "chaos")) == ["cell", "cell", "study"]
