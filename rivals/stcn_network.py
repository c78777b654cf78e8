"""The network of `rivals.stcn`: how it is trained and used. The trailing number of a feature is its stride."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
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
    placed_scores,
)
from rivals.stcn import InferenceConfig, STCNTraining
from vos.backbone import Backbone
from vos.config import BackboneName
from vos.geometry import Image
from vos.losses import worst_share_cross_entropy
from vos.optimization import Batch, Objective, TrainingRun
from vos.training import Course, iterations, train
from vos.video import Video
from vos.weights import IMAGENET

NEVER = -1e4
"""Logit of an object that a sample does not have."""


class Frames(NamedTuple):
    """What the key encoder yields for frames."""

    key: Float[Tensor, "n k h16 w16"]
    context: Float[Tensor, "n v h16 w16"]
    feature16: Float[Tensor, "n c16 h16 w16"]
    feature8: Float[Tensor, "n c8 h8 w8"]
    feature4: Float[Tensor, "n c4 h4 w4"]


class STCNNetwork(nn.Module):
    """Frames, and memory of frames with masks → masks. Keys are of frames alone, so all objects share an affinity."""

    def __init__(
        self,
        backbone: BackboneName,
        size: int,
        value_backbone: BackboneName,
        key_channels: int,
        value_channels: int,
        channels: int,
    ) -> None:
        super().__init__()
        self.size = size
        self.course = Course()
        self.key_encoder, self.value_encoder = Backbone(backbone), Backbone(value_backbone, input_channels=5)
        for encoder in (self.key_encoder, self.value_encoder):
            del encoder.blocks[4]
        _, width4, width8, width16, _ = self.key_encoder.channels
        self.key = nn.Conv2d(width16, key_channels, 3, padding=1)
        nn.init.orthogonal_(self.key.weight)
        self.context = nn.Conv2d(width16, value_channels, 3, padding=1)
        self.fusion = nn.Sequential(
            ResidualBlock(self.value_encoder.channels[3] + width16, value_channels),
            ResidualBlock(value_channels, value_channels),
        )
        self.compression = ResidualBlock(2 * value_channels, value_channels)
        self.skips = nn.ModuleList(
            [nn.Conv2d(width8, value_channels, 3, padding=1), nn.Conv2d(width4, channels, 3, padding=1)]
        )
        self.refinements = nn.ModuleList([ResidualBlock(value_channels, channels), ResidualBlock(channels, channels)])
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def encode_frame(self, frame: Float[Tensor, "n 3 h w"]) -> Frames:
        """Return keys, and what decoding takes from the frame itself."""
        _, feature4, feature8, feature16 = self.key_encoder(frame)
        return Frames(self.key(feature16), self.context(feature16), feature16, feature8, feature4)

    def encode_value(
        self,
        frame: Float[Tensor, "n 3 h w"],
        frames: Frames,
        masks: Float[Tensor, "pairs h w"],
        others: Float[Tensor, "pairs h w"],
        samples: Int[Tensor, "pairs"],
    ) -> Float[Tensor, "pairs v h16 w16"]:
        """Return the values of pairs of sample and object, from the object's mask and that of all others."""
        image = torch.cat([frame[samples], masks[:, None], others[:, None]], 1)
        value16 = self.value_encoder(image.contiguous(memory_format=torch.channels_last))[3]
        return self.fusion(torch.cat([value16, frames.feature16[samples]], 1))

    def decode(
        self, read: Float[Tensor, "pairs v h16 w16"], frames: Frames, samples: Int[Tensor, "pairs"]
    ) -> Float[Tensor, "pairs h w"]:
        """Return the logits of pairs of sample and object at the image's size, from what was read from memory."""
        x = self.compression(torch.cat([read, frames.context[samples]], 1))
        for feature, skip, refine in zip((frames.feature8, frames.feature4), self.skips, self.refinements, strict=True):
            x = refine(skip(feature)[samples] + enlarged(x, 2))
        return enlarged(self.head(torch.relu(x)), 4)[:, 0]


