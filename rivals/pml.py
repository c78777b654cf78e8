"""PML, Pixel-Wise Metric Learning (CVPR 2018), as cached stages: train, segment, time.

A network learns an embedding in which cells of the same object are closer than others, whatever the object is; cells of
a test video take the labels of their nearest neighbors in the first frame. In the sources of options, "authors" is the
definition of the network that they published for interactive use, "port" the public re-implementation of the method,
and "choice" is ours (docs/rivals.md). The network is in `rivals.pml_network`."""

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
    from rivals.pml_network import PMLNetwork, PMLSegmenter


class NetworkConfig(one_network.NetworkConfig):
    """The network: backbone features of stride 8 and an embedding head (port: trained at 321², tested at 854 × 480)."""

    block: Literal["f16", "f32"] = "f32"
    """Block whose features are embedded (authors: the last one)."""

    dilated: bool = True
    """Blocks after that of stride 8 keep its size by dilation (authors); otherwise features are upsampled to it."""

    channels: int = Field(128, ge=1)
    """Length of an embedding (authors)."""

    coordinates: bool = True
    """Row and column of a cell are input channels of the head (paper, which has the number of the frame besides)."""


class MetricTraining(TrainingConfig):
    """One training stage."""

    epochs: float = Field(100, gt=0)
    """Passes over the data (port)."""

    batch: int = Field(4, ge=1)
    """Clips of three frames per step (port)."""

    learning_rate: float = Field(5e-5, gt=0)
    """SGD step size of the head (port)."""

    backbone_rate: float = Field(0.5, ge=0)
    """Learning rate of the backbone as a multiple of the head's (port)."""

    weight_decay: float = Field(5e-3, ge=0)
    """SGD weight decay (port)."""

    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate (port: polynomial of power .9, which falls as far)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics, which the backbone alone has (authors)."""

    augmentation: AugmentationConfig = AugmentationConfig(crop=0)
    """Flips (choice; port: none)."""

    clip_window: int = Field(10_000, ge=2)
    """The three frames come from that many consecutive ones: from the whole video (port)."""

    margin: float = Field(0.7, gt=0)
    """Margin of the triplet loss, in squared distances of unit vectors, which are 4 at most (port)."""

    anchors: int = Field(256, ge=1)
    """Anchors on objects, and as many on the background (paper)."""


class MetricTrainings(Config):
    """Both trainings of the network."""

    pretraining: MetricTraining = MetricTraining(epochs=40)
    """On still images and moved copies of them (choice: DIPNet's data and epochs; port: none)."""

    offline: MetricTraining = MetricTraining()


class InferenceConfig(Config):
    """How the network segments a video."""

    neighbors: int = Field(5, ge=1)
    """Cells of the reference that vote on a cell (paper)."""

    confident: int = Field(256, ge=0)
    """Cells of each later frame that join the reference, of those on which all votes agree (paper: on-line adaptation,
    all of them; choice: at most so many, evenly spread, so that the reference stays small); 0: none."""


class PMLConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline"] = "offline"
    """The last stage of training that is used."""

    network: NetworkConfig = NetworkConfig()
    trainings: MetricTrainings = MetricTrainings()
    one_shot: None = None
    inference: InferenceConfig = InferenceConfig()


def unread(training: OptimizerConfig) -> Iterable[str]:  # noqa: ARG001  signature of OneNetworkMethod.unread
    """Return the names of a training's options that metric learning does not read."""
    return ("coarse", "foreground")


def classes() -> tuple[type[PMLNetwork], type[PMLSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.pml_network import PMLNetwork, PMLSegmenter

    return PMLNetwork, PMLSegmenter


METHOD = OneNetworkMethod(
    label="PML",
    config=PMLConfig,
    runs="rivals.pml:run_",
    classes=classes,
    paper="PML, Chen et al., CVPR 2018; without the number of the frame, CRF and solver",
    unread=unread,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.pml_network import new_network, train_network

    run_training(task, partial(new_network, **dict(task.config.network)), train_network)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes())


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    from vos.one_network_runs import time

    time(task, *classes())
