"""The network of `rivals.pml`: how it is trained and used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from rivals.pml import InferenceConfig, MetricTraining
from vos.backbone import Backbone, keep_stride
from vos.config import BackboneName
from vos.geometry import Box, Image, View
from vos.matching import class_shares, first_labels, rows_of, vote_scores, votes
from vos.optimization import Batch, Objective, TrainingRun
from vos.samples import MOST_OBJECTS, clip_sample, frames_tensor, known_tensor, masks_tensor
from vos.training import train
from vos.video import Video

STRIDE = 8
"""Side of a cell in pixels of the input (paper)."""

NONE = -1
"""Label of a cell that is mostly void, and the place of an anchor that there is not."""

_FAR = 9.0
"""More than any squared distance of unit vectors."""


class PMLNetwork(nn.Module):
    """Frame → an embedding of unit length for each cell."""

    def __init__(
        self,
        backbone: BackboneName,
        size: int,
        block: Literal["f16", "f32"],
        dilated: bool,
        channels: int,
        coordinates: bool,
    ) -> None:
        super().__init__()
        self.size = size
        self.coordinates = coordinates
        self.backbone = Backbone(backbone)
        self.backbone.blocks = self.backbone.blocks[: 4 if block == "f16" else 5]
        if dilated:
            for dilation, coarse in zip((1, 2), self.backbone.blocks[3:], strict=False):
                keep_stride(coarse, dilation)
        width = self.backbone.channels[len(self.backbone.blocks) - 1] + 2 * coordinates
        shapes = ((width, 3), (channels, 1), (channels, 1))
        layers = [nn.Conv2d(inputs, channels, kernel, padding=kernel // 2) for inputs, kernel in shapes]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)  # authors
        self.head = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

    def forward(self, frame: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n channels rows columns"]:
        """Return the embedding of each cell."""
        features = self.backbone(frame)[-1]
        rows, columns = frame.shape[-2] // STRIDE, frame.shape[-1] // STRIDE
        if features.shape[-2:] != (rows, columns):
            features = functional.interpolate(features, (rows, columns), mode="bilinear", align_corners=False)
        if self.coordinates:
            features = torch.cat([features, _coordinates(features)], 1)
        return functional.normalize(self.head(features).float(), dim=1)


def new_network(*, weights: str, seed: int, **options: Any) -> PMLNetwork:
    """Return the untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = PMLNetwork(**options)
    network.backbone.load_pretrained(weights)
    return network


def train_network(network: PMLNetwork, videos: Sequence[Video], config: MetricTraining, run: TrainingRun) -> None:
    """Train the network on clips of three frames: anchors in one, and their neighbors in the others."""
    train(network, videos, config, run, lambda some: metric_objective(network, some, config))


