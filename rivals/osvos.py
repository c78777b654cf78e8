"""OSVOS, One-Shot Video Object Segmentation (CVPR 2017), as cached stages: train, finetune, segment, time.

A network that knows nothing of time: a parent learns to segment the foreground, and a copy of it learns, from the first
frame, one object of the test video. In the sources of options, "authors" is the public code OSVOS-PyTorch and "choice"
is ours (docs/rivals.md). The network is in `rivals.osvos_network`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from harness.config import Config
from harness.method import CellPlan, CellRequest
from harness.stage import Data, Stage
from vos.config import (
    AugmentationConfig,
    BackboneName,
    BatchNorm,
    FineTuningConfig,
    TimingConfig,
    TrainingConfig,
    TrainStageConfig,
    with_defaults,
)
from vos.segment import first_objects
from vos.stage_runs import fine_tuning_run, run_segmenting, run_timing, run_training
from vos.stages import ROLES, mean_frames, relevant, time_stage, train_stages, video_stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.stage import Task
    from rivals.osvos_network import OSVOSNetwork

RUNS = "rivals.osvos:run_"

VARIED = AugmentationConfig(crop=0, rotation=30, scale=(0.75, 1.25))
"""Flips, rotations and zooming of the parent's training and of fine-tuning (authors)."""


class NetworkConfig(Config):
    """The network: side outputs of four blocks, fused."""

    backbone: BackboneName = "resnet101"
    """Backbone, whose last four blocks are used (choice: that of DIPNet's segmentation; authors: VGG-16)."""

    size: int = Field(512, ge=32, multiple_of=32)
    """Side of the input (choice: that of DIPNet's segmentation; authors: whole frames, 854 × 480)."""

    side_channels: int = Field(16, ge=1)
    """Channels that each block contributes (authors)."""


class ParentTraining(TrainingConfig):
    """One training stage of the parent network."""

    epochs: float = Field(240, gt=0)
    """Passes over the data (authors)."""

    batch: int = Field(10, ge=1)
    """Samples per step (authors: gradients of ten images are averaged)."""

    learning_rate: float = Field(4e-3, gt=0)
    """SGD step size. Authors: 1e-8 for losses summed over an image's 410,000 pixels; ours are means (choice)."""

    weight_decay: float = Field(2e-4, ge=0)
    """SGD weight decay (authors)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics, which the backbone alone has (choice: VGG-16 has none)."""

    augmentation: AugmentationConfig = VARIED


class ParentTrainings(Config):
    """Both trainings of the parent network."""

    pretraining: ParentTraining = ParentTraining(epochs=40)
    """On still images (choice: DIPNet's data and epochs; authors: none)."""

    offline: ParentTraining = ParentTraining()


class OneShotConfig(FineTuningConfig):
    """Fine-tuning of a copy for each object of the first frame."""

    iterations: int = Field(2000, ge=0)
    """Optimizer steps (authors)."""

    batch: int = Field(5, ge=1)
    """Samples per step (authors: gradients of five images are averaged)."""

    learning_rate: float = Field(4e-3, gt=0)
    """SGD step size, as in the parent's training (authors)."""

    weight_decay: float = Field(2e-4, ge=0)
    """SGD weight decay (authors)."""

    augmentation: AugmentationConfig = VARIED


class OSVOSConfig(Config):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline", "one-shot"] = "one-shot"
    """The last stage of training that is used. Without `one-shot` all objects get the parent's foreground."""

    weights: str = "imagenet-v1"
    """Weights of the backbone before training: `imagenet-v1`, `imagenet-v2`, `none`, or a file of a state dict."""

    network: NetworkConfig = NetworkConfig()
    trainings: ParentTrainings = ParentTrainings()
    side_weight: float = Field(1.0, ge=0)
    """Weight of each side output's loss at the beginning of a training; falls linearly to 0 at its end (authors)."""

    one_shot: OneShotConfig = OneShotConfig()
    threshold: float = Field(0.5, gt=0, lt=1)
    """Probability above which a pixel is an object's (choice: the authors' codes have 162/255 and .8)."""

    amp: bool = False
    """bfloat16 autocast on CUDA, in training too."""


class TrainConfig(TrainStageConfig):
    """A training stage of the parent network."""

    network: NetworkConfig
    training: ParentTraining
    side_weight: float


class FineTuneConfig(Config):
    """Fine-tuning on one video."""

    network: NetworkConfig
    one_shot: OneShotConfig
    seed: int
    amp: bool


class SegmentConfig(Config):
    """How trained networks segment a video."""

    network: NetworkConfig
    threshold: float
    amp: bool


class TimeConfig(TimingConfig, SegmentConfig):
    """Seconds per frame of one variant."""

    one_shot: OneShotConfig | None


