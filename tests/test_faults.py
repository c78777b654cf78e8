"""The whole command beside a second one of its kind."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from tests.command import install, published, start
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
