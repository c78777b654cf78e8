"""The options of DIPNet. Defaults are the paper's; scales and variants change them.

Sizes are pixels of square inputs. "Paper" means the WACV 2020 text; "CRN" the public code of the network that the
segmentation phase builds on; "choice" is ours, with a row in DEVIATIONS.md."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BackboneName = Literal["resnet50", "resnet101", "resnet18", "mobilenet_v2", "mini"]


class Options(BaseModel):
    """Frozen, keyword-only, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class PropagationConfig(Options):
    """Phase I, the identity propagation network (section 3.1)."""

    backbone: BackboneName = "resnet50"
    """Of the feature encoder and of the identity encoder; weights are not shared (paper, fig. 3)."""

    size: int = Field(256, ge=32, multiple_of=32)
    """Side of the input (paper)."""

    output_stride: Literal[16, 32] = 32
    """Input side over feature side: 256 → 8 (paper)."""

    identity_input: Literal["attention", "concat"] = "attention"
    """How the mask enters the identity encoder: eq. 1, or as a fourth input channel (section 4.2.2)."""

    identity_spread: float | None = Field(None, gt=0)
    """Standard deviation of the identity head's first weights; null: torch's own. Wide ones make identities differ from
    the first step on, which a short training from scratch needs (choice, for small scales)."""

    identity_calibration: int = Field(0, ge=0)
    """Batches from which the identity encoder is set before the first step of its first training (dipnet.calibrate):
    batch-norm statistics with eq. 1 in place, and a head that lets through what an object has more of than others; 0:
    ImageNet's statistics, and a head drawn at random (not in the paper)."""

    head_channels: int = Field(256, ge=1)
    """Of the deconvolutions and convolutions of the head (choice; the paper names none)."""

    @property
    def coarse_size(self) -> int:
        """Side of the coarse mask: four times the features' (32 at the paper's size)."""
        return 4 * self.size // self.output_stride


class SegmentationConfig(Options):
    """Phase II, the spatial segmentation network: CRN with a finer coarse mask (section 3.2)."""

    backbone: BackboneName = "resnet101"
    size: int = Field(512, ge=32, multiple_of=32)
    """Side of the input and the output (paper)."""

    coarse_entry: Literal["dilated", "layer3"] = "dilated"
    """How stage 1 comes to 1/16 of the input: last block with stride 1 and dilation 2, or without it (choice)."""

    channels: int = Field(32, ge=1)
    """Of every decoder stage (CRN)."""

    units: int = Field(5, ge=1)
    """Residual attention units in a refine block (CRN)."""

    finest_stride: Literal[1, 2] = 1
    """Stride of the last stage; 2 leaves the sixth stage out and upsamples the fifth (choice, for small scales)."""

    double_sigmoid: bool = True
    """Gate = sigmoid of the upsampled probability, so within [0.5, 0.73] (CRN's quirk); otherwise the probability."""


class AugmentationConfig(Options):
    """How a training image is varied. Zero turns a part off; what the paper does not name is off by default."""

    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right flip (CRN)."""

    crop: float = Field(0.25, ge=0, le=1)
    """Probability of a random crop around the object (CRN)."""

    crop_margin: tuple[float, float] = (0.1, 1.0)
    """Range of the margin on each side of the cropped object, in sides of its box (choice)."""

    rotation: float = Field(0.0, ge=0, le=180)
    """Largest rotation, degrees."""

    scale: tuple[float, float] = (1.0, 1.0)
    """Range of zooming."""

    shift: float = Field(0.0, ge=0, le=0.5)
    """Largest shift, in sides of the image."""

    paste: float = Field(0.0, ge=0, le=1)
    """Training only: probability that the object of another image is pasted in, and that the sample is about either
    (choice, for small scales: few videos of one object each would teach to find objects whatever the hint)."""

    color: float = Field(0.0, ge=0, le=0.5)
    """Largest change of brightness, contrast and of each channel, as a share."""


class CoarseConfig(Options):
    """How a true mask becomes the coarse mask of a training sample (section 3.4)."""

    kernel: int = Field(16, ge=0)
    """Largest dilation or erosion kernel, pixels of the input (paper)."""

    shift: float = Field(0.0, ge=0, le=0.5)
    """Largest shift of the mask, in sides of its box (not in the paper)."""

    blobs: float = Field(0.0, ge=0, le=1)
    """Probability that an ellipse is added to the mask or cut from it (not in the paper)."""

    fade: float = Field(0.0, ge=0, le=1)
    """Largest share that the whole coarse mask is weakened by: a propagation that is unsure says less than 1 (not in
    the paper)."""

    blur: float = Field(0.0, ge=0)
    """Largest Gaussian blur of the coarse mask, in its own pixels (not in the paper)."""


class OptimiserConfig(Options):
    """What every training has in common."""

    batch: int = Field(4, ge=1)
    """Samples a step (paper)."""

    accumulate: int = Field(1, ge=1)
    """Parts that a batch is worked through in, one after the other, where the whole does not fit the memory. The
    gradient stays the whole batch's, but batch norm that is learnt sees parts."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(1e-4, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    """CRN."""

    backbone_rate: float = Field(1.0, ge=0)
    """Learning rate of backbones over that of the rest (choice)."""

    frozen_blocks: int = Field(0, ge=0, le=5)
    """First blocks of each backbone that keep their weights (choice, for small scales). An identity encoder with the
    mask as an input channel learns all of its blocks."""

    schedule: Literal["constant", "cosine"] = "constant"
    """Of the learning rate over the stage; `cosine` falls to a fiftieth (choice)."""

    batch_norm: Literal["train", "backbone-frozen", "frozen"] = "train"
    """Statistics: learnt; kept as loaded in the backbone only; kept everywhere (paper, CRN: off-line and one-shot)."""

    sizes: tuple[int, ...] = ()
    """Sides of the input, one drawn a batch (CRN: 352…512, off-line also 640, one-shot also 544); empty: the network's
    own. The propagation network has one size."""

    augmentation: AugmentationConfig = AugmentationConfig()
    coarse: CoarseConfig = CoarseConfig()

    @model_validator(mode="after")
    def _no_empty_part(self) -> Self:
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate {self.accumulate}: a batch of {self.batch} has no more parts than samples")
        return self


