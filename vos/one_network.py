"""A method of one network, as cached stages: train, finetune, segment, time.

The method brings its options, and run functions that call `vos.one_network_runs` with its network. A network is built
from the options of its `network` as keyword arguments; planning needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field

from harness.config import Config
from harness.method import CellPlan, CellRequest
from harness.stage import Data
from vos.config import (
    BackboneName,
    FineTuningConfig,
    OptimizerConfig,
    TimingConfig,
    TrainingConfig,
    TrainStageConfig,
    with_defaults,
)
from vos.parts import by_part, joined
from vos.stages import ROLES, mean_frames, relevant, time_stage, train_stages, video_stage

CLIP_OPTIONS = ("clip_window", "clip_shift", "clip_rotation")
"""Options of a training that only samples of several frames read."""


class NetworkConfig(Config):
    """Options of the network; a method adds its own."""

    backbone: BackboneName = "resnet101"
    """Backbone (choice: that of DIPNet's segmentation)."""

    size: int = Field(512, ge=32, multiple_of=32)
    """Side of the input (choice: that of DIPNet's segmentation)."""


class Trainings(Protocol):
    """Both trainings of the network before it meets the test video."""

    @property
    def pretraining(self) -> TrainingConfig:
        """On still images."""

    @property
    def offline(self) -> TrainingConfig:
        """On videos."""


class OneShotConfig(FineTuningConfig):
    """Fine-tuning on the first frame of the test video."""

    iterations: int = Field(ge=0)
    """Optimizer steps of each copy."""


class NoInferenceOptions(Config):
    """Inference without options."""


class OneNetworkConfig(Config):
    """The whole method; its own config narrows the types of the parts and gives their defaults."""

    training: Literal["pretraining", "offline", "one-shot"] = "offline"
    """The last stage of training that is used."""

    weights: str = "imagenet-v1"
    """Weights of the backbone before training: `imagenet-v1`, `imagenet-v2`, `none`, or a file of a state dict."""

    network: NetworkConfig
    trainings: Any
    one_shot: OneShotConfig | None = None
    inference: Config = NoInferenceOptions()
    amp: bool = False
    """bfloat16 autocast on CUDA, in training too."""


class TrainConfig(TrainStageConfig):
    """A training stage."""

    network: NetworkConfig


class FineTuneConfig(Config):
    """Fine-tuning on one video."""

    network: NetworkConfig
    one_shot: OneShotConfig
    seed: int
    amp: bool


class SegmentConfig(Config):
    """How trained networks segment a video."""

    network: NetworkConfig
    inference: Config
    amp: bool


class TimeConfig(TimingConfig, SegmentConfig):
    """Seconds per frame of one variant."""

    one_shot: OneShotConfig | None


def unread_by_foreground(training: OptimizerConfig) -> Iterable[str]:
    """Return the names of a training's options that segmenting the foreground of single frames does not read."""
    return ("coarse", *CLIP_OPTIONS, *(() if training.augmentation.paste else ("foreground",)))


def _unread(training: OptimizerConfig) -> Iterable[str]:  # noqa: ARG001  signature of OneNetworkMethod.unread
    return ()


@dataclass(frozen=True)
class OneNetworkMethod:
    """A method that studies call by the name of its entry point."""

    label: str
    config: type[OneNetworkConfig]
    runs: str
    """Module and prefix of the run functions `train`, `finetune`, `segment` and `time`: `rivals.osvos:run_`."""

    classes: Callable[[], tuple[Callable[..., Any], Callable[..., Any]]]
    """Returns the network's class, whose arguments the options of `network` are, and its segmenter's class."""

    paper: str
    """Publication that the method is from, and what is different here."""

    together: bool = False
    """Whether one-shot fine-tuning makes one network for all objects of a video, instead of one for each."""

    unread: Callable[[OptimizerConfig], Iterable[str]] = _unread
    """Names of a training's options that the network does not read; they are not in the keys."""

    def card(self, config: BaseModel) -> Mapping[str, str]:
        """Return what a reader of a comparison asks, as title → text; the network is built for that."""
        from vos.card import network_card, training_of, tuning_of, weights_of
        from vos.checkpoint import for_inference

        assert isinstance(config, OneNetworkConfig)
        new, make = self.classes()
        network = for_inference(new(**dict(config.network)), "cpu")
        card = {"published": self.paper, "backbone": f"{config.network.backbone}, input {config.network.size}"}
        tuned = config.training == "one-shot" and not self.together
        card |= network_card(
            {"network": network},
            lambda objects: make([network] * (objects if tuned else 1), config.inference, "cpu", config.amp),
        )
        wanted = list(ROLES) if config.training != "pretraining" else ["pretraining"]
        card |= {ROLES[role]: training_of(getattr(config.trainings, role)) for role in wanted}
        if config.training == "one-shot" and config.one_shot is not None:
            each = "" if self.together else " for each object"
            card["one-shot"] = tuning_of(config.one_shot, f"{config.one_shot.iterations:,} steps{each}")
        return card | {"weights": weights_of(config.weights, config.network.backbone)}

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan the training stages for which there is data, then fine-tuning and segmenting of each video."""
        config = request.config
        assert isinstance(config, OneNetworkConfig)

        def train(role: str, data: Data, weights: str) -> tuple[str, str, BaseModel]:
            training: TrainingConfig = getattr(config.trainings, role)
            settings = TrainConfig(
                network=config.network,
                training=relevant(training, *self.unread(training)),
                weights=weights,
                seed=request.seed,
                amp=config.amp,
            )
            return f"train {self.label}, {ROLES[role]} on {data.name}", f"{self.runs}train", settings

        trained, omitted = train_stages(request, config.training, config.weights, config.network.backbone, train)
        one_shot = config.one_shot if config.training == "one-shot" else None
        if one_shot is not None:
            read = type(one_shot).model_fields
            one_shot = with_defaults(one_shot, [name for name in self.unread(one_shot) if name in read])
        segmenting: dict[str, Any] = {"network": config.network, "inference": config.inference, "amp": config.amp}
        parts, needs = by_part(request), {}
        for name in parts.sequences:
            network = trained
            if one_shot is not None:
                settings = FineTuneConfig(network=config.network, one_shot=one_shot, seed=request.seed, amp=config.amp)
                label, before = f"one-shot {self.label} on {name}", {"network": trained}
                network = video_stage(parts, "finetune", label, f"{self.runs}finetune", settings, name, before)
            needs[name] = {"network": network}
        run, inference = f"{self.runs}segment", SegmentConfig(**segmenting)
        segment = {
            name: video_stage(request, "segment", f"segment {name}", run, inference, name, own)
            for name, own in joined(request, needs).items()
        }
        timing = TimeConfig(**segmenting, one_shot=one_shot, mean_frames=mean_frames(request))
        return CellPlan(
            segment=segment,
            timing=time_stage(request, f"{self.runs}time", timing, {"network": trained}),
            omitted=omitted,
        )
