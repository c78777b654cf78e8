"""The options of DIPNet, and the configs of its stages. Defaults are the paper's; scales and variants change them.

Sizes are pixels of square inputs; "paper", "CRN" and "choice" are as in `vos.config`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.config import Config
from vos.config import (
    BackboneName,
    CoarseConfig,
    FineTuningConfig,
    NetworkTraining,
    TimingConfig,
    TrainingConfig,
    TrainStageConfig,
    with_defaults,
)

OneShotPart = Literal["frame", "objects"]
"""Parts of one-shot fine-tuning: all objects as one on the whole frame, then each by itself."""

Alignment = Literal["centers", "corners"]
"""Points of two maps of different sizes that lie on each other: the centers of their areas, or their corners."""


class PropagationConfig(Config):
    """Phase I, the identity propagation network (section 3.1)."""

    backbone: BackboneName = "resnet50"
    """Backbone of the feature encoder and of the identity encoder; weights are not shared (paper, fig. 3)."""

    size: int = Field(256, ge=32, multiple_of=32)
    """Side of the input (paper)."""

    output_stride: Literal[16, 32] = 32
    """Input side over feature side: 256 → 8 (paper)."""

    identity_input: Literal["attention", "concat"] = "attention"
    """How the mask enters the identity encoder: eq. 1, or as a fourth input channel (section 4.2.2)."""

    identity_spread: float | None = Field(None, gt=0)
    """Standard deviation of the identity head's first weights; null: torch's. Wide ones help short trainings."""

    identity_calibration: int = Field(0, ge=0)
    """Batches from which the identity encoder is set before its first training (`calibrate_identity`); 0: not at all,
    as in the paper."""

    head_channels: int = Field(256, ge=1)
    """Channels of the head's deconvolutions and convolutions (choice; the paper names none)."""

    @property
    def coarse_size(self) -> int:
        """Side of the coarse mask: four times the features' (32 at the paper's size)."""
        return 4 * self.size // self.output_stride


class SegmentationConfig(Config):
    """Phase II, the spatial segmentation network: CRN with a finer coarse mask (section 3.2)."""

    backbone: BackboneName = "resnet101"
    size: int = Field(512, ge=32, multiple_of=32)
    """Side of the input and the output (paper)."""

    coarse_entry: Literal["dilated", "layer3"] = "dilated"
    """How stage 1 comes to 1/16 of the input: last block with stride 1 and dilation 2, or without it (choice)."""

    channels: int = Field(32, ge=1)
    """Channels of every decoder stage (CRN)."""

    units: int = Field(5, ge=1)
    """Residual attention units in a refine block (CRN)."""

    finest_stride: Literal[1, 2] = 1
    """Stride of the last stage; 2 skips the sixth stage and upsamples the fifth (choice, for small scales)."""

    alignment: Alignment = "centers"
    """How maps of different sizes lie on each other: by the areas of their cells, each stage's truth being the object's
    share of a cell; or as in CRN, corner on corner, the truth being the first pixel of a cell."""

    double_sigmoid: bool = True
    """Gate = sigmoid of the upsampled probability, so within [0.5, 0.73] (CRN's quirk); otherwise the probability."""


class OneShotConfig(FineTuningConfig):
    """First-frame fine-tuning of the segmentation network (section 3.4)."""

    frame_iterations: int = Field(200, ge=0)
    """Optimizer steps on the whole first frame (paper)."""

    crop_iterations: int = Field(100, ge=0)
    """Further steps on the cropped foreground, single object (paper)."""

    instance_iterations: int = Field(200, ge=0)
    """Further steps for each instance, several objects (paper): on the crop, or without one on the whole frame."""

    @staticmethod
    def iterations_of(part: OneShotPart, objects: int) -> str:
        """Return the name of the option that counts the steps of a part, by the number of objects."""
        return "frame_iterations" if part == "frame" else "crop_iterations" if objects == 1 else "instance_iterations"


class PropagationTraining(TrainingConfig):
    """One training stage of the propagation network."""

    objects: int = Field(8, ge=1)
    """Most objects of a frame that are learned together, with all of them as one more (section 3.3.2); 1: one object
    per sample, or all of them merged. A sample of one object has the loss of the single-object task, a sigmoid's."""

    loss: Literal["softmax", "sigmoid", "both"] = "softmax"
    """Loss of several objects: that of the softmax over {−f_fg, f_1 … f_n} (section 3.3.2), the mean of their own, or
    the sum of both, after which f_i is above 0 where the object i is, whatever the others are."""

    foreground_term: float = Field(1.0, ge=0)
    """With `softmax`: weight of a sigmoid's loss of f_fg, which the first pass of the crop reads (choice)."""

    disturbance: CoarseConfig = CoarseConfig(kernel=0)
    """How the reference's masks are disturbed, as those of eq. 2 are not exact: kernel, shift and blobs (choice)."""


class PropagationTrainings(Config):
    """Both trainings of the propagation network."""

    pretraining: PropagationTraining = PropagationTraining()
    offline: PropagationTraining = PropagationTraining(epochs=20, batch_norm="frozen")


