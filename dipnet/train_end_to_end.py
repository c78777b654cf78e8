"""One-shot fine-tuning of both networks as one (section 4.2.3): the propagated coarse mask is what is refined."""

from __future__ import annotations

import copy

import torch
from numpy.random import Generator
from torch import Tensor, nn

from dipnet.config import OneShotConfig
from dipnet.propagation import PropagationNetwork
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from vos.geometry import Box, Image, View
from vos.optimization import Batch, Objective, TrainingRun, optimize
from vos.samples import frames_tensor, known_tensor, masks_tensor, view_of


class BothNetworks(nn.Module):
    """A frame with its mask, and another frame → logits of the other frame's mask at every stage."""

    def __init__(self, propagation: PropagationNetwork, segmentation: SegmentationNetwork) -> None:
        super().__init__()
        self.propagation = propagation
        self.segmentation = segmentation

    def forward(self, references: Tensor, masks: Tensor, small: Tensor, frames: Tensor) -> list[Tensor]:
        """Return the logits of every stage; `small` are the `frames` at the size of the propagation network."""
        identity = self.propagation.encode_identity(references, masks)
        coarse = torch.sigmoid(self.propagation.propagate(self.propagation.encode_frame(small), identity))
        return self.segmentation.decode(self.segmentation.encode_frame(frames), coarse)


def tune_both(
    propagation: PropagationNetwork,
    segmentation: SegmentationNetwork,
    frame: Image,
    mask: Image,
    config: OneShotConfig,
    steps: int,
    run: TrainingRun,
) -> tuple[PropagationNetwork, SegmentationNetwork]:
    """Return copies of both networks after `steps` steps on pairs of variations of one frame and its mask (0 or 1).

    The loss is the segmentation's only; it reaches the propagation network through the coarse mask (choice)."""
    both = BothNetworks(copy.deepcopy(propagation), copy.deepcopy(segmentation))
    side, small = segmentation.config.size, propagation.config.size
    view = View.cut(frame, mask, Box.whole(frame), 2 * side)

    def draw(rng: Generator) -> Batch:
        def views(size: int) -> list[View]:
            return [view_of(view.frame, view.mask, config.augmentation, size, rng) for _ in range(config.batch)]

        references, targets = views(small), views(side)
        whole = Box.whole(targets[0].mask)
        return {
            "references": frames_tensor([view.frame for view in references]),
            "masks": masks_tensor([view.mask for view in references]),
            "small": frames_tensor([whole.cut(view.frame, small) for view in targets]),
            "frames": frames_tensor([view.frame for view in targets]),
            "truth": masks_tensor([view.mask for view in targets]),
            "known": known_tensor([view.mask for view in targets]),
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        stages = both(part["references"], part["masks"], part["small"], part["frames"])
        return segmentation_loss(stages, part["truth"], part["known"], known, alignment=segmentation.config.alignment)

    optimize(both, Objective(draw, loss), config, steps, run)
    return both.propagation, both.segmentation
