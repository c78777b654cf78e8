"""The segmenter of `rivals.nearest`: every cell of a frame asks the most similar cells of the first one."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from vos.backbone import Backbone
from vos.checkpoint import for_inference
from vos.config import BackboneName
from vos.folding import fold_batch_norm
from vos.geometry import Box, Image
from vos.matching import first_labels, rows_of, vote_scores, votes
from vos.samples import frames_tensor


def new_backbone(name: BackboneName, weights: str, seed: int) -> Backbone:
    """Return a backbone with `weights`; what they leave open is drawn from the seed."""
    torch.manual_seed(seed)
    backbone = Backbone(name)
    backbone.load_pretrained(weights)
    return backbone


class NearestSegmenter:
    """Labels of the first frame's cells, carried to the cells of each frame by the likeness of their features."""

    def __init__(self, backbone: Backbone, size: int, block: str, upsampling: int, neighbors: int, device: str) -> None:
        self.blocks = fold_batch_norm(for_inference(backbone, device)).blocks[: _BLOCKS.index(block) + 1]
        self.size = size
        self.upsampling = upsampling
        self.neighbors = neighbors
        self.device = device

    @torch.inference_mode()
    def start(self, frame: Image, objects: Bool[np.ndarray, "objects height width"]) -> None:
        """Keep the first frame's features, with the share of each cell that an object or the background covers."""
        features = self._features(frame)
        self.reference = rows_of(features)
        self.labels = first_labels(objects, (features.shape[1], features.shape[2])).to(self.device)

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return object / (object + background): the highest vote wins, the background's among them."""
        features = self._features(frame)
        found = votes(rows_of(features), self.reference, self.labels, self.neighbors)
        return vote_scores(found, (features.shape[1], features.shape[2]), frame)

    def _features(self, frame: Image) -> Tensor:
        """Return the upsampled features of a frame: channels × rows × columns."""
        image = frames_tensor([Box.whole(frame).cut(frame, self.size)])
        x = image.to(self.device, memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        return functional.interpolate(x, scale_factor=self.upsampling, mode="bilinear", align_corners=False)[0]


_BLOCKS = ("f2", "f4", "f8", "f16", "f32")