class InferenceOptions(Config):
    """The options that decide how trained networks segment a video."""

    phases: Literal["both", "propagation", "segmentation"] = "both"
    """Both (DIPNet), only identity propagation, or only segmentation, fed with its own previous mask (table 6)."""

    crop: bool = True
    """Segment the foreground first, then again inside a crop around it (section 3.3.1); false is DIPNet*."""

    crop_margin: float = Field(0.25, ge=0, le=2)
    """Margin on each side of the foreground's box, in sides of the box (choice; the paper says "tight")."""

    crop_share: float = Field(0.01, ge=0, le=1)
    """The box goes around the connected parts of the found foreground that are at least this share of it or reach into
    the last frame's box, around the largest anyway, and in the first frame around all of them (choice). 0: all."""

    instances: Literal["jointly", "separately"] = "jointly"
    """Softmax over the objects and the negated foreground (section 3.3.2), or a sigmoid for each."""

    omega: float = Field(0.95, ge=0, le=1)
    """Weight of the newest identity attention (eq. 2)."""

    confident_omega: bool = False
    """Beyond the paper: ω times the newest mask's confidence: the mean in it of 2p − 1, p the object's probability."""

    anchor: float = Field(0.0, ge=0, le=1)
    """Beyond the paper: share of what the first frame's identity yields in the coarse mask; it never drifts."""

    previous: float = Field(0.0, ge=0, le=1)
    """Beyond the paper: share of the previous frame's mask in the coarse mask; the propagated one has the rest."""

    test_flip: bool = False
    """Beyond the paper: each frame is segmented as it is and mirrored, and the probabilities are averaged."""

    search_margin: float | None = Field(None, ge=0)
    """Beyond the paper: with the crop, the foreground is searched in the previous mask's box with this margin, in its
    sides, and in the whole frame only if it is not found there. Null: always in the whole frame."""

    reach: float | None = Field(None, ge=0)
    """Beyond the paper: what the propagation finds further than this from the previous frame's mask, in longer sides of
    that mask's box, is ignored; an object that was not found there may be anywhere. Null: nothing is ignored."""

    frame_share: float = Field(0.0, ge=0, le=1)
    """Beyond the paper: with the crop and one object, share of the first pass's probability in the mask."""

    amp: bool = False
    """bfloat16 autocast on CUDA, in training too."""


class InferenceConfig(InferenceOptions):
    """All that decides how a video is segmented, once the networks are trained; None for a phase that is not used."""

    coarse_size: int = 32
    propagation: PropagationConfig | None = None
    segmentation: SegmentationConfig | None = None


class TimeConfig(TimingConfig):
    """Seconds per frame of one variant."""

    inference: InferenceConfig
    one_shot: OneShotConfig | None


class DIPNetConfig(InferenceOptions):
    """The whole method, and what its variants change."""

    training: Literal["pretraining", "offline", "one-shot", "end-to-end"] = "one-shot"
    """The last stage of training that is used (table 7). `end-to-end`: one-shot with both networks tuned as one on the
    frame (section 4.2.3); such a variant is not timed."""

    weights: str = "imagenet-v1"
    """Weights of the backbones before training: torchvision's `imagenet-v1` (those of the paper's time: choice) or
    `imagenet-v2`, `none`, or a file of a state dict."""

    propagation: PropagationConfig = PropagationConfig()
    segmentation: SegmentationConfig = SegmentationConfig()
    propagation_training: PropagationTrainings = PropagationTrainings()
    segmentation_training: NetworkTraining = NetworkTraining()
    one_shot: OneShotConfig = OneShotConfig()
    analyses: tuple[Literal["identities"], ...] = ()
    """What to make besides masks: every object's identity vectors, before and after training (fig. 7)."""

    def inference(self, *, multi_object: bool) -> InferenceConfig:
        """Return the options that matter to segmenting, with those that cannot change the result at their defaults."""
        without_propagation = self.phases == "segmentation"
        unread: set[str] = set()
        if not self.crop:
            unread |= {"crop_margin", "crop_share", "search_margin", "frame_share"}
        if without_propagation:
            unread |= {"instances", "omega", "confident_omega", "anchor", "previous", "reach"}
        if self.omega == 0:
            unread |= {"confident_omega", "anchor"}
        if not multi_object:
            unread |= {"instances"}
        read = with_defaults(self, unread)
        return InferenceConfig(
            **{name: getattr(read, name) for name in InferenceOptions.model_fields},
            coarse_size=self.propagation.coarse_size,
            propagation=None if without_propagation else self.propagation,
            segmentation=None if self.phases == "propagation" else self.segmentation,
        )

    @model_validator(mode="after")
    def _end_to_end_needs_both_phases(self) -> DIPNetConfig:
        if self.training == "end-to-end" and (self.phases != "both" or self.one_shot.feature_views):
            raise ValueError(
                "training 'end-to-end' tunes both networks: set phases to both, one_shot.feature_views to 0"
            )
        return self

    @model_validator(mode="after")
    def _no_crop_without_segmentation(self) -> DIPNetConfig:
        if self.crop and self.phases != "both":
            raise ValueError(f"phases {self.phases!r} has no second pass: set crop to false with it")
        return self


class PropagationTrainConfig(TrainStageConfig):
    """A training stage of the propagation network."""

    propagation: PropagationConfig
    training: PropagationTraining


class SegmentationTrainConfig(TrainStageConfig):
    """One training stage of the segmentation network."""

    segmentation: SegmentationConfig
    coarse_size: int


class FineTuneConfig(Config):
    """One-shot fine-tuning on one video."""

    segmentation: SegmentationConfig
    one_shot: OneShotConfig
    what: OneShotPart
    crop_margin: float | None = None
    """Margin of the crop on which each object is tuned, in sides of the foreground's box; null: on the whole frame."""

    coarse_size: int
    seed: int
    amp: bool = False


class EndToEndConfig(Config):
    """One-shot fine-tuning of both networks on one video."""

    propagation: PropagationConfig
    segmentation: SegmentationConfig
    one_shot: OneShotConfig
    coarse_size: int
    seed: int
    amp: bool = False


class IdentitiesConfig(Config):
    """Identity vectors of one video, before or after training."""

    network: Literal["before", "after"]
    propagation: PropagationConfig
    weights: str
    seed: int
