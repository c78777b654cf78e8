"""OnAVOS, Online Adaptation of CNNs for VOS (BMVC 2017), as cached stages: train, finetune, segment, time.

A network that knows nothing of time, tuned on each object of the first frame as OSVOS is, goes on learning in every
frame: from pixels that are surely the object's, from those far away from the last mask, and from the first frame. What
it learns while it segments counts in its seconds per frame. In the sources of options, "authors" is their public code,
whose pixels are of 480 lines, and "choice" is ours (docs/rivals.md). The network is in `rivals.onavos_network`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.config import Config
from vos import one_network
from vos.config import AugmentationConfig, BatchNorm, TrainingConfig
from vos.one_network import OneNetworkConfig, OneNetworkMethod, unread_by_foreground
from vos.stage_runs import run_training

if TYPE_CHECKING:
    from harness.stage import Task
    from rivals.onavos_network import OnAVOSNetwork, OnAVOSSegmenter

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["constant", "cosine"]

VARIED = AugmentationConfig(crop=0, scale=(0.7, 1.3), color=0.1)
"""Flips, zooming and colors (authors: flips, zooming, gamma)."""


class NetworkConfig(one_network.NetworkConfig):
    """The network: image in, mask out (original: a wide ResNet-38 of 1/8 of the input, dilated)."""

    width: int = Field(64, ge=1)
    """Channels of the head (choice)."""

    worst: float = Field(0.25, gt=0, le=1)
    """Share of an image's pixels that counts in every loss: those with the highest (authors)."""


class OnAVOSTraining(TrainingConfig):
    """One training stage of the network that segments the foreground."""

    batch: int = Field(5, ge=1)
    """Samples per step (authors)."""

    optimizer: Optimizer = "adamw"
    """Adam without weight decay (authors)."""

    learning_rate: float = Field(1e-5, gt=0)
    """Adam step size at the beginning; falls to a fiftieth (authors: to 3e-7)."""

    weight_decay: float = Field(0, ge=0)
    schedule: Schedule = "cosine"
    batch_norm: BatchNorm = "frozen"
    """Statistics, which the backbone alone has."""

    augmentation: AugmentationConfig = VARIED


class OnAVOSTrainings(Config):
    """Both trainings."""

    pretraining: OnAVOSTraining = OnAVOSTraining()
    """On still images: all objects are the foreground (authors: PASCAL; the number of steps is DIPNet's: choice)."""

    offline: OnAVOSTraining = OnAVOSTraining(epochs=20)


class OneShotConfig(one_network.OneShotConfig):
    """Fine-tuning of a copy for each object of the first frame."""

    iterations: int = Field(50, ge=0)
    """Optimizer steps (authors: 50 on DAVIS 2016, 500 on DAVIS 2017)."""

    batch: int = Field(1, ge=1)
    """Samples per step (authors)."""

    optimizer: Optimizer = "adamw"
    learning_rate: float = Field(3e-6, gt=0)
    """Adam step size (authors)."""

    weight_decay: float = Field(0, ge=0)
    augmentation: AugmentationConfig = VARIED


class AdaptationConfig(Config):
    """What is learned in each frame of a video, and how its masks are found."""

    steps: int = Field(15, ge=0)
    """Optimizer steps per frame; 0 leaves the network as it was tuned (authors)."""

    interval: int = Field(5, ge=1)
    """Every so many steps, beginning with the first, one is on the current frame, the rest on the first (authors)."""

    weight: float = Field(0.05, ge=0)
    """Weight of the current frame's loss (authors)."""

    positive: float = Field(0.97, ge=0, le=1)
    """Probability above which a pixel is an example of the object (authors)."""

    distance: float = Field(220 / 480, ge=0)
    """Distance from the eroded last mask, in sides of the input, from which a pixel is an example of the background
    (authors: 220 pixels; 190 on DAVIS 2017)."""

    erosion: float = Field(15 / 480, ge=0)
    """Radius of that erosion, in sides of the input (authors: 15 pixels)."""

    optimizer: Optimizer = "adamw"
    learning_rate: float = Field(1e-5, gt=0)
    """Adam step size (authors: 1e-5; 3e-5 on DAVIS 2017)."""

    backbone_rate: float = Field(1.0, ge=0)
    """Learning rate of the backbone as a multiple of the rest's."""

    frozen_blocks: int = Field(0, ge=0, le=5)
    """First blocks of the backbone that keep their weights (choice, small scales)."""

    augmentation: AugmentationConfig = VARIED
    passes: int = Field(10, ge=1)
    """Variations of a frame over which its probabilities are averaged: flipped or not, and zoomed (authors: ten)."""


class OnAVOSConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline", "one-shot"] = "one-shot"
    """The last stage of training that is used before a video is segmented."""

    network: NetworkConfig = NetworkConfig()
    trainings: OnAVOSTrainings = OnAVOSTrainings()
    one_shot: OneShotConfig = OneShotConfig()
    inference: AdaptationConfig = AdaptationConfig()


def classes() -> tuple[type[OnAVOSNetwork], type[OnAVOSSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.onavos_network import OnAVOSNetwork, OnAVOSSegmenter

    return OnAVOSNetwork, OnAVOSSegmenter


METHOD = OneNetworkMethod(
    label="OnAVOS",
    config=OnAVOSConfig,
    runs="rivals.onavos:run_",
    classes=classes,
    paper="OnAVOS, Voigtlaender and Leibe, BMVC 2017; without objectness network and CRF",
    unread=unread_by_foreground,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.onavos_network import new_network, train_network

    run_training(task, partial(new_network, **dict(task.config.network)), train_network)


def run_finetune(task: Task) -> None:
    """Write `network0.pt`, `network1.pt`, …: one for each object."""
    from rivals.onavos_network import OnAVOSNetwork, fine_tune_on
    from vos.one_network_runs import finetune

    finetune(task, OnAVOSNetwork, fine_tune_on)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes(), learns=True)


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame, the learning in each frame among them."""
    from rivals.onavos_network import fine_tune_on
    from vos.one_network_runs import time

    time(task, *classes(), fine_tune_on, learns=True)
