"""Training of the propagation network (section 3.4): from one frame and its masks, the coarse masks of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from dipnet.calibration import calibrate_identity
from dipnet.config import PropagationConfig, PropagationTraining
from dipnet.propagation import PropagationNetwork
from vos.geometry import View
from vos.hints import disturbed
from vos.optimization import Batch, Objective, TrainingError, TrainingRun
from vos.samples import area_truth, clip_sample, frames_tensor, known_tensor, masks_tensor
from vos.training import split, train
from vos.video import Video

_ATTEMPTS = 20
_NEVER = -1e4
"""Logit of what is not in a softmax."""


def new_propagation(config: PropagationConfig, weights: str, seed: int) -> PropagationNetwork:
    """Return the untrained network: backbones from `weights`, the rest drawn from the seed."""
    torch.manual_seed(seed)
    network = PropagationNetwork(config)
    network.encoder.load_pretrained(weights)
    network.identity.backbone.load_pretrained(weights)
    return network


def train_propagation(
    network: PropagationNetwork,
    videos: Sequence[Video],
    config: PropagationTraining,
    run: TrainingRun,
    *,
    first: bool = True,
) -> None:
    """Train phase I. If no training went before (`first`), its config may say to calibrate the identity encoder."""
    batches = network.config.identity_calibration
    if first and batches:
        learned, _ = split(videos, config.held_out)
        calibrate_identity(network, propagation_objective(network, learned, config).draw, batches, run)
    train(network, videos, config, run, lambda some: propagation_objective(network, some, config))


def propagation_objective(
    network: PropagationNetwork, videos: Sequence[Video], config: PropagationTraining
) -> Objective:
    """Return the objective: pairs of frames, and the loss of the coarse masks of the second one's objects."""
    side, coarse = network.config.size, network.config.coarse_size

    def draw(rng: Generator) -> Batch:
        pairs = [draw_pair(videos, config, side, rng) for _ in range(config.batch)]
        references, targets = zip(*pairs, strict=True)
        return {
            "references": frames_tensor([view.frame for view in references]),
            "targets": frames_tensor([view.frame for view in targets]),
            **asked_objects(references, targets, config, coarse, rng),
        }

    def loss(part: Batch, known: Tensor) -> Tensor:
        samples, objects = part["asked"].nonzero(as_tuple=True)
        identity = network.encode_identity(part["references"][samples], part["masks"][samples, objects])
        found = network.propagate(network.encode_frame(part["targets"])[samples], identity).float()
        logits = found.new_full(part["truth"].shape, _NEVER).index_put((samples, objects), found[:, 0])
        return propagation_loss(logits, part["asked"], part["truth"], part["known"], known, config)

    return Objective(draw, loss)


def draw_pair(videos: Sequence[Video], config: PropagationTraining, side: int, rng: Generator) -> list[View]:
    """Draw a reference in which the identity encoder sees an object, and a target.

    Raises TrainingError if there seems to be none."""
    for _ in range(_ATTEMPTS):
        pair = clip_sample(videos, config, side, rng, frames=2, objects=config.objects)
        if pair[0].objects:
            return pair
    raise TrainingError(
        f"{_ATTEMPTS} samples drawn, and no object covers a pixel of their {side}×{side}; is this the right data?"
    )


def asked_objects(
    references: Sequence[View], targets: Sequence[View], config: PropagationTraining, coarse: int, rng: Generator
) -> Batch:
    """Return what is asked of a batch of pairs: of each object in the masks, and of all together as the last.

    `masks` (samples × objects × 1 × side × side) are the references', disturbed; `asked` says which of them there are:
    objects that the encoder sees, and all of them together where they are several, as eq. 2 and the softmax of section
    3.3.2 have it. `truth` (samples × objects × coarse × coarse) and `known` are the targets'."""
    count, target_masks = max(view.objects for view in references), [view.mask for view in targets]
    masks, truth = masks_tensor([view.mask for view in references], count), masks_tensor(target_masks, count)
    seen = masks.flatten(2).amax(2) > 0  # `any` of numbers takes ten times as long
    for sample, number in seen.nonzero().tolist():
        solid = masks[sample, number].numpy().astype(np.uint8)
        masks[sample, number] = torch.from_numpy(disturbed(solid, config.disturbance, rng))
    truth = truth * seen[:, :, None, None]
    truth = torch.cat([truth, truth.amax(1, keepdim=True)], 1)
    truth, known = area_truth(truth, known_tensor(target_masks), (coarse, coarse))
    return {
        "masks": torch.cat([masks, masks.amax(1, keepdim=True)], 1)[:, :, None],
        "asked": torch.cat([seen, seen.sum(1, keepdim=True) > 1], 1),
        "truth": truth,
        "known": known,
    }


def propagation_loss(
    logits: Float[Tensor, "n masks m m"],
    asked: Bool[Tensor, "n masks"],
    truth: Float[Tensor, "n masks m m"],
    known: Float[Tensor, "n 1 m m"],
    whole: Float[Tensor, "batch 1 m m"],
    config: PropagationTraining,
) -> Tensor:
    """Return the loss of the masks that are asked for, the last being all objects of a sample that has several.

    Softmax: the cross entropy over {−f_fg, f_1 … f_n}, of one object over {0, f_1}, which is its sigmoid; the negated
    foreground stands for the background (section 3.3.2). Sigmoid: the mean of each mask's own. Truths are shares of
    cells, and losses means over the `known` area of the `whole` batch, of which these samples may be a part."""
    divisor = whole.sum().clamp(min=1e-6)
    each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none") * asked[:, :, None, None]
    own = each.sum(1, keepdim=True) / asked.sum(1).clamp(min=1)[:, None, None, None]
    if config.loss == "sigmoid":
        return (own * known).sum() / divisor
    if config.loss == "softmax":
        own = config.foreground_term * each[:, -1:]
    several = asked[:, -1:, None, None]
    background = torch.where(several, -logits[:, -1:], 0.0)
    objects = logits[:, :-1].masked_fill(~asked[:, :-1, None, None], _NEVER)
    shares = torch.cat([1 - truth[:, -1:], truth[:, :-1]], 1)
    entropy = -(shares * torch.log_softmax(torch.cat([background, objects], 1), 1)).sum(1, keepdim=True)
    return ((entropy + own) * known).sum() / divisor
