"""OSVOS, One-Shot Video Object Segmentation (CVPR 2017), as cached stages: train, finetune, segment, time.

A network that knows nothing of time: a parent learns to segment the foreground, and a copy of it learns, from the first
frame, one object of the test video. In the sources of options, "authors" is the public code OSVOS-PyTorch and "choice"
is ours (docs/rivals.md). The network is in `rivals.osvos_network`."""

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
    from rivals.osvos_network import OSVOSNetwork, OSVOSSegmenter

VARIED = AugmentationConfig(crop=0, rotation=30, scale=(0.75, 1.25))
"""Flips, rotations and zooming of the parent's training and of fine-tuning (authors)."""


class NetworkConfig(one_network.NetworkConfig):
    """The network: side outputs of the backbone's last four blocks, fused (authors: VGG-16, whole frames)."""

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
    side_weight: float = Field(1.0, ge=0)
    """Weight of each side output's loss at the beginning of a training; falls linearly to 0 at its end (authors)."""


class ParentTrainings(Config):
    """Both trainings of the parent network."""

    pretraining: ParentTraining = ParentTraining(epochs=40)
    """On still images (choice: DIPNet's data and epochs; authors: none)."""

    offline: ParentTraining = ParentTraining()


class OneShotConfig(one_network.OneShotConfig):
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


class InferenceConfig(Config):
    """How the networks segment a video."""

    threshold: float = Field(0.5, gt=0, lt=1)
    """Probability above which a pixel is an object's (choice: the authors' codes have 162/255 and .8)."""


class OSVOSConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline", "one-shot"] = "one-shot"
    """The last stage of training that is used. Without `one-shot` all objects get the parent's foreground."""

    network: NetworkConfig = NetworkConfig()
    trainings: ParentTrainings = ParentTrainings()
    one_shot: OneShotConfig = OneShotConfig()
    inference: InferenceConfig = InferenceConfig()


def classes() -> tuple[type[OSVOSNetwork], type[OSVOSSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.osvos_network import OSVOSNetwork, OSVOSSegmenter

    return OSVOSNetwork, OSVOSSegmenter


METHOD = OneNetworkMethod(
    label="OSVOS",
    config=OSVOSConfig,
    runs="rivals.osvos:run_",
    classes=classes,
    paper="OSVOS, Caelles et al., CVPR 2017; without boundary snapping",
    unread=unread_by_foreground,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.osvos_network import new_network, train_parent

    run_training(task, partial(new_network, **dict(task.config.network)), train_parent)


def run_finetune(task: Task) -> None:
    """Write `network0.pt`, `network1.pt`, …: one for each object."""
    from rivals.osvos_network import OSVOSNetwork, fine_tune_on
    from vos.one_network_runs import finetune

    finetune(task, OSVOSNetwork, fine_tune_on)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes())


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    from rivals.osvos_network import fine_tune_on
    from vos.one_network_runs import time

    time(task, *classes(), fine_tune_on)