@dataclass(frozen=True)
class OSVOS:
    """The method that studies call `osvos`."""

    label: str = "OSVOS"
    config: type[OSVOSConfig] = OSVOSConfig

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan the training stages for which there is data, then fine-tuning and segmenting of each video."""
        config = request.config
        assert isinstance(config, OSVOSConfig)

        def train(role: str, data: Data, weights: str) -> tuple[str, str, BaseModel]:
            settings = TrainConfig(
                network=config.network,
                training=_relevant(getattr(config.trainings, role)),
                side_weight=config.side_weight,
                weights=weights,
                seed=request.seed,
                amp=config.amp,
            )
            return f"train OSVOS, {ROLES[role]} on {data.name}", f"{RUNS}train", settings

        parent, omitted = train_stages(request, config.training, config.weights, config.network.backbone, train)
        one_shot = with_defaults(config.one_shot, ["coarse"]) if config.training == "one-shot" else None
        inference: dict[str, Any] = {"network": config.network, "threshold": config.threshold, "amp": config.amp}
        segment = {}
        for name in request.sequences:
            network = parent if one_shot is None else _finetune(config, one_shot, request, name, parent)
            needs, settings = {"network": network}, SegmentConfig(**inference)
            segment[name] = video_stage(request, "segment", f"segment {name}", f"{RUNS}segment", settings, name, needs)
        timing = TimeConfig(**inference, one_shot=one_shot, mean_frames=mean_frames(request))
        return CellPlan(
            segment=segment, timing=time_stage(request, f"{RUNS}time", timing, {"network": parent}), omitted=omitted
        )


METHOD = OSVOS()


def _relevant(training: ParentTraining) -> ParentTraining:
    """Return a training with the options at their defaults that this method does not read."""
    unread = ["coarse", "clip_window", "clip_shift", "clip_rotation"]
    if not training.augmentation.paste:
        unread.append("foreground")
    return relevant(training, *unread)


def _finetune(config: OSVOSConfig, one_shot: OneShotConfig, request: CellRequest, name: str, parent: Stage) -> Stage:
    settings = FineTuneConfig(network=config.network, one_shot=one_shot, seed=request.seed, amp=config.amp)
    label = f"one-shot OSVOS on {name}"
    return video_stage(request, "finetune", label, f"{RUNS}finetune", settings, name, {"network": parent})


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.osvos_network import new_network, train_parent

    config: TrainConfig = task.config
    learn = partial(train_parent, side_weight=config.side_weight)
    run_training(task, partial(new_network, **dict(config.network)), learn)


def run_finetune(task: Task) -> None:
    """Write `network0.pt`, `network1.pt`, …: one for each object."""
    from rivals.osvos_network import fine_tune_on
    from vos.checkpoint import save_network

    config: FineTuneConfig = task.config
    video, run, (parent,) = task.data["video"], fine_tuning_run(task), _networks(task, config.network, "cpu")
    for number, mask in enumerate(first_objects(video)):
        tuned = fine_tune_on(parent, video.frame(0), mask, config.one_shot, config.one_shot.iterations, run)
        save_network(tuned, task.folder / f"network{number}.pt")


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from rivals.osvos_network import OSVOSSegmenter

    config: SegmentConfig = task.config

    def load() -> OSVOSSegmenter:
        networks = _networks(task, config.network, task.device)
        return OSVOSSegmenter(networks, config.threshold, task.device, amp=config.amp)

    run_segmenting(task, load)


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame as the papers count them (one-shot spread over the video)."""
    from rivals.osvos_network import OSVOSSegmenter, fine_tune_on
    from vos.optimization import TrainingRun
    from vos.timing import FineTuning

    config: TimeConfig = task.config
    video, one_shot = task.data["video"], config.one_shot
    (parent,) = _networks(task, config.network, task.device)
    objects = first_objects(video)
    copies = [parent] * (1 if one_shot is None else len(objects))
    segmenter = OSVOSSegmenter(copies, config.threshold, task.device, amp=config.amp)
    if one_shot is None:
        return run_timing(task, segmenter)
    run = TrainingRun.on(task.device, amp=config.amp, cpus=task.cpus, seed=0)

    def tune(mask: NDArray[np.bool_], steps: int) -> OSVOSNetwork:
        return fine_tune_on(parent, video.frame(0), mask, one_shot, steps, run)

    phases = [FineTuning(one_shot.iterations, partial(tune, mask)) for mask in objects]
    return run_timing(task, segmenter, phases, scale_up=not (one_shot.feature_views or one_shot.patience))


def _networks(task: Task, config: NetworkConfig, device: str) -> list[OSVOSNetwork]:
    """Return the networks of the stage that this one needs: the parent, or one for each object in their order."""
    from rivals.osvos_network import OSVOSNetwork
    from vos.checkpoint import for_inference, load_network

    files = sorted(task.needs["network"].glob("network*.pt"), key=lambda file: (len(file.stem), file.stem))
    return [for_inference(load_network(OSVOSNetwork(**dict(config)), file), device) for file in files]
