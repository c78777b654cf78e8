"""Configs of DIPNet's stages: all that can change a stage's result, and nothing that cannot."""

from __future__ import annotations

from typing import Literal

from dipnet.config import OneShotConfig, Options, PropagationConfig, SegmentationConfig, TrainingConfig


class TrainConfig(Options):
    """One training stage of one network: what both networks have in it."""

    training: TrainingConfig
    weights: str
    """`imagenet`, `none`, or `file` for the one in the stage's data; `network` where the stage goes on from another."""

    seed: int
    amp: bool = False


class PropagationTrainConfig(TrainConfig):
    """One training stage of the propagation network."""

    propagation: PropagationConfig


class SegmentationTrainConfig(TrainConfig):
    """One training stage of the segmentation network."""

    segmentation: SegmentationConfig
    coarse_size: int
    """Side of the coarse masks that it will be given."""


class TuneConfig(Options):
    """One-shot fine-tuning on one video."""

    segmentation: SegmentationConfig
    one_shot: OneShotConfig
    what: Literal["frame", "objects"]
    """All objects as one, or each by itself."""

    crop_margin: float | None = None
    """Of the crop that each object is tuned on, in sides of the foreground's box; null: on the whole frame."""

    coarse_size: int
    seed: int
    amp: bool = False


class IdentitiesConfig(Options):
    """Identity vectors of one video."""

    network: Literal["before", "after"]
    """Before or after training."""

    propagation: PropagationConfig
    weights: str
    """As in training; `network` after it."""

    seed: int
