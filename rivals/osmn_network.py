"""The network of `rivals.osmn`: what modulates it, how it is trained, fine-tuned and used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from rivals.osmn import InferenceConfig, OneShotConfig, OSMNTraining, PlaceConfig
from vos.backbone import Backbone
from vos.config import AugmentationConfig, BackboneName
from vos.geometry import Box, Image, View
from vos.losses import balanced_cross_entropy
from vos.one_shot import FrameObjective, fine_tune, first_view
from vos.optimization import Batch, Objective, TrainingRun
from vos.samples import clip_sample, frames_tensor, known_tensor, masks_tensor, view_of
from vos.segment import exclusive, merged
from vos.training import train
from vos.video import Video

Objects = Bool[np.ndarray, "objects height width"]

STRIDES = (4, 8, 16, 32)
"""Strides of the blocks after which features are modulated (authors' light form)."""

SMALLEST = 5 / 480
"""Smallest deviation of a Gaussian, in sides of the input (authors: 5 pixels of 480)."""

EXACT = PlaceConfig(shift=0, stretch=1)
"""The Gaussian of the previous mask as it is."""

_SPREAD = 1e-3
"""Standard deviation of the first weights of side outputs (authors)."""


class OSMNNetwork(nn.Module):
    """Image → mask of the object that a guide image shows, near a place; modulated after four blocks.

    Both modulators begin without effect: scales of 1 and sums of 0."""

    def __init__(self, backbone: BackboneName, size: int, guide_size: int, side_channels: int) -> None:
        super().__init__()
        self.size = size
        self.guide_size = guide_size
        self.backbone = Backbone(backbone)
        self.modulator = Backbone(backbone)
        widths = self.backbone.channels[1:]
        scales = [nn.Linear(self.modulator.channels[-1], width) for width in widths]
        places = [nn.Conv2d(1, width, 1, bias=False) for width in widths]
        sides = [nn.Conv2d(width, side_channels, 3, padding=1) for width in widths]
        outputs = [nn.Conv2d(side_channels, 1, 1) for _ in widths]
        first: list[tuple[Sequence[nn.Linear | nn.Conv2d], float, float]] = [
            (scales, 0, 1),
            (places, 0, 0),
            (sides, _SPREAD, 0),
            (outputs, _SPREAD, 0),
        ]
        for layers, deviation, bias in first:
            for layer in layers:
                nn.init.normal_(layer.weight, std=deviation)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, bias)
        self.scales, self.places = nn.ModuleList(scales), nn.ModuleList(places)
        self.sides, self.outputs = nn.ModuleList(sides), nn.ModuleList(outputs)

    def encode_guide(self, guide: Float[Tensor, "n 3 g g"]) -> list[Float[Tensor, "n channels 1 1"]]:
        """Return what the channels after each block are scaled by, from images of the object."""
        code = self.modulator(guide)[-1].mean((2, 3))
        return [layer(code)[..., None, None] for layer in self.scales]

    def encode_place(self, place: Float[Tensor, "n 1 h w"]) -> list[Tensor]:
        """Return what is added to the features after each block, from Gaussians of masks."""
        return [layer(functional.avg_pool2d(place, stride)) for layer, stride in zip(self.places, STRIDES, strict=True)]

    def encode_frame(self, frame: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h/4 w/4"]:
        """Return the features before the first modulation, which all objects of a frame share."""
        return self.backbone.blocks[1](self.backbone.blocks[0](frame))

    def segment(self, features: Tensor, scales: Sequence[Tensor], places: Sequence[Tensor]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits at the image's size: the sum of what the four modulated blocks contribute.

        It is the 1×1 convolution of upsampled and concatenated side outputs, computed before upsampling."""
        size, logits = [4 * side for side in features.shape[-2:]], []
        for number, (scale, place) in enumerate(zip(scales, places, strict=True)):
            features = features if number == 0 else self.backbone.blocks[number + 1](features)
            features = features * scale + place
            side = self.outputs[number](self.sides[number](features))
            logits.append(functional.interpolate(side, size, mode="bilinear", align_corners=False))
        return torch.stack(logits).sum(0)


def new_network(
    backbone: BackboneName, size: int, guide_size: int, side_channels: int, weights: str, seed: int
) -> OSMNNetwork:
    """Return the untrained network: both backbones from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = OSMNNetwork(backbone, size, guide_size, side_channels)
    for part in (network.backbone, network.modulator):
        part.load_pretrained(weights)
    return network


def train_network(network: OSMNNetwork, videos: Sequence[Video], config: OSMNTraining, run: TrainingRun) -> None:
    """Train the network and its modulators on pairs of frames: one shows which object, the other where it is sought."""
    train(network, videos, config, run, lambda some: pair_objective(network, some, config))


def pair_objective(network: OSMNNetwork, videos: Sequence[Video], config: OSMNTraining) -> Objective:
    """Return the objective: the object of a guide's frame in another one, near its own place there."""

    def draw(rng: Generator) -> Batch:
        side = int(rng.choice(config.sizes)) if config.sizes else network.size
        pairs = [clip_sample(videos, config, side, rng, frames=2) for _ in range(config.batch)]
        guides = [view_of(first.frame, first.mask, config.guide, network.guide_size, rng) for first, _ in pairs]
        targets = [target for _, target in pairs]
        return {
            "guides": guide_tensor(guides),
            "frames": frames_tensor([view.frame for view in targets]),
            **_asked([view.mask for view in targets], config.place, rng),
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        return _loss(network, network.encode_frame(part["frames"]), network.encode_guide(part["guides"]), part, known)

    return Objective(draw, loss)


def fine_tune_on(
    network: OSMNNetwork, frame: Image, objects: Objects, config: OneShotConfig, steps: int, run: TrainingRun
) -> OSMNNetwork:
    """Return a copy that is tuned on objects of the first frame, as one; the guide is that of the test."""
    mask = merged(objects)
    guide = guides_of(frame, mask, InferenceConfig(), network)

    def objective(tuned: OSMNNetwork) -> FrameObjective:
        return FrameObjective(
            inputs=lambda masks, rng: _asked(masks, config.place, rng),
            encode=lambda batch: [tuned.encode_frame(batch["frames"])],
            loss=lambda features, part, known: _loss(
                tuned, features[0], tuned.encode_guide(guide.to(features[0].device)), part, known
            ),
        )

    view = first_view(frame, objects, network.size)
    return fine_tune(network, view, config, steps, run, objective)


def guides_of(
    frame: Image, objects: Objects, config: InferenceConfig, network: OSMNNetwork
) -> Float[Tensor, "objects 3 g g"]:
    """Return the image of each object that the visual modulator sees, as sharp as the network's input."""
    plain = AugmentationConfig(flip=0, crop=1, crop_margin_range=(config.margin, config.margin))
    views = [View.cut(frame, mask.astype(np.uint8), Box.whole(frame), network.size) for mask in objects]
    drawn = np.random.default_rng(0)  # nothing of `plain` is left to chance
    return guide_tensor([view_of(view.frame, view.mask, plain, network.guide_size, drawn) for view in views])


def guide_tensor(views: Sequence[View]) -> Float[Tensor, "n 3 g g"]:
    """Return images with nothing but the object 1 of their masks; the rest has the mean color (authors)."""
    return frames_tensor([view.frame for view in views]) * masks_tensor([view.mask for view in views])


def gaussian(mask: Bool[np.ndarray, "h w"], config: PlaceConfig, rng: Generator) -> Float[np.ndarray, "h w"]:
    """Return the Gaussian of a mask, 1 at its center, from robust moments; 0 for an empty mask.

    Its center is the median of the mask's rows and columns, its deviations 1.4826 times the median distance from it,
    both varied at random."""
    shift = rng.uniform(-config.shift, config.shift, 2)
    stretch = rng.uniform(1 / config.stretch, config.stretch, 2)
    blank = rng.random() < config.blank
    points = np.argwhere(mask)
    if blank or not len(points):
        return np.zeros(mask.shape, np.float32)
    center = np.median(points, axis=0)
    deviation = np.maximum(1.4826 * np.median(abs(points - center), axis=0), SMALLEST * np.array(mask.shape))
    middle, spread = center + shift * deviation, stretch * deviation
    rows, columns = (
        np.exp(-0.5 * ((np.arange(side) - middle[axis]) / spread[axis]) ** 2) for axis, side in enumerate(mask.shape)
    )
    return np.outer(rows, columns).astype(np.float32)


class OSMNSegmenter:
    """Segments each object near its previous mask, with a network of its own or the trained one for all.

    Objects are scored one by one. The image of an object is looked at once, in the first frame."""

    def __init__(
        self, networks: Sequence[OSMNNetwork], config: InferenceConfig, device: str, amp: bool = False
    ) -> None:
        self.networks = networks
        self.config = config
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"

    @torch.inference_mode()
    def start(self, frame: Image, objects: Objects) -> None:
        """Look at the objects, and take their masks."""
        guides = guides_of(frame, objects, self.config, self.networks[0]).to(self.device)
        self.groups = np.array_split(np.arange(len(objects)), len(self.networks))
        with self._autocast():
            self.scales = [
                network.encode_guide(guides[group]) for network, group in zip(self.networks, self.groups, strict=True)
            ]
        self.previous = objects

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return the score of each object; one that is lost is sought everywhere."""
        whole, side, rng = Box.whole(frame), self.networks[0].size, np.random.default_rng(0)
        image = frames_tensor([whole.cut(frame, side)]).to(self.device, memory_format=torch.channels_last)
        masks = [whole.cut(mask.astype(np.uint8), side, labels=True) == 1 for mask in self.previous]
        places = torch.from_numpy(np.stack([gaussian(mask, EXACT, rng) for mask in masks])[:, None]).to(self.device)
        logits = []
        with self._autocast():
            for network, group, scales in zip(self.networks, self.groups, self.scales, strict=True):
                features = network.encode_frame(image).expand(len(group), -1, -1, -1)
                logits.append(network.segment(features, scales, network.encode_place(places[group])))
        scores = whole.placed(torch.sigmoid(torch.cat(logits)[:, 0].float()).cpu().numpy(), frame)
        self.previous = exclusive(scores)
        return scores

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)


def _asked(masks: Sequence[Image], config: PlaceConfig, rng: Generator) -> Batch:
    """Return the places of objects, their truth, and where it is known."""
    places = np.stack([gaussian(mask == 1, config, rng) for mask in masks])[:, None]
    return {"places": torch.from_numpy(places), "truth": masks_tensor(masks), "known": known_tensor(masks)}


def _loss(network: OSMNNetwork, features: Tensor, scales: Sequence[Tensor], part: Batch, known: Tensor) -> Tensor:
    logits = network.segment(features, scales, network.encode_place(part["places"]))
    return balanced_cross_entropy(logits, part["truth"], part["known"], known)