class Memory(NamedTuple):
    """Frames with masks: keys of their cells, and values of the same cells for each object."""

    keys: Float[Tensor, "n k cells"]
    values: Float[Tensor, "pairs v cells"]

    @classmethod
    def of(cls, key: Float[Tensor, "n k h w"], value: Float[Tensor, "pairs v h w"]) -> Memory:
        """Return the memory of one frame (of each sample)."""
        return cls(key.flatten(2), value.flatten(2))

    def plus(self, other: Memory) -> Memory:
        """Return both as one; their order does not matter."""
        return Memory(torch.cat([self.keys, other.keys], 2), torch.cat([self.values, other.values], 2))

    def read(
        self, key: Float[Tensor, "n k h w"], samples: Int[Tensor, "pairs"], top: int | None = None
    ) -> Float[Tensor, "pairs v h w"]:
        """Return the mean value of the cells of memory for each cell of a frame, weighted by their affinity."""
        weights = affinity(self.keys, key.flatten(2), top)
        found = self.values @ (weights if len(weights) == 1 else weights[samples]).to(self.values)
        return found.unflatten(2, key.shape[2:])


def affinity(
    memory: Float[Tensor, "n k cells"], query: Float[Tensor, "n k asking"], top: int | None = None
) -> Float[Tensor, "n cells asking"]:
    """Return the softmax of −(squared distance of keys) / √k over the cells of memory; only the `top` cells count."""
    with torch.autocast(query.device.type, enabled=False):
        memory, query = memory.float(), query.float()
        # The length of the query's key is the same for all cells of memory: the softmax does not change without it.
        closeness = 2 * memory.transpose(1, 2) @ query - memory.square().sum(1)[:, :, None]
        closeness = closeness / math.sqrt(memory.shape[1])
    if top is None or top >= closeness.shape[1]:
        return closeness.softmax(1)
    best = closeness.topk(top, dim=1)
    return torch.zeros_like(closeness).scatter_(1, best.indices, best.values.softmax(1))


def aggregated(logits: Float[Tensor, "n objects h w"]) -> Float[Tensor, "n classes h w"]:
    """Return the logits, for a softmax, of the background and of the objects, from those of each object by itself.

    The background's probability is the product of 1 − p over the objects (STM). Logarithms spare the authors' limits
    of 1e-7, beyond which no gradient passes."""
    empty = functional.logsigmoid(-logits).sum(1, keepdim=True)
    filled = (-torch.expm1(empty)).clamp(min=1e-38).log()
    return torch.cat([empty - filled, logits], 1)


def new_network(
    backbone: BackboneName, size: int, value_backbone: BackboneName, weights: str, seed: int, **widths: int
) -> STCNNetwork:
    """Return the untrained network: backbones from `weights`, the rest drawn from the seed.

    The file of a state dict is of `backbone`; a value encoder of another one starts untrained then."""
    torch.manual_seed(seed)
    network = STCNNetwork(backbone, size, value_backbone, **widths)
    network.key_encoder.load_pretrained(weights)
    network.value_encoder.load_pretrained(weights if weights in IMAGENET or backbone == value_backbone else "none")
    draw_mask_kernels(network.value_encoder, nn.init.orthogonal_)
    return network


def train_network(network: STCNNetwork, videos: Sequence[Video], config: STCNTraining, run: TrainingRun) -> None:
    """Train on clips of three frames: the second from the first, the third from the first and the predicted second."""
    network.course.begin()

    def objective(some: Sequence[Video]) -> Objective:
        steps = iterations(config, some)
        share = partial(network.course.share_done, steps, config.accumulate)
        return clip_objective(network, some, config, lambda: counted_share(config, share()))

    train(network, videos, config, run, objective)


