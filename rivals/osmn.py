"""OSMN, Efficient Video Object Segmentation via Network Modulation (CVPR 2018), as cached stages.

A segmentation network is modulated: a second network, which sees the object of the first frame, scales its channels,
and the rough place of the previous mask adds to them. Stages: train, finetune (if `training` says so), segment, time.
In the sources of options, "authors" is their public code and "choice" is ours (docs/rivals.md). The network is in
`rivals.osmn_network`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.config import Config
from vos import one_network
from vos.config import AugmentationConfig, BatchNorm, OptimizerConfig, TrainingConfig
from vos.one_network import OneNetworkConfig, OneNetworkMethod
from vos.stage_runs import run_training

if TYPE_CHECKING:
    from harness.stage import Task
    from rivals.osmn_network import OSMNNetwork, OSMNSegmenter


class NetworkConfig(one_network.NetworkConfig):
    """The network in the authors' light form; `backbone` is that of both its parts (authors: MobileNet; 854 × 480)."""

    guide_size: int = Field(224, ge=32, multiple_of=32)
    """Side of the image of the object that the visual modulator sees (authors)."""

    side_channels: int = Field(16, ge=1)
    """Channels that each of four blocks contributes to the mask (authors)."""


class PlaceConfig(Config):
    """How the Gaussian of a training sample differs from that of its mask."""

    shift: float = Field(0.2, ge=0)
    """Largest shift of its center, in its own deviations (authors)."""

    stretch: float = Field(1.4, ge=1)
    """Largest factor by which its deviations grow or shrink (authors)."""

    blank: float = Field(0.0, ge=0, le=1)
    """Probability that there is none, as after an object is lost (authors: 0)."""


class OSMNTraining(TrainingConfig):
    """One training stage."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Optimizer (authors: Adam)."""

    weight_decay: float = Field(2e-4, ge=0)
    """Weight decay (authors: as a term of the loss)."""

    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate (authors: a tenth in the last third of pre-training)."""

    augmentation: AugmentationConfig = AugmentationConfig(crop=0)
    """Flips of the guide's frame and the target together (choice)."""

    guide: AugmentationConfig = AugmentationConfig(crop=1, crop_margin_range=(-0.05, 0.1), rotation=10)
    """How the image of the object is cut out of the guide's frame, turned and flipped (authors: margins of eight
    pixels, and one side is cut by up to a tenth; ±10°)."""

    place: PlaceConfig = PlaceConfig()
    clip_window: int = Field(10_000, ge=2)
    """The guide's frame and the target come from that many consecutive ones: from the whole video (authors)."""


class OSMNTrainings(Config):
    """Both trainings of the network."""

    pretraining: OSMNTraining = OSMNTraining(iterations=300_000, batch=8, learning_rate=1e-5)
    """On still images, which are their own guides (authors, on COCO)."""

    offline: OSMNTraining = OSMNTraining(iterations=50_000, batch=4, learning_rate=1e-6, batch_norm="frozen")
    """On videos (authors, on DAVIS 2017)."""


class OneShotConfig(one_network.OneShotConfig):
    """Fine-tuning of a copy for each object of the first frame (authors: optional)."""

    iterations: int = Field(100, ge=0)
    """Optimizer steps (authors)."""

    batch: int = Field(1, ge=1)
    """Samples per step (authors)."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Optimizer (authors: Adam)."""

    learning_rate: float = Field(1e-5, gt=0)
    """Step size (authors)."""

    weight_decay: float = Field(2e-4, ge=0)
    """Weight decay (authors)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics (choice)."""

    augmentation: AugmentationConfig = AugmentationConfig(crop=0)
    place: PlaceConfig = PlaceConfig()


class InferenceConfig(Config):
    """How the network segments a video."""

    margin: float = Field(0.05, ge=0)
    """Margin of the object in its image, in sides of its box (authors: eight pixels)."""


class OSMNConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    network: NetworkConfig = NetworkConfig()
    trainings: OSMNTrainings = OSMNTrainings()
    one_shot: OneShotConfig = OneShotConfig()
    inference: InferenceConfig = InferenceConfig()


def unread(training: OptimizerConfig) -> Iterable[str]:  # noqa: ARG001  signature of OneNetworkMethod.unread
    """Return the names of a training's options that this method does not read."""
    return ("coarse",)


def classes() -> tuple[type[OSMNNetwork], type[OSMNSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.osmn_network import OSMNNetwork, OSMNSegmenter

    return OSMNNetwork, OSMNSegmenter


METHOD = OneNetworkMethod(
    label="OSMN",
    config=OSMNConfig,
    runs="rivals.osmn:run_",
    classes=classes,
    paper="OSMN, Yang et al., CVPR 2018; the light form, without COCO",
    unread=unread,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.osmn_network import new_network, train_network

    run_training(task, partial(new_network, **dict(task.config.network)), train_network)


def run_finetune(task: Task) -> None:
    """Write `network0.pt`, `network1.pt`, …: one for each object."""
    from rivals.osmn_network import OSMNNetwork, fine_tune_on
    from vos.one_network_runs import finetune

    finetune(task, OSMNNetwork, fine_tune_on)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes())


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    from rivals.osmn_network import fine_tune_on
    from vos.one_network_runs import time

    time(task, *classes(), fine_tune_on)