def metric_objective(network: PMLNetwork, videos: Sequence[Video], config: MetricTraining) -> Objective:
    """Return the objective: for anchors of a frame, the nearest cells of two others that have their label or not."""

    def draw(rng: Generator) -> Batch:
        side = int(rng.choice(config.sizes)) if config.sizes else network.size
        clips = [clip_sample(videos, config, side, rng, frames=3, objects=MOST_OBJECTS) for _ in range(config.batch)]
        labels, background = cell_labels(clips, side // STRIDE)
        return {
            "frames": torch.stack([frames_tensor([view.frame for view in clip]) for clip in clips]),
            "labels": labels,
            "anchors": torch.stack([draw_anchors(own[0], background, config.anchors, rng) for own in labels]),
            "known": (labels != NONE).float(),
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        embeddings = network(part["frames"].flatten(0, 1)).flatten(2).mT.unflatten(0, (-1, 3))
        return triplet_losses(embeddings, part["labels"], part["anchors"], config.margin).sum() / len(known)

    return Objective(draw, loss)


def cell_labels(clips: Sequence[Sequence[View]], side: int) -> tuple[Int[Tensor, "n 3 cells"], int]:
    """Return the label of each cell of side × side, and the background's: what covers most of its known area.

    `NONE` is the label of a cell that is mostly void."""
    masks, objects = (
        [view.mask for clip in clips for view in clip],
        max(view.objects for clip in clips for view in clip),
    )
    shares, known = class_shares(masks_tensor(masks, max(objects, 1)), known_tensor(masks), (side, side))
    labels = torch.where(known[:, 0] < 0.5, NONE, shares.argmax(1))
    return labels.flatten(1).unflatten(0, (len(clips), -1)), shares.shape[1] - 1


def draw_anchors(labels: Int[Tensor, "cells"], background: int, count: int, rng: Generator) -> Int[Tensor, "anchors"]:
    """Draw the cells of `count` anchors on objects and of as many on the background; `NONE` where there are none."""
    kinds = (labels != background) & (labels != NONE), labels == background
    places = [kind.nonzero()[:, 0].numpy() for kind in kinds]
    return torch.from_numpy(
        np.concatenate([rng.choice(cells, count) if len(cells) else np.full(count, NONE) for cells in places])
    )


def triplet_losses(
    embeddings: Float[Tensor, "n 3 cells channels"],
    labels: Int[Tensor, "n 3 cells"],
    anchors: Int[Tensor, "n anchors"],
    margin: float,
) -> Float[Tensor, "n"]:
    """Return each sample's mean of max(0, nearest positive − nearest negative + margin) over the anchors.

    Distances are squared. Anchors are cells of the first frame; positives and negatives are all cells of the other two
    whose label is theirs or another. Anchors that lack either do not count."""
    places = anchors.clamp(min=0)
    pool, pool_labels = embeddings[:, 1:].flatten(1, 2), labels[:, 1:].flatten(1)[:, None]
    chosen = embeddings[:, 0].gather(1, places[..., None].expand(-1, -1, embeddings.shape[-1]))
    own = labels[:, 0].gather(1, places)[..., None]
    with torch.autocast(embeddings.device.type, enabled=False):  # nearest of thousands: bfloat16 is too coarse
        distances = 2 - 2 * chosen @ pool.mT
    same = own == pool_labels
    other = ~same & (pool_labels != NONE)
    counts = (anchors != NONE) & same.any(2) & other.any(2)
    nearest, confused = (distances.masked_fill(~kind, _FAR).amin(2) for kind in (same, other))
    hinges = functional.relu(nearest - confused + margin) * counts
    return hinges.sum(1) / counts.sum(1).clamp(min=1)


class PMLSegmenter:
    """Labels of the first frame's cells, carried to cells of each frame whose embeddings are near."""

    def __init__(self, networks: Sequence[PMLNetwork], config: InferenceConfig, device: str, amp: bool = False) -> None:
        (self.network,) = networks
        self.config = config
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"

    @torch.inference_mode()
    def start(self, frame: Image, objects: Bool[np.ndarray, "objects height width"]) -> None:
        """Take the first frame's embeddings and labels as the reference."""
        maps = self._embed(frame)
        self.reference = rows_of(maps)
        self.labels = first_labels(objects, (maps.shape[1], maps.shape[2])).to(self.device)

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return object / (object + background) of the votes; cells whose neighbors agree may join the reference."""
        maps = self._embed(frame)
        cells = rows_of(maps)
        found = votes(cells, self.reference, self.labels, self.config.neighbors)
        agreed = (found.amax(1) > 1 - 1e-4).nonzero()[:, 0]
        if self.config.confident and len(agreed):
            spread = torch.linspace(0, len(agreed) - 1, min(self.config.confident, len(agreed)), device=self.device)
            joining = agreed[spread.round().long()]
            self.reference = torch.cat([self.reference, cells[joining]])
            self.labels = torch.cat([self.labels, found[joining]])
        return vote_scores(found, (maps.shape[1], maps.shape[2]), frame)

    def _embed(self, frame: Image) -> Float[Tensor, "channels rows columns"]:
        image = frames_tensor([Box.whole(frame).cut(frame, self.network.size)])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            return self.network(image.to(self.device, memory_format=torch.channels_last))[0]


def _coordinates(features: Tensor) -> Float[Tensor, "n 2 rows columns"]:
    """Return the row and the column of each cell's center, from −1 to 1."""
    sides = [
        torch.linspace(1 / length - 1, 1 - 1 / length, length, dtype=features.dtype, device=features.device)
        for length in features.shape[2:]
    ]
    return torch.stack(torch.meshgrid(*sides, indexing="ij")).expand(len(features), -1, -1, -1)
