"""STCN, Space-Time Correspondence Networks (NeurIPS 2021), as cached stages: train, segment, time.

Every cell of a frame reads from a memory of frames with masks, by the likeness of keys. In the sources of options,
"authors" is their public code and "choice" is ours (docs/rivals.md). The network is in `rivals.stcn_network`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from harness.config import Config
from vos import one_network
from vos.config import AugmentationConfig, BackboneName, BatchNorm, OptimizerConfig, TrainingConfig
from vos.one_network import OneNetworkConfig, OneNetworkMethod
from vos.stage_runs import run_training
from vos.weights import IMAGENET

if TYPE_CHECKING:
    from harness.stage import Task
    from rivals.stcn_network import STCNNetwork, STCNSegmenter


class NetworkConfig(one_network.NetworkConfig):
    """The network: keys of frames, values of frames with masks, and the decoder (authors: whole frames, 480p)."""

    backbone: BackboneName = "resnet50"
    """Backbone of the key encoder, up to stride 16 (authors)."""

    value_backbone: BackboneName = "resnet18"
    """Backbone of the value encoder, up to stride 16 (authors)."""

    key_channels: int = Field(64, ge=1)
    """Channels of a key (authors)."""

    value_channels: int = Field(512, ge=1)
    """Channels of a value, and of the frame's own features that are decoded with it (authors)."""

    channels: int = Field(256, ge=1)
    """Channels of the decoder (authors)."""


class STCNTraining(TrainingConfig):
    """One training stage: clips of three frames, and the loss of the second and the third."""

    iterations: int | None = Field(150_000, ge=1)
    """Optimizer steps, instead of epochs (authors)."""

    batch: int = Field(8, ge=1)
    """Clips per step (authors: 4 on each of two GPUs)."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Optimizer (authors: Adam)."""

    learning_rate: float = Field(1e-5, gt=0)
    """Step size (authors)."""

    weight_decay: float = Field(1e-7, ge=0)
    """Weight decay (authors)."""

    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate (choice; authors: a tenth in the last sixth of the steps)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics, which the backbones alone have (authors)."""

    clip_window: int = Field(40, ge=3)
    """Consecutive frames from which three are drawn (choice: on average 10 apart, as those of the authors)."""

    objects: int = Field(2, ge=1)
    """Most objects of a clip; a pasted one comes on top (authors)."""

    worst_share: float = Field(0.15, gt=0, le=1)
    """Share of pixels, those with the highest loss, that counts at the end of the training (authors)."""

    worst_share_course: tuple[float, float] = (2 / 15, 7 / 15)
    """Shares of the training between which all pixels become `worst_share` (authors: steps 20,000 and 70,000)."""

    augmentation: AugmentationConfig = AugmentationConfig(crop=0, rotation=15, scale=(1.0, 1.67), color=0.1)
    """Variation of a clip (authors, who turn each frame by its own angle, and shear)."""


class StillTraining(STCNTraining):
    """Training on clips that are made from still images."""

    iterations: int | None = Field(300_000, ge=1)
    """Optimizer steps, instead of epochs (authors)."""

    batch: int = Field(16, ge=1)
    """Clips per step (authors: 8 on each of two GPUs)."""

    clip_rotation: float = Field(20.0, ge=0, le=180)
    """Largest rotation of each further frame of a clip, degrees (authors, who also zoom, shear and bend)."""

    worst_share_course: tuple[float, float] = (1 / 15, 7 / 30)
    """Shares of the training between which all pixels become `worst_share` (authors: steps 20,000 and 70,000)."""

    augmentation: AugmentationConfig = AugmentationConfig(crop=0, scale=(0.8, 1.5), color=0.1)
    """Variation of a clip (authors)."""


class Trainings(Config):
    """Both trainings of the network."""

    pretraining: StillTraining = StillTraining()
    offline: STCNTraining = STCNTraining()


class InferenceConfig(Config):
    """What is kept in memory besides the first frame, and how it is read."""

    memory_every: int = Field(5, ge=0)
    """Every so many frames, one is kept; 0 keeps none (authors)."""

    previous: bool = False
    """Whether the last frame is in memory too (authors: not on DAVIS)."""

    top: int | None = Field(20, ge=1)
    """Cells of memory that a cell reads from, those of the highest affinity; null reads from all (authors)."""


class STCNConfig(OneNetworkConfig):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline"] = "offline"
    """The last stage of training that is used."""

    network: NetworkConfig = NetworkConfig()
    trainings: Trainings = Trainings()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="after")
    def _both_encoders_have_weights(self) -> Self:
        value = self.network.value_backbone
        if value != "mini" and value not in IMAGENET.get(self.weights, {value}):
            raise ValueError(f"weights {self.weights}: torchvision has none of {value}, the value encoder's backbone")
        return self


def unread(training: OptimizerConfig) -> Iterable[str]:
    """Return the names of a training's options that it does not read."""
    single = isinstance(training, STCNTraining) and training.objects == 1
    return ("coarse", *(() if single or training.augmentation.paste else ("foreground",)))


def classes() -> tuple[type[STCNNetwork], type[STCNSegmenter]]:
    """Return the classes of the network and of its segmenter; they load torch."""
    from rivals.stcn_network import STCNNetwork, STCNSegmenter

    return STCNNetwork, STCNSegmenter


METHOD = OneNetworkMethod(
    label="STCN",
    config=STCNConfig,
    runs="rivals.stcn:run_",
    classes=classes,
    paper="STCN, Cheng et al., NeurIPS 2021; without BL30K and YouTube-VOS",
    unread=unread,
)


def run_train(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from rivals.stcn_network import new_network, train_network

    run_training(task, partial(new_network, **dict(task.config.network)), train_network)


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from vos.one_network_runs import segment

    segment(task, *classes())


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame."""
    from vos.one_network_runs import time

    time(task, *classes())