class TrainingConfig(OptimiserConfig):
    """One training stage of one network (section 3.4)."""

    epochs: float = Field(40, gt=0)
    """Passes over the data (paper: 40 in pre-training, 20 off-line)."""

    iterations: int | None = Field(None, ge=1)
    """Optimiser steps, instead of epochs."""

    pair_window: int = Field(10, ge=2)
    """The two frames of a pair come from that many consecutive ones (paper)."""

    pair_shift: float = Field(0.1, ge=0, le=0.5)
    """Still images: largest shift of the second frame, in sides (choice)."""

    pair_rotation: float = Field(15.0, ge=0, le=180)
    """Still images: largest rotation of the second frame, degrees (choice)."""

    foreground: float = Field(0.25, ge=0, le=1)
    """Where several objects are told apart: probability that the sample's object is all of them merged (choice)."""

    held_out: float = Field(0.0, ge=0, lt=1)
    """Share of the videos that is not trained on, and whose loss is in the curves as `validation loss`; 0: none."""

    validation_steps: int = Field(100, ge=1)
    """Steps between two validation losses."""


class NetworkTraining(Options):
    """Both trainings of one network before it meets the test video."""

    pretraining: TrainingConfig = TrainingConfig()
    offline: TrainingConfig = TrainingConfig(epochs=20, batch_norm="frozen")


class OneShotConfig(OptimiserConfig):
    """First-frame fine-tuning of the segmentation network (section 3.4)."""

    frame_iterations: int = Field(200, ge=0)
    """Optimiser steps on the whole first frame (paper)."""

    crop_iterations: int = Field(100, ge=0)
    """Further steps on the cropped foreground, single object (paper)."""

    instance_iterations: int = Field(200, ge=0)
    """Further steps for each instance, several objects (paper): on the crop, or without one on the whole frame."""

    learning_rate: float = Field(1e-3, gt=0)
    """SGD step size (paper)."""

    batch_norm: Literal["train", "backbone-frozen", "frozen"] = "frozen"
    """As in training (CRN)."""

    feature_views: int = Field(0, ge=0)
    """Beyond the paper: the backbone keeps its weights and its features are computed once, for that many variations of
    the first frame that every step draws from; 0 varies the frame anew at each step and tunes the backbone too."""

    patience: int | None = Field(None, ge=1)
    """Beyond the paper: tuning stops after so many windows of ten steps without a lower mean loss; the iterations are
    then the most that it takes. Null takes them all."""


ITERATIONS = ("frame_iterations", "crop_iterations", "instance_iterations")
"""The options that count one-shot steps."""


def iterations_of_objects(count: int) -> Literal["crop_iterations", "instance_iterations"]:
    """The option that counts the one-shot steps of each object, by how many there are (section 3.4)."""
    return "crop_iterations" if count == 1 else "instance_iterations"


class InferenceConfig(Options):
    """What decides how a video is segmented, once the networks are trained."""

    phases: Literal["both", "propagation", "segmentation"] = "both"
    crop: bool = True
    crop_margin: float = 0.25
    instances: Literal["jointly", "separately"] = "jointly"
    omega: float = 0.95
    confident_omega: bool = False
    anchor: float = 0.0
    previous: float = 0.0
    test_flip: bool = False
    search_margin: float | None = None
    reach: float | None = None
    frame_share: float = 0.0
    coarse_size: int = 32
    propagation: PropagationConfig | None = None
    segmentation: SegmentationConfig | None = None
    amp: bool = False


