"""Nearest neighbors of first-frame features: the vote by hand, videos, and what keys depend on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from harness.config import resolve
from harness.datasets.pixels import read_mask
from harness.method import CellPlan, CellRequest, find_method
from harness.stage import Data
from rivals.nearest import METHOD, NearestConfig
from rivals.nearest_segmenter import NearestSegmenter, new_backbone
from tests.engine import ROOT
from tests.test_dipnet_stages import run
from tests.videos import Squares
from vos.backbone import Backbone, torchvision_models
from vos.matching import votes
from vos.segment import label, segment_video

TINY = {"backbone": "mini", "size": 128, "block": "f8", "upsampling": 1}


class Flipped(Squares):
    """The same squares in a mirror."""

    def frame(self, index: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(super().frame(index)[:, ::-1])

    def mask(self, index: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(super().mask(index)[:, ::-1])


def segmenter(block: str = "f8", upsampling: int = 1, seed: int = 0) -> NearestSegmenter:
    return NearestSegmenter(new_backbone("mini", "none", seed), 128, block, upsampling, 5, "cpu")


def overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((found & truth).sum() / (found | truth).sum())


def request(objects: int = 1, seed: int = 0, **change: object) -> CellRequest:
    return CellRequest(
        config=resolve(NearestConfig, {**TINY, **change}, "test"),
        sequences={name: Data(name=name, digest=name, value=Squares(objects=objects, length=4)) for name in "ab"},
        multi_object=objects > 1,
        training={"pretraining": None, "offline": None},
        missing={"pretraining": "no VOC", "offline": "no DAVIS"},
        seed=seed,
        machine="here",
    )


def keys(cell: CellPlan) -> list[str]:
    assert cell.timing is not None
    return [*(stage.key for stage in cell.segment.values()), cell.timing.key]


def test_the_method_is_found_by_its_name() -> None:
    assert find_method("nearest", "test") is METHOD


def test_a_cell_gets_the_mean_label_of_its_most_similar_cells() -> None:
    reference = torch.tensor([[3.0, 0.0], [2.0, 0.2], [0.0, 1.0], [-5.0, 0.1], [0.1, 9.0]])
    labels = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [0.2, 0.8]])
    cells = torch.tensor([[0.5, 0.0], [0.0, 7.0]])  # lengths do not count: only the angle does
    assert torch.allclose(votes(cells, reference, labels, 2), torch.tensor([[0.75, 0.25], [0.1, 0.9]]))
    assert torch.allclose(votes(cells, reference, labels, 1), labels[[0, 2]])
    assert torch.allclose(votes(cells, reference, labels, 9), labels.mean(0).expand(2, 2))


def test_labels_are_the_areas_that_objects_cover() -> None:
    objects = np.zeros((2, 64, 64), bool)
    objects[0, :32, :24] = True
    objects[1, :32, 24:32] = True
    whole = segmenter("f32")
    whole.start(np.zeros((64, 64, 3), np.uint8), objects)
    assert whole.labels.shape == (16, 3)
    assert whole.labels[:2].tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    assert whole.labels[15].tolist() == [0.0, 0.0, 1.0]


def test_the_background_votes_too() -> None:
    class Made(NearestSegmenter):
        """Two cells: the first is half object 1 and half background, the second .4, .2 and .4."""

        def _features(self, frame: np.ndarray) -> torch.Tensor:
            return torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])

    made = Made(Backbone("mini"), 64, "f32", 1, 1, "cpu")
    made.start(np.zeros((1, 2, 3), np.uint8), np.array([[[True, False]], [[False, False]]]))
    made.labels = torch.tensor([[0.5, 0.0, 0.5], [0.4, 0.2, 0.4]])
    scores = made.step(np.zeros((1, 2, 3), np.uint8))
    assert np.allclose(scores[:, 0], [[0.5, 0.5], [0.0, 1 / 3]])
    made.labels = torch.tensor([[0.0, 1.0, 0.0], [0.4, 0.3, 0.3]])
    scores = made.step(np.zeros((1, 2, 3), np.uint8))
    assert np.allclose(scores[:, 0], [[0.0, 4 / 7], [1.0, 0.5]])
    assert label(scores, (3, 8)).tolist() == [[8, 3]]


def test_upsampled_features_let_small_objects_win() -> None:
    coarse, fine = segmenter("f16"), segmenter("f16", upsampling=2)
    objects = np.zeros((1, 64, 64), bool)
    objects[0, :16, :16] = True  # four of 8 × 8 cells, too few to fill a majority and its surroundings
    frame = np.where(objects[0][..., None], np.uint8(250), np.uint8(5)).repeat(3, 2)
    found = {}
    for one in (coarse, fine):
        one.start(frame, objects)
        found[one] = one.step(frame)[0] > 0.5
    assert [coarse.labels.shape, fine.labels.shape] == [(64, 2), (256, 2)]
    assert overlap(found[fine], objects[0]) > overlap(found[coarse], objects[0])


@pytest.mark.parametrize("objects", [1, 2])
def test_masks_follow_the_objects(objects: int) -> None:
    video = Squares(objects=objects)
    masks = list(segment_video(video, segmenter()))
    assert len(masks) == len(video)
    for found, index in zip(masks[1:], range(1, len(video)), strict=True):
        assert found.shape == (60, 80)
        for i in video.object_ids:
            assert overlap(found == i, video.drawn(index) == i) > 0.6


def test_a_flipped_video_gives_flipped_masks() -> None:
    """With features that know no left and right, as those of strided convolutions do: mean colors of cells."""
    symmetric = segmenter()
    symmetric.blocks = nn.ModuleList([nn.AvgPool2d(8)])
    plain = list(segment_video(Squares(objects=2), symmetric))
    mirrored = list(segment_video(Flipped(objects=2), symmetric))
    for one, other in zip(plain, mirrored, strict=True):
        assert np.mean(one == other[:, ::-1]) > 0.999
        assert np.mean(one == other) < 0.9


def test_masks_depend_on_seed_and_video_only() -> None:
    one, again, other = (list(segment_video(Squares(), segmenter(seed=seed))) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_an_absent_second_object_changes_nothing() -> None:
    video, one, two = Squares(), segmenter(), segmenter()
    mask = video.mask(0)[None] == 1
    one.start(video.frame(0), mask)
    two.start(video.frame(0), np.concatenate([mask, np.zeros_like(mask)]))
    alone, both = one.step(video.frame(3)), two.step(video.frame(3))
    assert np.allclose(alone[0], both[0])
    assert not both[1].any()


@pytest.mark.parametrize("objects", [1, 2])
def test_a_cell_goes_to_masks_and_seconds(objects: int, tmp_path: Path) -> None:
    cell, done = METHOD.plan(request(objects)), {}
    masks = sorted((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())
    assert [mask.stem for mask in masks] == ["00000", "00001", "00002", "00003"]
    assert np.array_equal(read_mask(masks[0]), Squares(objects=objects).mask(0))
    expected = list(segment_video(Squares(objects=objects, length=4), segmenter()))
    assert all(np.array_equal(read_mask(file), mask) for file, mask in zip(masks, expected, strict=True))
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    assert timing["seconds_per_frame"] == timing["inference_seconds_per_frame"] > 0
    assert timing["objects"] == objects


def test_an_untrained_backbone_comes_from_the_seed_and_is_reported() -> None:
    one, other = METHOD.plan(request()), METHOD.plan(request(seed=1))
    assert one.omitted == ("features of an untrained network: mini without ImageNet weights",)
    assert one.segment["a"].key != other.segment["a"].key
    first, second, third = (new_backbone("mini", "none", seed).blocks[0][0].weight for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_keys_change_with_what_a_stage_reads_only() -> None:
    plain = METHOD.plan(request())
    assert keys(METHOD.plan(request())) == keys(plain)
    for change in ({"block": "f16"}, {"upsampling": 2}, {"neighbors": 3}, {"size": 64}):
        assert not set(keys(METHOD.plan(request(**change)))) & set(keys(plain))
    assert keys(METHOD.plan(replace(request(), training={}))) == keys(plain)
    assert keys(METHOD.plan(replace(request(), machine="there")))[:2] == keys(plain)[:2]


def test_a_file_of_weights_counts_by_its_content(tmp_path: Path) -> None:
    state, found = torchvision_models().mobilenet_v2(weights=None).state_dict(), []
    for number, factor in enumerate((1, 1, 2)):
        state["features.0.0.weight"] *= factor
        file = tmp_path / str(number) / "weights.pth"  # torch writes the name into the file
        file.parent.mkdir()
        torch.save(state, file)
        cell = METHOD.plan(request(backbone="mobilenet_v2", weights=str(file), seed=number))
        assert not cell.omitted
        found.append(keys(cell))
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_a_plan_needs_no_torch() -> None:
    program = "import rivals.nearest, harness.run, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
