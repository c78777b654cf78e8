"""Options that any network method has: how samples vary, how it is trained and fine-tuned, how it is timed.

Sizes are pixels of square inputs. "CRN" is the public code of Motion-Guided Cascaded Refinement Network (CVPR 2018),
whose training many defaults follow; "paper" is DIPNet's (WACV 2020); "choice" is ours, with a row in DEVIATIONS.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from harness.config import Config

BackboneName = Literal["resnet50", "resnet101", "resnet18", "mobilenet_v2", "mini"]
BatchNorm = Literal["train", "backbone-frozen", "frozen"]
C = TypeVar("C", bound=Config)


def with_defaults(config: C, names: Iterable[str]) -> C:
    """Return a config with some options at their defaults: those that cannot change a stage's result."""
    fields = type(config).model_fields
    return config.model_copy(update={name: fields[name].get_default(call_default_factory=True) for name in names})


class AugmentationConfig(Config):
    """How a training image is varied. Zero turns a part off; what CRN does not do is off by default."""

    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right flip (CRN)."""

    crop: float = Field(0.25, ge=0, le=1)
    """Probability of a random crop around the object (CRN)."""

    crop_margin_range: tuple[float, float] = (0.1, 1.0)
    """Range of the margin on each side of the cropped object, in sides of its box (choice)."""

    rotation: float = Field(0.0, ge=0, le=180)
    """Largest rotation, degrees."""

    scale: tuple[float, float] = (1.0, 1.0)
    """Range of zooming."""

    shift: float = Field(0.0, ge=0, le=0.5)
    """Largest shift, in sides of the image."""

    paste: float = Field(0.0, ge=0, le=1)
    """Training only: probability that the object of another image is pasted in (`vos.paste`; choice, small scales)."""

    color: float = Field(0.0, ge=0, le=0.5)
    """Largest change of brightness, contrast and of each channel, as a share."""


class CoarseConfig(Config):
    """How a true mask becomes the coarse mask of a training sample."""

    kernel: int = Field(16, ge=0)
    """Largest dilation or erosion kernel, pixels of the input (paper)."""

    shift: float = Field(0.0, ge=0, le=0.5)
    """Largest shift of the mask, in sides of its box (not in the paper)."""

    blobs: float = Field(0.0, ge=0, le=1)
    """Probability that an ellipse is added to the mask or cut from it (not in the paper)."""

    fade: float = Field(0.0, ge=0, le=1)
    """Largest share by which the whole coarse mask is weakened, as by a doubtful propagation (not in the paper)."""

    blur: float = Field(0.0, ge=0)
    """Largest Gaussian blur of the coarse mask, in its own pixels (not in the paper)."""


class OptimizerConfig(Config):
    """What training and fine-tuning have in common."""

    batch: int = Field(4, ge=1)
    """Samples per step (paper)."""

    accumulate: int = Field(1, ge=1)
    """Parts in which a batch is processed to save memory. The gradient stays; batch norm that is learned sees parts."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(1e-4, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    backbone_rate: float = Field(1.0, ge=0)
    """Learning rate of backbones as a multiple of the rest's (choice)."""

    frozen_blocks: int = Field(0, ge=0, le=5)
    """First blocks of a backbone that keep their weights (choice, small scales); 0 if the mask is an input channel."""

    schedule: Literal["constant", "cosine"] = "constant"
    """Course of the learning rate over the stage; `cosine` falls to a fiftieth (choice)."""

    batch_norm: BatchNorm = "train"
    """Statistics: learned, kept as loaded in the backbone only, or kept everywhere (paper, CRN: off-line, one-shot)."""

    patience: int | None = Field(None, ge=1)
    """Beyond the paper: training stops after so many windows of ten steps without a lower mean loss; null: never."""

    sizes: tuple[int, ...] = ()
    """Sides of the input, one drawn per batch (CRN: 352…512, off-line also 640, one-shot also 544); empty: its own."""

    augmentation: AugmentationConfig = AugmentationConfig()
    coarse: CoarseConfig = CoarseConfig()

    @model_validator(mode="after")
    def _no_empty_part(self) -> Self:
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate {self.accumulate}: a batch of {self.batch} has no more parts than samples")
        return self


class TrainingConfig(OptimizerConfig):
    """One training stage of one network."""

    epochs: float = Field(40, gt=0)
    """Passes over the data (paper: 40 in pre-training, 20 off-line)."""

    iterations: int | None = Field(None, ge=1)
    """Optimizer steps, instead of epochs."""

    clip_window: int = Field(10, ge=2)
    """The frames of a clip come from that many consecutive ones (paper)."""

    clip_shift: float = Field(0.1, ge=0, le=0.5)
    """Still images: largest shift of each further frame of a clip, in sides (choice)."""

    clip_rotation: float = Field(15.0, ge=0, le=180)
    """Still images: largest rotation of each further frame of a clip, degrees (choice)."""

    foreground: float = Field(0.25, ge=0, le=1)
    """Videos of several objects: probability that the sample's object is all of them merged (choice)."""

    held_out: float = Field(0.0, ge=0, lt=1)
    """Share of the videos that is not trained on, and whose loss is in the curves as `validation loss`; 0: none."""

    validation_steps: int = Field(100, ge=1)
    """Steps between two validation losses."""


class NetworkTraining(Config):
    """Both trainings of a network before it meets the test video."""

    pretraining: TrainingConfig = TrainingConfig()
    offline: TrainingConfig = TrainingConfig(epochs=20, batch_norm="frozen")


class FineTuningConfig(OptimizerConfig):
    """Fine-tuning on the first frame of the test video (one-shot)."""

    learning_rate: float = Field(1e-3, gt=0)
    """SGD step size (paper)."""

    batch_norm: BatchNorm = "frozen"
    """Statistics, as in training (CRN)."""

    feature_views: int = Field(0, ge=0)
    """Beyond the paper: steps draw from so many variations of the frame, whose features are computed once by a frozen
    backbone; 0 varies the frame at each step and tunes the backbone too."""


class TrainStageConfig(Config):
    """Config of a training stage, to which a method adds its network's options."""

    training: TrainingConfig
    weights: str
    """`imagenet-v1` or `-v2`, `none`, `file` for the one in the stage's data, `network` if it continues another."""

    seed: int
    amp: bool = False


class TimingConfig(Config):
    """Config of a timing stage, to which a method adds its own options."""

    mean_frames: float
    """Mean length of the benchmark's videos, over which the fine-tuning seconds are spread."""

    frames: int = 8
    """Frames that are segmented for the measurement."""

    steps: int = 5
    """Fine-tuning steps that are timed; the rest is scaled up from them."""