class TimeConfig(Options):
    """Seconds per frame of one variant."""

    inference: InferenceConfig
    one_shot: OneShotConfig | None
    """None without one-shot."""

    mean_frames: float
    """Of the benchmark's videos: what one-shot seconds are spread over."""

    frames: int = 8
    """Frames that are segmented for the measurement."""

    steps: int = 5
    """One-shot steps that are timed; the rest is scaled up from them."""


class DIPNetConfig(Options):
    """The whole method, and what its variants change."""

    phases: Literal["both", "propagation", "segmentation"] = "both"
    """Both (DIPNet), identity propagation alone, or segmentation alone, fed with its own previous mask (table 6)."""

    training: Literal["pretraining", "offline", "one-shot"] = "one-shot"
    """The last stage of training that is used (table 7)."""

    crop: bool = True
    """Segment the foreground first, then again inside a crop around it (section 3.3.1); false is DIPNet*."""

    crop_margin: float = Field(0.25, ge=0, le=2)
    """Added on each side of the foreground's box, in sides of the box (choice; the paper says "tight")."""

    instances: Literal["jointly", "separately"] = "jointly"
    """Softmax over the objects and the negated foreground (section 3.3.2), or a sigmoid for each."""

    omega: float = Field(0.95, ge=0, le=1)
    """Weight of the newest identity attention (eq. 2)."""

    confident_omega: bool = False
    """Beyond the paper: ω times the confidence of the mask that the newest vector is of, so that a doubtful mask
    changes an identity less. Confidence: mean over the mask of 2p − 1, p the probability of the object."""

    anchor: float = Field(0.0, ge=0, le=1)
    """Beyond the paper: share of the first frame's identity, which never drifts, in the coarse mask; the dynamic
    identity has the rest. Both are propagated, and their coarse probabilities averaged with these weights."""

    previous: float = Field(0.0, ge=0, le=1)
    """Beyond the paper: share of the frame before's mask in the coarse mask; the propagated one has the rest."""

    test_flip: bool = False
    """Beyond the paper: each frame is segmented as it is and mirrored, and the probabilities are averaged."""

    search_margin: float | None = Field(None, ge=0)
    """Beyond the paper: with the crop, the foreground is looked for only in the box of the frame before's mask, grown
    by this margin on each side, in sides of the box; in the whole frame where it is not found there. Null: always in
    the whole frame."""

    reach: float | None = Field(None, ge=0)
    """Beyond the paper: what the propagation finds further than this from the frame before's mask, in longer sides of
    that mask's box, is no hint; an object that was not found there may be anywhere. Null: everywhere."""

    frame_share: float = Field(0.0, ge=0, le=1)
    """Beyond the paper: with the crop and one object, share of the first pass's probability in the mask; the crop's has
    the rest. The first pass does not tell several objects apart."""

    weights: str = "imagenet"
    """Of the backbones before training: `imagenet` (torchvision downloads them), `none`, or a file of a state dict."""

    propagation: PropagationConfig = PropagationConfig()
    segmentation: SegmentationConfig = SegmentationConfig()
    propagation_training: NetworkTraining = NetworkTraining()
    segmentation_training: NetworkTraining = NetworkTraining()
    one_shot: OneShotConfig = OneShotConfig()
    amp: bool = False
    """bfloat16 autocast on CUDA."""

    analyses: tuple[Literal["identities"], ...] = ()
    """What to make besides masks. `identities`: the identity vectors of every object and frame, before and after
    training (fig. 7)."""

    def inference(self, *, multi_object: bool) -> InferenceConfig:
        """The part that matters to segmenting, with what cannot change the result set to its default."""
        alone = self.phases == "segmentation"
        static = alone or self.omega == 0
        return InferenceConfig(
            phases=self.phases,
            crop=self.crop,
            crop_margin=self.crop_margin if self.crop else 0.25,
            instances=self.instances if multi_object and not alone else "jointly",
            omega=0.95 if alone else self.omega,
            confident_omega=self.confident_omega and not static,
            anchor=0.0 if static else self.anchor,
            previous=0.0 if alone else self.previous,
            test_flip=self.test_flip,
            search_margin=self.search_margin if self.crop else None,
            reach=None if alone else self.reach,
            frame_share=self.frame_share if self.crop else 0.0,
            coarse_size=self.propagation.coarse_size,
            propagation=None if alone else self.propagation,
            segmentation=None if self.phases == "propagation" else self.segmentation,
            amp=self.amp,
        )

    @model_validator(mode="after")
    def _no_crop_without_segmentation(self) -> DIPNetConfig:
        if self.crop and self.phases != "both":
            raise ValueError(f"phases {self.phases!r} has no second pass: set crop to false with it")
        return self
