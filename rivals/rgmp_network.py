"""The network of `rivals.rgmp`: how it is trained, fine-tuned and used. A feature's trailing number is its stride."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rivals.propagation import (
    Objects,
    ResidualBlock,
    draw_clips,
    draw_mask_kernels,
    enlarged,
    first_masks,
    frame_tensor,
    joint_logits,
    placed_scores,
)
from rivals.rgmp import InferenceConfig, RGMPTraining
from vos.backbone import Backbone
from vos.config import BackboneName, FineTuningConfig
from vos.geometry import Image
from vos.optimization import Batch, Objective, TrainingRun, masked_cross_entropy, optimize
from vos.samples import area_mean, area_truth
from vos.training import train
from vos.video import Video


class RGMPNetwork(nn.Module):
    """Two frames with masks, the reference and the target with its previous mask → the target's mask."""

    def __init__(self, backbone: BackboneName, size: int, channels: int) -> None:
        super().__init__()
        self.size = size
        # One first layer for image and mask is the sum of a layer for each.
        self.backbone = Backbone(backbone, input_channels=4)
        _, width4, width8, width16, width32 = self.backbone.channels
        self.tall = _separable(2 * width32, channels, (7, 1))
        self.wide = _separable(2 * width32, channels, (1, 7))
        self.start = ResidualBlock(channels, channels)
        self.refinements = nn.ModuleList(_Refinement(width, channels) for width in (width16, width8, width4))
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for _ in range(4))

    def encode(self, frame: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> list[Tensor]:
        """Return the features of strides 4, 8, 16 and 32 of frames with masks in 0..1."""
        image = torch.cat([frame, mask], 1).contiguous(memory_format=torch.channels_last)
        return self.backbone(image)[1:]

    def decode(self, target: list[Tensor], reference32: Float[Tensor, "n c h32 w32"]) -> list[Tensor]:
        """Return the logits at strides 32, 16, 8 and, of the final mask, 4."""
        both = torch.cat([target[3], reference32], 1)
        levels = [self.start(self.tall(both) + self.wide(both))]
        for refine, feature in zip(self.refinements, reversed(target[:3]), strict=True):
            levels.append(refine(feature, levels[-1]))
        return [head(torch.relu(level)) for head, level in zip(self.heads, levels, strict=True)]


class _Refinement(nn.Module):
    """A frame's features, added to the enlarged features of the coarser level."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(inputs, channels, 3, padding=1), ResidualBlock(channels, channels))
        self.merged = ResidualBlock(channels, channels)

    def forward(self, feature: Tensor, coarse: Tensor) -> Tensor:
        return self.merged(self.skip(feature) + enlarged(coarse, 2))


def new_network(backbone: BackboneName, size: int, channels: int, weights: str, seed: int) -> RGMPNetwork:
    """Return the untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = RGMPNetwork(backbone, size, channels)
    network.backbone.load_pretrained(weights)
    draw_mask_kernels(network.backbone, partial(nn.init.kaiming_uniform_, a=5**0.5))  # as any new layer of torch
    return network


def train_network(network: RGMPNetwork, videos: Sequence[Video], config: RGMPTraining, run: TrainingRun) -> None:
    """Train on clips: each frame's mask from the first frame with its mask and from the mask found in the last one."""
    train(network, videos, config, run, lambda some: clip_objective(network, some, config))


def clip_objective(network: RGMPNetwork, videos: Sequence[Video], config: RGMPTraining) -> Objective:
    """Return the objective: the mean loss of every frame after the first, through time."""

    def loss(part: Batch, known: Tensor) -> Tensor:
        logits = propagated(network, part["frames"], part["masks"])
        return clip_loss(logits, part["truth"][:, :, None].float(), part["known"], known, config.level_weight)

    return Objective(lambda rng: draw_clips(videos, config, network.size, rng, frames=config.frames), loss)


def propagated(
    network: RGMPNetwork, clips: Float[Tensor, "n frames 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> list[list[Tensor]]:
    """Return the logits of each level for every frame after the first, whose mask is given."""
    reference, second, *later = clips.unbind(1)
    # In one batch, so that batch norm that is learned has the statistics of both.
    both = network.encode(torch.cat([reference, second]), torch.cat([mask, mask]))
    reference32, target = both[3][: len(mask)], [feature[len(mask) :] for feature in both]
    result = [network.decode(target, reference32)]
    for frame in later:
        mask = torch.sigmoid(enlarged(result[-1][-1], 4))
        result.append(network.decode(network.encode(frame, mask), reference32))
    return result


def clip_loss(
    logits: Sequence[Sequence[Tensor]],
    truth: Float[Tensor, "n later 1 h w"],
    known: Float[Tensor, "n later 1 h w"],
    whole: Float[Tensor, "m later 1 h w"],
    level_weight: float,
) -> Tensor:
    """Return the cross entropy of the final masks at the image's size, and with their weight of the coarser levels.

    The truth of a coarser level is the share of its cells. Means are over the known pixels of all frames of the `whole`
    batch, of which these samples may be a part."""
    flat, place, all_places = (x.flatten(0, 1) for x in (truth, known, whole))
    levels = [torch.stack(level, 1).flatten(0, 1) for level in zip(*logits, strict=True)]
    total = masked_cross_entropy(enlarged(levels[-1], 4), flat, place, all_places)
    for level in levels[:-1] if level_weight else ():
        size = (level.shape[2], level.shape[3])
        shares, weight = area_truth(flat, place, size)
        divisor = area_mean(all_places, size)
        total = total + level_weight * masked_cross_entropy(level, shares, weight, divisor)
    return total


@dataclass(frozen=True)
class FirstFrame:
    """The first frame as a video of its own, as still images are: clips of it are variations of it."""

    image: Image
    objects: Objects

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects, from 1."""
        return tuple(range(1, len(self.objects) + 1))

    def __len__(self) -> int:
        return 1

    def frame_name(self, index: int) -> str:
        """Return the name of a frame."""
        return f"{index:05d}"

    def frame(self, index: int) -> Image:  # noqa: ARG002  protocol
        """Return the frame, RGB."""
        return self.image

    def mask(self, index: int) -> Image:  # noqa: ARG002  protocol
        """Return the mask of ids."""
        return np.where(self.objects.any(0), self.objects.argmax(0) + 1, 0).astype(np.uint8)


def fine_tune_on(
    network: RGMPNetwork, frame: Image, objects: Objects, config: FineTuningConfig, steps: int, run: TrainingRun
) -> RGMPNetwork:
    """Return a copy that is tuned on pairs of variations of the first frame, each with one of the objects."""
    network = copy.deepcopy(network)
    own = type(config).model_fields.keys() & RGMPTraining.model_fields.keys() - {"iterations"}
    pairs = RGMPTraining(**{name: getattr(config, name) for name in own}, frames=2)
    optimize(network, clip_objective(network, [FirstFrame(frame, objects)], pairs), config, steps, run)
    return network


class RGMPSegmenter:
    """Segments each frame from the first one and the last mask; objects have a pass each, several one for all too."""

    def __init__(
        self, networks: Sequence[RGMPNetwork], config: InferenceConfig, device: str, amp: bool = False
    ) -> None:
        (self.network,) = networks
        self.sides = [max(32, 32 * round(scale * self.network.size / 32)) for scale in config.scales]
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"

    @torch.inference_mode()
    def start(self, frame: Image, objects: Objects) -> None:
        """Encode the first frame with the mask of each object and, of several, of all of them."""
        masks = first_masks(objects, self.network.size).to(self.device)
        self.previous = masks if len(masks) == 1 else torch.cat([masks, masks.sum(0, keepdim=True).clamp(max=1)])
        self.references = [self._encoded(frame, side)[3] for side in self.sides]

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return object / (object + background): the probability of a single object, of several after their softmax."""
        found = torch.stack([self._found(frame, *scale) for scale in zip(self.sides, self.references, strict=True)])
        self.previous = found.mean(0)
        if len(self.previous) == 1:
            return placed_scores(torch.cat([1 - self.previous, self.previous])[:, 0], frame)
        joint = joint_logits(torch.cat([1 - self.previous[-1:], self.previous[:-1]])[:, 0]).softmax(0)
        self.previous = torch.cat([joint[1:], 1 - joint[:1]])[:, None]
        return placed_scores(joint, frame)

    def _found(self, frame: Image, side: int, reference32: Tensor) -> Float[Tensor, "passes 1 s s"]:
        """Return the probabilities of one scale at the network's size."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            logits = self.network.decode(self._encoded(frame, side), reference32)[-1]
        return _resized(torch.sigmoid(enlarged(logits.float(), 4)), self.network.size)

    def _encoded(self, frame: Image, side: int) -> list[Tensor]:
        """Return the features of a frame with each of the masks that it is passed with."""
        image = frame_tensor(frame, side, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            return self.network.encode(image.expand(len(self.previous), -1, -1, -1), _resized(self.previous, side))


def _separable(inputs: int, channels: int, first: tuple[int, int]) -> nn.Module:
    """Return a 7×7 field as two convolutions, one along each axis."""
    half = [(kernel[0] // 2, kernel[1] // 2) for kernel in (first, first[::-1])]
    return nn.Sequential(
        nn.Conv2d(inputs, channels, first, padding=half[0]), nn.Conv2d(channels, channels, first[::-1], padding=half[1])
    )


def _resized(maps: Tensor, side: int) -> Tensor:
    if maps.shape[-1] == side:
        return maps
    return functional.interpolate(maps, (side, side), mode="bilinear", align_corners=False, antialias=True)
