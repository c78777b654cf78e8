"""MSK, Learning Video Object Segmentation from Static Images (MaskTrack, CVPR 2017), without its optical-flow branch.

A network refines the mask of the previous frame: it sees a frame with a rough mask as a fourth channel, learns from
stills with deformed masks, and a copy of it is tuned on each object of the first frame. Cached stages: train, finetune,
segment, time. In the sources of options, "paper" is the method's, "authors" their code for deforming masks, "port" a
public port to another framework, and "choice" is ours (docs/rivals.md). The network is in `rivals.msk_network`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.config import Config
from vos import one_network
from vos.config import AugmentationConfig, BatchNorm, OptimizerConfig, TrainingConfig
from vos.one_network import CLIP_OPTIONS, OneNetworkConfig, OneNetworkMethod
from vos.stage_runs import run_training

if TYPE_CHECKING:
    from harness.stage import Task
    from rivals.msk_network import MSKNetwork, MSKSegmenter

VARIED = AugmentationConfig(crop=0, rotation=20)
"""Flips and rotations, in training and in fine-tuning (port)."""


class NetworkConfig(one_network.NetworkConfig):
    """The network: image and mask in, mask out (original: DeepLabv2 of VGG-16)."""

    width: int = Field(64, ge=1)
    """Channels of the head (choice)."""


class DeformationConfig(Config):
    """How a true mask becomes that of a previous frame. Zero turns a part off."""

    scale: float = Field(0.05, ge=0, lt=1)
    """Largest change of the mask's size, as a share (paper)."""

    shift: float = Field(0.1, ge=0, le=0.5)
    """Largest shift, in sides of its box (paper)."""

    spline: float = Field(0.1, ge=0, le=0.5)
    """Largest shift of each of five points of the contour, in sides of the box; a thin-plate spline does the rest
    (paper)."""

    dilation: float = Field(5 / 480, ge=0, le=0.5)
    """Radius by which the mask is dilated, in training and in use, in sides of the input (authors: 5 pixels of 480)."""


class MSKTraining(TrainingConfig):
    """One training stage."""

    epochs: float = Field(15, gt=0)
    """Passes over the data (port)."""

    batch: int = Field(24, ge=1)
    """Samples per step (port: gradients of four batches of six)."""

    learning_rate: float = Field(1e-2, gt=0)
    """SGD step size of the head; the backbone's is a tenth (port: 1e-3, and ten times that in the head)."""

    backbone_rate: float = Field(0.1, ge=0)
    """Learning rate of the backbone as a multiple of the rest's (port)."""

    weight_decay: float = Field(1e-3, ge=0)
    """SGD weight decay (port)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics, which the backbone alone has (choice: VGG-16 has none)."""

    augmentation: AugmentationConfig = VARIED
    deformation: DeformationConfig = DeformationConfig()


class MSKTrainings(Config):
    """Both trainings."""

    pretraining: MSKTraining = MSKTraining()
    """On still images, all there is in the paper (11,000 stills of saliency data there)."""

    offline: MSKTraining = MSKTraining()
    """On single frames of videos (choice: DIPNet's data; paper: none)."""


class OneShotConfig(one_network.OneShotConfig):
    """Fine-tuning of a copy for each object of the first frame."""

    iterations: int = Field(200, ge=0)
    """Optimizer steps (choice: DIPNet's on the frame; port: ten epochs of variations of the first frame)."""

    batch: int = Field(16, ge=1)
    """Samples per step (port: gradients of eight batches of two)."""

    learning_rate: float = Field(2.5e-3, gt=0)
    """SGD step size (port)."""

    weight_decay: float = Field(1e-4, ge=0)
    """SGD weight decay (port)."""

    augmentation: AugmentationConfig = VARIED
    deformation: DeformationConfig = DeformationConfig()


class InferenceConfig(Config):
    """How the networks segment a video."""

    dilation: float = Field(5 / 480, ge=0, le=0.5)
    """Radius by which the previous mask is dilated, in sides of the input (paper: as in training)."""


class MSKConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline", "one-shot"] = "one-shot"
    """The last stage of training that is used."""

    network: NetworkConfig = NetworkConfig()
    trainings: MSKTrainings = MSKTrainings()
    one_shot: OneShotConfig = OneShotConfig()
    inference: InferenceConfig = InferenceConfig()


def unread(training: OptimizerConfig) -> Iterable[str]:  # noqa: ARG001  signature of OneNetworkMethod.unread
    """Return the names of a training's options that refining the mask of a single frame does not read."""
    return ("coarse", *CLIP_OPTIONS)


def classes() -> tuple[type[MSKNetwork], type[MSKSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.msk_network import MSKNetwork, MSKSegmenter

    return MSKNetwork, MSKSegmenter


METHOD = OneNetworkMethod(
    label="MSK, no flow",
    config=MSKConfig,
    runs="rivals.msk:run_",
    classes=classes,
    paper="MaskTrack, Perazzi et al., CVPR 2017; without optical flow and CRF",
    unread=unread,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.msk_network import new_network, train_network

    run_training(task, partial(new_network, **dict(task.config.network)), train_network)


def run_finetune(task: Task) -> None:
    """Write `network0.pt`, `network1.pt`, …: one for each object."""
    from rivals.msk_network import MSKNetwork, fine_tune_on
    from vos.one_network_runs import finetune

    finetune(task, MSKNetwork, fine_tune_on)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes())


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    from rivals.msk_network import fine_tune_on
    from vos.one_network_runs import time

    time(task, *classes(), fine_tune_on)
