"""Nearest neighbors of first-frame features: no training, the floor for every method that matches features.

As cached stages: segment (per video), time. The network is in `rivals.nearest_segmenter`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from harness.config import Config
from harness.method import CellPlan, CellRequest
from vos.config import BackboneName, TimingConfig
from vos.stage_runs import run_segmenting, run_timing, weights_of
from vos.stages import initial_weights, mean_frames, time_stage, video_stage

if TYPE_CHECKING:
    from harness.stage import Task
    from vos.backbone import Backbone
    from vos.segment import Segmenter

RUNS = "rivals.nearest:run_"

Block = Literal["f2", "f4", "f8", "f16", "f32"]
"""A backbone's block, by the stride of its features."""


class NearestConfig(Config):
    """All options of the method. There is no paper of it: every default is a choice."""

    backbone: BackboneName = "resnet101"
    """Network of the features (choice: that of DIPNet's segmentation). `mini` has no weights and stays untrained."""

    weights: str = "imagenet-v1"
    """Weights of the backbone: torchvision's `imagenet-v1` or `imagenet-v2`, `none`, or a file of a state dict."""

    size: int = Field(512, ge=32, multiple_of=32)
    """Side of the input (choice: that of DIPNet's segmentation)."""

    block: Block = "f16"
    """Block whose features are compared (choice: finer ones hold less of what an object is)."""

    upsampling: int = Field(2, ge=1)
    """Factor by which features are upsampled (choice): a small object covers too few cells to win a vote of five."""

    neighbors: int = Field(5, ge=1)
    """Cells of the first frame that vote on a cell (PML's number, CVPR 2018)."""


class SegmentConfig(NearestConfig):
    """Config of the stages; `weights` is `imagenet-v1` or `-v2`, `none`, or `file` for the one in the stage's data."""

    seed: int
    """Seed of an untrained backbone; 0 where it has weights."""


class TimeConfig(TimingConfig, SegmentConfig):
    """Seconds per frame of one variant."""


@dataclass(frozen=True)
class Nearest:
    """The method that studies call `nearest`."""

    label: str = "nearest neighbors"
    config: type[NearestConfig] = NearestConfig

    def card(self, config: BaseModel) -> Mapping[str, str]:
        """Return what a reader of a comparison asks, as title → text."""
        from rivals.nearest_segmenter import NearestSegmenter, new_backbone
        from vos.card import network_card, weights_of

        assert isinstance(config, NearestConfig)
        backbone = new_backbone(config.backbone, "none", 0)
        options = config.size, config.block, config.upsampling, config.neighbors
        segmenter = NearestSegmenter(backbone, *options, "cpu")
        return {
            "published": "not as a method: the floor for methods that match features",
            "backbone": f"{config.backbone}, input {config.size}",
            **network_card({"network": segmenter.blocks}, lambda objects: segmenter),
            "training": "none",
            "weights": weights_of(config.weights, config.backbone),
        }

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan segmenting of each video, and timing."""
        config = request.config
        assert isinstance(config, NearestConfig)
        weights, file = initial_weights(config.weights, config.backbone)
        untrained = weights == "none"
        options = dict(config) | {"weights": weights}
        settings = SegmentConfig(**options, seed=request.seed if untrained else 0)
        timing = TimeConfig(**options, seed=0, mean_frames=mean_frames(request))
        segment = {
            name: video_stage(request, "segment", f"segment {name}", f"{RUNS}segment", settings, name, {}, **file)
            for name in request.sequences
        }
        note = f"features of an untrained network: {config.backbone} without ImageNet weights"
        return CellPlan(
            segment=segment,
            timing=time_stage(request, f"{RUNS}time", timing, {}, **file),
            omitted=(note,) if untrained else (),
        )


METHOD = Nearest()


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    run_segmenting(task, _backbone, lambda backbone, part: _segmenter(part, backbone))


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    run_timing(task, _segmenter(task, _backbone(task)))


def _backbone(task: Task) -> Backbone:
    from rivals.nearest_segmenter import new_backbone

    config: SegmentConfig = task.config
    return new_backbone(config.backbone, weights_of(task), config.seed)


def _segmenter(task: Task, backbone: Backbone) -> Segmenter:
    from rivals.nearest_segmenter import NearestSegmenter

    config: SegmentConfig = task.config
    return NearestSegmenter(backbone, config.size, config.block, config.upsampling, config.neighbors, task.device)
