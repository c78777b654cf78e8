"""Configs of DIPNet's stages: all that can change a stage's result, and nothing that cannot."""

from __future__ import annotations

from typing import Literal

from dipnet.config import OneShotConfig, PropagationConfig, SegmentationConfig
from harness.config import Config
from vos.config import TrainStageConfig


class PropagationTrainConfig(TrainStageConfig):
    """One training stage of the propagation network."""

    propagation: PropagationConfig


class SegmentationTrainConfig(TrainStageConfig):
    """One training stage of the segmentation network."""

    segmentation: SegmentationConfig
    coarse_size: int
    """Side of the coarse masks that it will receive."""


class FineTuneConfig(Config):
    """One-shot fine-tuning on one video."""

    segmentation: SegmentationConfig
    one_shot: OneShotConfig
    what: Literal["frame", "objects"]
    """All objects as one, or each by itself."""

    crop_margin: float | None = None
    """Margin of the crop on which each object is tuned, in sides of the foreground's box; null: on the whole frame."""

    coarse_size: int
    seed: int
    amp: bool = False


class IdentitiesConfig(Config):
    """Identity vectors of one video."""

    network: Literal["before", "after"]
    """Before or after training."""

    propagation: PropagationConfig
    weights: str
    """As in training; `network` after it."""

    seed: int
