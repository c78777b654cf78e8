"""What networks that propagate masks have in common (STCN, RGMP): blocks, clips, masks going in and coming out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from vos.backbone import Backbone
from vos.config import TrainingConfig
from vos.geometry import Box, Image
from vos.optimization import Batch
from vos.samples import frames_tensor, known_tensor, masks_tensor, shown_clip
from vos.video import Video

Objects = Bool[np.ndarray, "objects height width"]


class ResidualBlock(nn.Module):
    """shortcut(x) + conv(ReLU(conv(ReLU(x)))), all 3×3, without batch norm; the shortcut has none if widths agree."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 3, padding=1)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        return self.shortcut(x) + self.second(torch.relu(self.first(torch.relu(x))))


def enlarged(x: Float[Tensor, "n c h w"], factor: int) -> Float[Tensor, "n c H W"]:
    """Return maps whose sides are so many times as long."""
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def draw_mask_kernels(backbone: Backbone, draw: Callable[[Tensor], object]) -> None:
    """Draw the first kernels of a backbone's masks, the inputs after RGB; with zeros it would not see them at first."""
    first = next(layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    kernels = torch.empty_like(first.weight[:, 3:], memory_format=torch.contiguous_format)
    draw(kernels)
    with torch.no_grad():
        first.weight[:, 3:] = kernels


def draw_clips(
    videos: Sequence[Video], config: TrainingConfig, size: int, rng: Generator, *, frames: int, objects: int = 1
) -> Batch:
    """Return a batch of clips of `config.sizes` or, without any, of `size`, in time order.

    `frames` are n × frames × 3 × h × w, `masks` (n × objects × h × w) those of the first frames, each of which shows an
    object. Of later frames, `truth` (n × later × h × w) is the number of a pixel's object, 0 for background and void,
    and `known` (n × later × 1 × h × w) is 0 in void, else 1."""
    side = int(rng.choice(config.sizes)) if config.sizes else size
    clips = [shown_clip(videos, config, side, rng, frames=frames, objects=objects) for _ in range(config.batch)]
    later = [view.mask for clip in clips for view in clip[1:]]
    known, numbers = known_tensor(later), torch.from_numpy(np.stack(later)).long()
    images = frames_tensor([view.frame for clip in clips for view in clip])
    return {
        "frames": images.unflatten(0, (len(clips), frames)),
        "masks": masks_tensor([clip[0].mask for clip in clips], max(clip[0].objects for clip in clips)),
        "truth": (numbers * known[:, 0].long()).unflatten(0, (len(clips), frames - 1)),
        "known": known.unflatten(0, (len(clips), frames - 1)),
    }


def frame_tensor(frame: Image, side: int, device: torch.device) -> Float[Tensor, "1 3 side side"]:
    """Return a whole frame as the input of a network."""
    image = frames_tensor([Box.whole(frame).cut(frame, side)])
    return image.to(device, memory_format=torch.channels_last)


def first_masks(objects: Objects, side: int) -> Float[Tensor, "objects 1 side side"]:
    """Return the given masks at the network's size: the share of each pixel, so that no object is too small."""
    whole = Box.whole(objects[0])
    masks = np.stack([whole.cut(np.uint8(255) * mask, side) for mask in objects])
    return torch.from_numpy(masks.astype(np.float32)[:, None] / 255)


def joint_logits(probabilities: Float[Tensor, "*batch classes h w"]) -> Float[Tensor, "*batch classes h w"]:
    """Return the logits of classes that were judged each by itself; their softmax says which of them a pixel is."""
    return torch.logit(probabilities.float(), eps=1e-7)


def placed_scores(joint: Float[Tensor, "classes side side"], frame: Image) -> Float[np.ndarray, "objects height width"]:
    """Return object / (object + background) in the whole frame, from probabilities with the background first."""
    background, *objects = Box.whole(frame).placed(joint.cpu().numpy(), frame)
    shares = np.stack(objects)
    return np.asarray(shares / np.maximum(shares + background, 1e-6), np.float32)
