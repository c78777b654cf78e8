"""RGMP, Reference-Guided Mask Propagation (CVPR 2018), as cached stages: train, finetune, segment, time.

Each frame's mask comes from the first frame with its mask and from the last mask found. In the sources of options,
"authors" is their public code, which is for inference only, and "choice" is ours (docs/rivals.md). The network is in
`rivals.rgmp_network`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.config import Config
from vos import one_network
from vos.config import AugmentationConfig, BackboneName, BatchNorm, OptimizerConfig, TrainingConfig
from vos.one_network import OneNetworkConfig, OneNetworkMethod
from vos.stage_runs import run_training

if TYPE_CHECKING:
    from harness.stage import Task
    from rivals.rgmp_network import RGMPNetwork, RGMPSegmenter

VARIED = AugmentationConfig(crop=0.25, rotation=30, scale=(0.75, 1.25), color=0.1)
"""Variation of a clip (choice: the authors recommend much of it)."""


class NetworkConfig(one_network.NetworkConfig):
    """The network: an encoder of frames with masks, a global convolution, three refinements (authors: 480p)."""

    backbone: BackboneName = "resnet50"
    """Backbone of the encoder (authors)."""

    channels: int = Field(256, ge=1)
    """Channels of the global convolution and of the refinements (authors)."""


class RGMPTraining(TrainingConfig):
    """One training stage: clips, and the loss of all frames after the first."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Optimizer (choice; said to be the paper's, not confirmed)."""

    learning_rate: float = Field(1e-5, gt=0)
    """Step size (choice; said to be the paper's, not confirmed)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics, which the backbone alone has (authors)."""

    frames: int = Field(4, ge=2)
    """Frames of a clip; gradients pass through the masks that are found (choice: the paper's are said to grow)."""

    level_weight: float = Field(1.0, ge=0)
    """Weight of the loss of each coarser level (choice; the authors' network has these outputs, their losses are
    unknown)."""

    augmentation: AugmentationConfig = VARIED


class PairTraining(RGMPTraining):
    """Training on pairs that are made from still images."""

    frames: int = Field(2, ge=2)
    """Frames of a clip (paper)."""


class Trainings(Config):
    """Both trainings of the network."""

    pretraining: PairTraining = PairTraining()
    """On still images (choice: DIPNet's data and epochs)."""

    offline: RGMPTraining = RGMPTraining(epochs=20)
    """On videos (choice: DIPNet's data and epochs)."""


class OneShotConfig(one_network.OneShotConfig):
    """Fine-tuning of one copy for all objects of the first frame (RGMP-ft), on pairs; the authors' is unpublished."""

    iterations: int = Field(500, ge=0)
    """Optimizer steps (choice)."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Optimizer, as in training (choice)."""

    learning_rate: float = Field(1e-5, gt=0)
    """Step size, as in training (choice)."""

    clip_shift: float = Field(0.1, ge=0, le=0.5)
    """Largest shift between the frames of a pair, in sides (choice)."""

    clip_rotation: float = Field(15.0, ge=0, le=180)
    """Largest rotation between the frames of a pair, degrees (choice)."""

    foreground: float = Field(0.25, ge=0, le=1)
    """Several objects: probability that a pair is about all of them merged (choice)."""

    level_weight: float = Field(1.0, ge=0)
    """Weight of the loss of each coarser level (choice)."""

    augmentation: AugmentationConfig = VARIED


class InferenceConfig(Config):
    """How the network segments a video."""

    scales: tuple[float, ...] = Field((0.5, 0.75, 1.0), min_length=1)
    """Sizes of the input, as shares of the network's size, whose masks are averaged (authors)."""


class RGMPConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline", "one-shot"] = "offline"
    """The last stage of training that is used; with `one-shot` it is RGMP-ft."""

    network: NetworkConfig = NetworkConfig()
    trainings: Trainings = Trainings()
    one_shot: OneShotConfig = OneShotConfig()
    inference: InferenceConfig = InferenceConfig()


def unread(training: OptimizerConfig) -> Iterable[str]:
    """Return the names of a training's options that it does not read."""
    if isinstance(training, OneShotConfig):
        return ("coarse", "feature_views")
    return ("coarse",)


def classes() -> tuple[type[RGMPNetwork], type[RGMPSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.rgmp_network import RGMPNetwork, RGMPSegmenter

    return RGMPNetwork, RGMPSegmenter


METHOD = OneNetworkMethod(
    label="RGMP",
    config=RGMPConfig,
    runs="rivals.rgmp:run_",
    classes=classes,
    paper="RGMP, Oh et al., CVPR 2018",
    together=True,
    unread=unread,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.rgmp_network import new_network, train_network

    run_training(task, partial(new_network, **dict(task.config.network)), train_network)


def run_finetune(task: Task) -> None:
    """Write `network0.pt`, for all objects."""
    from rivals.rgmp_network import RGMPNetwork, fine_tune_on
    from vos.one_network_runs import finetune

    finetune(task, RGMPNetwork, fine_tune_on, together=True)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes())


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    from rivals.rgmp_network import fine_tune_on
    from vos.one_network_runs import time

    time(task, *classes(), fine_tune_on, together=True)
