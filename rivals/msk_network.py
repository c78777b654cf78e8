"""The network of `rivals.msk`: how masks are deformed for it, how it is trained, fine-tuned and used."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor, nn

from rivals.msk import DeformationConfig, InferenceConfig, MSKTraining, OneShotConfig
from vos.backbone import Backbone
from vos.checkpoint import for_inference
from vos.config import BackboneName
from vos.geometry import Box, Image, View
from vos.heads import LevelsHead
from vos.one_shot import FrameObjective, fine_tune, first_view
from vos.optimization import TrainingRun, masked_cross_entropy
from vos.samples import clip_sample, frames_tensor, known_tensor, masks_tensor
from vos.training import train
from vos.video import Video

Objects = Bool[np.ndarray, "objects height width"]

_POINTS = 5
_SWING = 4.0
"""Difference between object and background in the mask's channel, about as much as between black and white in a
normalized image (port: 200 of 255 levels)."""


class MSKNetwork(nn.Module):
    """Image and rough mask → logits of the mask; the backbone's last block is dilated."""

    def __init__(self, backbone: BackboneName, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.backbone = Backbone(backbone, output_stride=16, input_channels=4)
        self.head = LevelsHead(self.backbone.channels[1:], width)

    def forward(self, frames: Float[Tensor, "n 3 h w"], masks: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the logits; masks are 1 where the object seems to be, else 0."""
        return self.head(self.backbone(torch.cat([frames, _SWING * (masks - 0.5)], 1))[1:])


def new_network(backbone: BackboneName, size: int, width: int, weights: str, seed: int) -> MSKNetwork:
    """Return the untrained network: backbone from `weights`, on which masks have no influence yet, the rest drawn."""
    torch.manual_seed(seed)
    network = MSKNetwork(backbone, size, width)
    network.backbone.load_pretrained(weights)
    return network


def train_network(network: MSKNetwork, videos: Sequence[Video], config: MSKTraining, run: TrainingRun) -> None:
    """Train on single frames: from a deformed mask, the exact one."""
    objective = frame_objective(network, config.deformation)

    def draw(some: Sequence[Video], rng: Generator) -> list[View]:
        side = int(rng.choice(config.sizes)) if config.sizes else network.size
        return [clip_sample(some, config, side, rng, frames=1)[0] for _ in range(config.batch)]

    train(network, videos, config, run, lambda some: objective.of_views(lambda rng: draw(some, rng)))


def frame_objective(network: MSKNetwork, deformation: DeformationConfig) -> FrameObjective:
    """Return the objective: cross entropy of masks that are found from deformed ones."""
    return FrameObjective(
        inputs=lambda masks, rng: {
            "rough": masks_tensor([deformed(mask == 1, deformation, rng) for mask in masks]),
            "truth": masks_tensor(masks),
            "known": known_tensor(masks),
        },
        encode=lambda batch: [batch["frames"]],  # the mask goes through the backbone too
        loss=lambda frames, part, known: masked_cross_entropy(
            network(frames[0], part["rough"]), part["truth"], part["known"], known
        ),
    )


def fine_tune_on(
    network: MSKNetwork, frame: Image, objects: Objects, config: OneShotConfig, steps: int, run: TrainingRun
) -> MSKNetwork:
    """Return a copy that is tuned on objects of the first frame, as one."""
    view = first_view(frame, objects, network.size)
    return fine_tune(network, view, config, steps, run, lambda tuned: frame_objective(tuned, config.deformation))


def deformed(mask: Bool[np.ndarray, "h w"], config: DeformationConfig, rng: Generator) -> Image:
    """Return a mask (0 or 1) that is zoomed and shifted about its center, bent by a spline, and dilated."""
    solid, box = mask.astype(np.uint8), Box.around(mask)
    zoom = 1 + rng.uniform(-config.scale, config.scale)
    move = rng.uniform(-config.shift, config.shift, 2)
    bends = rng.uniform(-config.spline, config.spline, (_POINTS, 2))
    if box is None:
        return solid
    sides = np.array([box.width, box.height])
    center = np.array([box.left + box.right - 1, box.top + box.bottom - 1]) / 2
    affine = np.column_stack([zoom * np.eye(2), (1 - zoom) * center + move * sides])
    moved = np.asarray(cv2.warpAffine(solid, affine, solid.shape[::-1], flags=cv2.INTER_NEAREST), np.uint8)
    moved = bent(moved, bends * sides, rng) if config.spline and moved.any() else moved
    return dilated(moved if moved.any() else solid, config.dilation)


def bent(solid: Image, shifts: Float[np.ndarray, "points 2"], rng: Generator) -> Image:
    """Return a mask bent by the thin-plate spline that carries random points of its contour by `shifts` (x, y)."""
    contours = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    contour = np.concatenate(contours)[:, 0].astype(np.float64)
    count = min(len(shifts), len(contour))
    points = contour[rng.choice(len(contour), count, replace=False)]
    # The image is looked up backwards: at a target point, the spline says how far away its source is.
    targets, back = points + shifts[:count], -shifts[:count]
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _radial(((targets[:, None] - targets) ** 2).sum(-1))
    system[:count, count:] = np.column_stack([np.ones(count), targets])
    system[count:, :count] = system[:count, count:].T
    weights = np.linalg.lstsq(system, np.concatenate([back, np.zeros((3, 2))]), rcond=None)[0]
    rows, columns = np.indices(solid.shape)
    places = np.stack([columns, rows], -1).astype(np.float64)
    shift = sum(
        _radial(((places - t) ** 2).sum(-1))[..., None] * w for t, w in zip(targets, weights[:count], strict=True)
    )
    source = (places + shift + weights[count] + places @ weights[count + 1 :]).astype(np.float32)
    return np.asarray(cv2.remap(solid, source[..., 0], source[..., 1], cv2.INTER_NEAREST), np.uint8)


def _radial(squares: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return r² log r of squared distances."""
    return np.asarray(squares * np.log(np.maximum(squares, 1e-12)) / 2)


def dilated(solid: Image, radius: float) -> Image:
    """Return a mask dilated by a disk; its radius is in sides of the image."""
    pixels = round(radius * max(solid.shape))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(solid, disk), np.uint8)


class MSKSegmenter:
    """Refines each object's mask of the previous frame, with a network of its own or the trained one for all."""

    def __init__(self, networks: Sequence[MSKNetwork], config: InferenceConfig, device: str, amp: bool = False) -> None:
        self.networks = [for_inference(network, device) for network in networks]
        self.dilation = config.dilation
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"

    def start(self, frame: Image, objects: Objects) -> None:
        """Take the first masks."""
        side, whole = self.networks[0].size, Box.whole(frame)
        self.masks = [whole.cut(mask.astype(np.uint8), side, labels=True) for mask in objects]

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return each object's score; an object that is lost stays so, unless the network finds it without a mask."""
        whole, side = Box.whole(frame), self.networks[0].size
        image = frames_tensor([whole.cut(frame, side)]).to(self.device, memory_format=torch.channels_last)
        rough = masks_tensor([dilated(mask, self.dilation) for mask in self.masks]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            if len(self.networks) == 1:
                logits = self.networks[0](image.expand(len(rough), -1, -1, -1), rough)
            else:
                pairs = zip(self.networks, rough, strict=True)
                logits = torch.cat([network(image, mask[None]) for network, mask in pairs])
        scores = torch.sigmoid(logits[:, 0].float()).cpu().numpy()
        self.masks = [(score > 0.5).astype(np.uint8) for score in scores]
        return whole.placed(scores, frame)
