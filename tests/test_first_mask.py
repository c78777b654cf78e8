"""The trivial baseline, which is also the smallest complete method."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from harness.baselines.first_mask import METHOD
from harness.datasets import content_digests, load_benchmark, load_protocols, read_mask
from harness.execution.worker import make_job, work
from harness.method import CellRequest, Method, find_method
from harness.score.stage import score_stage
from harness.stage import Data, Stage
from harness.store.local import Store
from tests.engine import make_davis16


def request(root: Path) -> CellRequest:
    sequences = load_benchmark(load_protocols()["davis16-val"], root)
    return CellRequest(
        config=METHOD.config(),
        sequences={
            s.name: Data(name=s.name, digest=digest, value=s)
            for s, digest in zip(sequences, content_digests(sequences), strict=True)
        },
        multi_object=False,
        training={},
        missing={},
        machine="this one",
    )


def run(stage: Stage, store: Store) -> Path:
    assert work(make_job(stage, store, 1, "")), store.failure(stage.key)
    return store.folder(stage.name, stage.key)


def test_first_mask_is_found_by_entry_point_and_is_a_method() -> None:
    assert isinstance(find_method("first-mask", "test"), Method)


def test_every_frame_gets_the_first_mask(tmp_path: Path) -> None:
    asked = request(make_davis16(tmp_path / "data", frames=4))
    folder = run(METHOD.plan(asked).segment["a"], Store(tmp_path / "home")) / "masks"
    assert sorted(path.name for path in folder.iterdir()) == [f"{index:05d}.png" for index in range(4)]
    first = asked.sequences["a"].value.mask(0)
    assert all(np.array_equal(read_mask(path), first) for path in folder.iterdir())


def test_first_mask_is_scored_with_four_files(tmp_path: Path) -> None:
    asked = request(make_davis16(tmp_path / "data"))
    store = Store(tmp_path / "home")
    plan = METHOD.plan(asked)
    for stage in plan.segment.values():
        run(stage, store)
    folder = run(score_stage(load_protocols()["davis16-val"], plan.segment, asked.sequences), store)
    assert {"frames.csv", "objects.csv", "sequences.csv", "total.json"} <= {path.name for path in folder.iterdir()}
    total = json.loads((folder / "total.json").read_text())
    assert 0.5 < total["J_mean"] < 1  # a 20-pixel square that moved by 2 to 6 pixels: 18/22, 16/24, 14/26
    assert np.isclose(total["J_mean"], np.mean([18 / 22, 16 / 24, 14 / 26]))


def test_a_score_without_masks_fails_and_names_the_folder(tmp_path: Path) -> None:
    asked = request(make_davis16(tmp_path / "data"))
    store = Store(tmp_path / "home")
    plan = METHOD.plan(asked)
    for stage in plan.segment.values():
        (run(stage, store) / "masks" / "00002.png").unlink()
    scoring = score_stage(load_protocols()["davis16-val"], plan.segment, asked.sequences)
    assert not work(make_job(scoring, store, 1, ""))
    failure = store.failure(scoring.key)
    assert failure is not None
    assert "00002" in failure.error


def test_first_mask_reports_seconds_per_frame(tmp_path: Path) -> None:
    timing = METHOD.plan(request(make_davis16(tmp_path / "data"))).timing
    assert timing is not None
    content = json.loads((run(timing, Store(tmp_path / "home")) / "timing.json").read_text())
    assert content["seconds_per_frame"] > 0
    assert timing.identity.machine == "this one"
