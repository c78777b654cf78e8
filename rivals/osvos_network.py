"""The network of `rivals.osvos`: how it is trained, fine-tuned and used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from rivals.osvos import InferenceConfig, ParentTraining
from vos.backbone import Backbone
from vos.config import BackboneName, FineTuningConfig
from vos.geometry import Box, Image, View
from vos.losses import balanced_cross_entropy
from vos.one_shot import FrameObjective, fine_tune, first_view
from vos.optimization import Batch, Objective, TrainingRun
from vos.samples import foreground_view, frames_tensor, known_tensor, masks_tensor
from vos.training import Course, iterations, train
from vos.video import Video

SPREAD = 1e-3
"""Standard deviation of the first weights outside of the backbone (authors' code)."""

Objects = Bool[np.ndarray, "objects height width"]


class OSVOSNetwork(nn.Module):
    """Image → foreground, from the features of four blocks; each block also yields a mask of its own (side output)."""

    def __init__(self, backbone: BackboneName, size: int, side_channels: int) -> None:
        super().__init__()
        self.size = size
        self.backbone = Backbone(backbone)
        widths = self.backbone.channels[1:]
        self.preparations = nn.ModuleList(nn.Conv2d(width, side_channels, 3, padding=1) for width in widths)
        self.sides = nn.ModuleList(nn.Conv2d(side_channels, 1, 1) for _ in widths)
        self.fusion = nn.Conv2d(side_channels * len(widths), 1, 1)
        for layer in (*self.preparations, *self.sides, self.fusion):
            nn.init.normal_(layer.weight, std=SPREAD)
            nn.init.zeros_(layer.bias)
        self.course = Course()

    def encode_frame(self, frame: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return the features of the blocks f4, f8, f16 and f32."""
        return self.backbone(frame)[1:]

    def prepare(self, features: list[Tensor]) -> list[Tensor]:
        """Return the channels that each block contributes."""
        return [layer(feature) for layer, feature in zip(self.preparations, features, strict=True)]

    def fuse(self, prepared: list[Tensor]) -> Float[Tensor, "n 1 h w"]:
        """Return the fused logits at the image's size.

        The 1×1 convolution of upsampled and concatenated channels is computed block by block before upsampling, which
        is the same function, as both are linear and bilinear weights add up to 1."""
        weights = self.fusion.weight.chunk(len(prepared), dim=1)
        biases = self.fusion.bias, *[None] * (len(prepared) - 1)
        parts = [functional.conv2d(x, w, b) for x, w, b in zip(prepared, weights, biases, strict=True)]
        return torch.stack(_upsampled(parts)).sum(0)

    def side_outputs(self, prepared: list[Tensor]) -> list[Float[Tensor, "n 1 h w"]]:
        """Return the logits of each block at the image's size."""
        return _upsampled([layer(x) for layer, x in zip(self.sides, prepared, strict=True)])


def new_network(backbone: BackboneName, size: int, side_channels: int, weights: str, seed: int) -> OSVOSNetwork:
    """Return the untrained network: backbone from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = OSVOSNetwork(backbone, size, side_channels)
    network.backbone.load_pretrained(weights)
    return network


def train_parent(network: OSVOSNetwork, videos: Sequence[Video], config: ParentTraining, run: TrainingRun) -> None:
    """Train the parent network on the foreground; the weight of the side outputs falls to 0 over the training."""
    network.course.begin()

    def fading(steps: int) -> float | None:
        """Return the weight in the next part of a batch; None in validation, which is about the fused mask only."""
        done = network.course.share_done(steps, config.accumulate)
        return None if done is None else config.side_weight * max(0.0, 1 - done)

    def draw(some: Sequence[Video], rng: Generator) -> list[View]:
        side = int(rng.choice(config.sizes)) if config.sizes else network.size
        return [foreground_view(some, config, side, rng) for _ in range(config.batch)]

    def objective(some: Sequence[Video]) -> Objective:
        steps = iterations(config, some)
        return frame_objective(network, lambda: fading(steps)).of_views(lambda rng: draw(some, rng))

    train(network, videos, config, run, objective)


def frame_objective(network: OSVOSNetwork, side_weight: Callable[[], float | None] = lambda: None) -> FrameObjective:
    """Return the objective: balanced losses of the fused mask and, with their weight, of the side outputs.

    `side_weight` is called once for each part of a batch; None spares the side outputs."""

    def loss(features: list[Tensor], part: Batch, known: Tensor) -> Tensor:
        prepared, weight = network.prepare(features), side_weight()
        outputs = [(1.0, network.fuse(prepared))]
        if weight is not None:  # 0 keeps them in the graph: DistributedDataParallel expects every gradient
            outputs += [(weight, side) for side in network.side_outputs(prepared)]
        losses = [w * balanced_cross_entropy(x, part["truth"], part["known"], known) for w, x in outputs]
        return torch.stack(losses).sum()

    return FrameObjective(
        inputs=lambda masks, rng: {"truth": masks_tensor(masks), "known": known_tensor(masks)},
        encode=lambda batch: network.encode_frame(batch["frames"]),
        loss=loss,
    )


def fine_tune_on(
    network: OSVOSNetwork, frame: Image, objects: Objects, config: FineTuningConfig, steps: int, run: TrainingRun
) -> OSVOSNetwork:
    """Return a copy that is tuned on objects of the first frame, as one; side outputs are not learned any more."""
    view = first_view(frame, objects, network.size)
    return fine_tune(network, view, config, steps, run, frame_objective)


class OSVOSSegmenter:
    """Segments each frame by itself: every object with a network of its own, or all with the parent network."""

    def __init__(
        self, networks: Sequence[OSVOSNetwork], config: InferenceConfig, device: str, amp: bool = False
    ) -> None:
        self.networks = networks
        self.threshold = config.threshold
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"

    def start(self, frame: Image, objects: Objects) -> None:  # noqa: ARG002  protocol
        """Take the number of objects."""
        self.objects = len(objects)

    @torch.inference_mode()
    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:
        """Return each object's score. The parent network, which knows no objects, gives all of them the same."""
        whole = Box.whole(frame)
        image = frames_tensor([whole.cut(frame, self.networks[0].size)])
        image = image.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            logits = [
                network.fuse(network.prepare(network.encode_frame(image)))[0, 0].float() for network in self.networks
            ]
        scores = whole.placed(torch.sigmoid(torch.stack(logits)).cpu().numpy(), frame)
        if len(scores) < self.objects:
            scores = np.repeat(scores, self.objects, axis=0)
        inside, outside = scores * (1 - self.threshold), (1 - scores) * self.threshold
        return np.asarray(inside / (inside + outside), np.float32)  # one half at the threshold


def _upsampled(maps: list[Tensor]) -> list[Tensor]:
    """Return maps of which the first has stride 4 at the image's size."""
    size = [4 * side for side in maps[0].shape[-2:]]
    return [functional.interpolate(x, size, mode="bilinear", align_corners=False) for x in maps]
