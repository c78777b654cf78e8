"""CINM: fusion along the flow by hand, flows that can be trusted, and a cell on the stages of two methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.config import resolve
from harness.datasets.pixels import read_mask
from harness.method import CellPlan, CellRequest, find_method
from harness.stage import Data
from rivals.cinm import METHOD, CINMConfig, InferenceConfig, SegmentConfig
from rivals.cinm_inference import agreement, fuse, neighbor_flows, segment_whole, warped
from rivals.msk import InferenceConfig as Refinement
from rivals.msk import MSKTraining, NetworkConfig
from rivals.msk_network import MSKNetwork, new_network, train_network
from tests.test_dipnet_stages import STILLS, VIDEOS, reached, run
from tests.test_rivals import TUNED
from tests.test_rivals_nearest import overlap
from tests.videos import Squares
from vos.checkpoint import for_inference
from vos.config import AugmentationConfig
from vos.optimization import TrainingRun


def settings(**inference: Any) -> SegmentConfig:
    return SegmentConfig(
        network=NetworkConfig(backbone="mini", size=64, width=16),
        inference=InferenceConfig(**inference),
        refinement=Refinement(),
        amp=False,
    )


@pytest.fixture(scope="module")
def network() -> MSKNetwork:
    made = new_network("mini", 64, 16, "none", 0)
    config = MSKTraining(
        iterations=120,
        augmentation=AugmentationConfig(crop=0),
        backbone_rate=1,
        optimizer="adamw",
        batch_norm="train",
        batch=4,
        learning_rate=5e-3,
        schedule="cosine",
    )
    train_network(made, [Squares(), Squares(seed=1)], config, TrainingRun(seed=0))
    return for_inference(made, "cpu")


def still(size: int = 4) -> NDArray[np.float32]:
    return np.zeros((size, size, 2), np.float32)


def test_a_pixel_becomes_the_mean_along_the_flow() -> None:
    masks = [np.full((4, 4), value, np.float32) for value in (1.0, 0.0, 1.0)]
    trusted = np.zeros((4, 4), np.float32)
    trusted[0] = 1
    flows = {(1, 0): (still(), trusted), (1, 2): (still(), trusted), (0, 1): (still(), np.ones_like(trusted))}
    fused = fuse(masks, masks, flows, 0.5)
    assert np.allclose(fused[1][0], (0 + 0.5 + 0.5) / 2)
    assert np.allclose(fused[1][1:], 0)  # no flow can be trusted there: its own mask stays
    assert np.array_equal(fused[0], masks[0])  # the first mask is true
    own = [masks[0], np.full((4, 4), 0.2, np.float32), masks[2]]
    assert np.allclose(fuse(masks, own, flows, 0.5)[1][0], (0.2 + 0.5 + 0.5) / 2)


def test_values_are_looked_up_where_the_flow_leads() -> None:
    values, flow = np.arange(16, dtype=np.float32).reshape(4, 4), still()
    flow[..., 0] = 1  # to the right
    assert np.array_equal(warped(values, flow)[:, :3], values[:, 1:])


def test_a_flow_that_does_not_come_back_is_not_trusted() -> None:
    there, back = still(8), still(8)
    there[..., 0], back[..., 0] = 2, -2
    assert np.array_equal(agreement(there, back), np.repeat([[1] * 6 + [0] * 2], 8, axis=0))  # two leave the image
    back[:, 4:, 0] = 1
    assert not agreement(there, back)[:, 2:].any()


def test_the_flow_of_a_moved_image_is_its_motion() -> None:
    rng = np.random.default_rng(0)
    noise = np.kron(rng.integers(0, 256, (20, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    flows = neighbor_flows([noise[8:136, 8:136], noise[8:136, 5:133]], 1)  # the content moves three pixels right
    flow, trusted = flows[0, 1]
    inner = flow[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(3, abs=0.3)
    assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.3)
    assert trusted[16:-16, 16:-16].mean() > 0.9
    pairs = {(i, j) for i in range(4) for j in range(4) if 0 < abs(i - j) < 3}
    assert set(neighbor_flows([noise[:32, :32]] * 4, 2)) == pairs


def test_a_frame_without_a_mask_gets_it_from_its_neighbors(network: MSKNetwork) -> None:
    video = Squares(seed=7)
    frames = [video.frame(index) for index in range(len(video))]
    objects = [np.stack([video.mask(index) == 1]) for index in range(len(video))]
    objects[3] = np.zeros_like(objects[3])
    config = settings(temporal=2.0)
    found = [scores[0] > 0.5 for scores in segment_whole(frames, objects, [network], config, "cpu")]
    assert np.array_equal(found[0], objects[0][0])
    assert overlap(found[3], video.mask(3) == 1) > 0.8
    assert np.mean([overlap(mask, video.mask(t) == 1) for t, mask in enumerate(found) if t]) > 0.85
    untouched = list(segment_whole(frames, objects, [network], settings(iterations=0), "cpu"))
    assert not (untouched[3] > 0.5).any()
    assert overlap(untouched[2][0] > 0.5, objects[2][0]) > 0.9


def test_objects_are_fused_each_by_itself(network: MSKNetwork) -> None:
    video = Squares(objects=2, seed=7, length=3)
    frames = [video.frame(index) for index in range(3)]
    both = [np.stack([video.mask(t) == i for i in (1, 2)]) for t in range(3)]
    whole = list(segment_whole(frames, both, [network, network], settings(), "cpu"))
    alone = list(segment_whole(frames, [mask[1:] for mask in both], [network], settings(), "cpu"))
    assert all(np.allclose(one[1], other[0]) for one, other in zip(whole, alone, strict=True))


def plan(objects: int = 2, **change: object) -> CellPlan:
    request = CellRequest(
        config=resolve(CINMConfig, {"osvos": TUNED, "msk": TUNED, **change}, "test"),
        sequences={name: Data(name=name, digest=name, value=Squares(objects=objects, length=4)) for name in "ab"},
        multi_object=objects > 1,
        training={"pretraining": STILLS, "offline": VIDEOS},
        missing={},
        machine="here",
    )
    return METHOD.plan(request)


def test_a_cell_stands_on_the_stages_of_osvos_and_msk(tmp_path: Path) -> None:
    assert find_method("cinm", "test") is METHOD
    cell, done = plan(), {}
    masks = sorted((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())
    assert [mask.stem for mask in masks] == ["00000", "00001", "00002", "00003"]
    assert np.array_equal(read_mask(masks[0]), Squares(objects=2).mask(0))
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    before = json.loads((done[cell.timing.needs["initial"].key] / "timing.json").read_text())
    for name in ("inference_seconds_per_frame", "one_shot_seconds_per_video"):
        assert timing[name] > before[name]
    whole = timing["inference_seconds_per_frame"] + timing["one_shot_seconds_per_video"] / 4
    assert timing["seconds_per_frame"] == pytest.approx(whole)


def test_all_before_its_own_inference_is_shared() -> None:
    own = {key for key, stage in reached(plan().segment["a"]).items() if stage.name == "train"}
    assert len(own) == 4
    other = plan(**{"inference.iterations": 1})
    changed = set(reached(other.segment["a"])) ^ set(reached(plan().segment["a"]))
    assert changed == {other.segment["a"].key, plan().segment["a"].key}