def counted_share(config: STCNTraining, done: float | None) -> float:
    """Return the share of pixels that counts when that share of the training is done; in validation (None) all do."""
    begin, end = config.worst_share_course
    if done is None or done <= begin:
        return 1.0
    return 1 - (1 - config.worst_share) * min(1.0, (done - begin) / max(end - begin, 1e-6))


def clip_objective(
    network: STCNNetwork, videos: Sequence[Video], config: STCNTraining, share: Callable[[], float] = lambda: 1.0
) -> Objective:
    """Return the objective. `share`, of the pixels that count, is asked for once for each part of a batch."""

    def draw(rng: Generator) -> Batch:
        return draw_clips(videos, config, network.size, rng, frames=3, objects=config.objects)

    def loss(part: Batch, known: Tensor) -> Tensor:
        counted, logits = share(), propagated(network, part["frames"], part["masks"])
        later = zip(logits, part["truth"].unbind(1), part["known"].unbind(1), strict=True)
        return torch.stack([worst_share_cross_entropy(*one, counted, known) for one in later]).sum()

    return Objective(draw, loss)


def propagated(
    network: STCNNetwork, clips: Float[Tensor, "n frames 3 h w"], masks: Float[Tensor, "n objects h w"]
) -> list[Float[Tensor, "n classes h w"]]:
    """Return the logits of the classes in every frame after the first, whose masks are given; every frame is kept."""
    samples, objects = masks.flatten(2).any(2).nonzero(as_tuple=True)
    memory: Memory | None = None
    result = []
    for number, frame in enumerate(clips.unbind(1)):
        frames = network.encode_frame(frame)
        if memory is not None:
            found = network.decode(memory.read(frames.key, samples), frames, samples).float()
            result.append(aggregated(found.new_full(masks.shape, NEVER).index_put((samples, objects), found)))
            masks = result[-1].softmax(1)[:, 1:]
        if number + 1 < clips.shape[1]:
            others = masks.sum(1, keepdim=True) - masks
            value = network.encode_value(frame, frames, masks[samples, objects], others[samples, objects], samples)
            fresh = Memory.of(frames.key, value)
            memory = fresh if memory is None else memory.plus(fresh)
    return result


class STCNSegmenter:
    """Segments frames from a memory of the first frame, of every few frames since, and if asked of the last one."""

    def __init__(
        self, networks: Sequence[STCNNetwork], config: InferenceConfig, device: str, amp: bool = False
    ) -> None:
        (self.network,) = networks
        self.config = config
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"

    @torch.inference_mode()
    def start(self, frame: Image, objects: Objects) -> None:
        """Remember the first frame."""
        self.index = 0
        self.samples = torch.zeros(len(objects), dtype=torch.long, device=self.device)
        self.last: Memory | None = None
        masks = first_masks(objects, self.network.size)[:, 0].to(self.device)
        with self._autocast():
            image = frame_tensor(frame, self.network.size, self.device)
            self.memory = self._remembered(image, self.network.encode_frame(image), masks)

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return object / (object + background) of the softmax over all of them."""
        self.index += 1
        memory = self.memory if self.last is None else self.memory.plus(self.last)
        with self._autocast():
            image = frame_tensor(frame, self.network.size, self.device)
            frames = self.network.encode_frame(image)
            read = memory.read(frames.key, self.samples, self.config.top)
            found = self.network.decode(read, frames, self.samples).float()
            joint = aggregated(found[None])[0].softmax(0)
            every = self.config.memory_every
            kept = every > 0 and self.index % every == 0
            fresh = self._remembered(image, frames, joint[1:]) if kept or self.config.previous else None
        if kept and fresh is not None:
            self.memory = self.memory.plus(fresh)
        self.last = None if kept else fresh
        return placed_scores(joint, frame)

    def _remembered(self, image: Tensor, frames: Frames, masks: Float[Tensor, "objects h w"]) -> Memory:
        others = masks.sum(0, keepdim=True) - masks
        return Memory.of(frames.key, self.network.encode_value(image, frames, masks, others, self.samples))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)
