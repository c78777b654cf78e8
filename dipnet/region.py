"""One pass of both phases over one region of every frame (sections 3.1 to 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from dipnet.config import InferenceConfig
from dipnet.identity import update_identity
from dipnet.propagation import PropagationNetwork, coarse_probabilities
from dipnet.segmentation import SegmentationNetwork
from vos.geometry import Box, Image
from vos.samples import frames_tensor
from vos.segment import merged


class RegionPass:
    """Both phases on one region of every frame, with the identities that it carries from frame to frame."""

    def __init__(self, propagation: PropagationNetwork | None, config: InferenceConfig, device: str) -> None:
        self.network = propagation if config.phases != "segmentation" else None
        self.config = config
        self.device = device
        self.seen: dict[tuple[Box, int], tuple[Image, Tensor]] = {}
        """Frame and what networks take of it, by box and side; kept until the next step."""

        self.dynamic: Tensor | None = None
        self.first: Tensor | None = None

    def start(self, frame: Image, objects: NDArray[np.bool_], box: Box) -> None:
        """Set α_1 = β_1 from the first frame and its truth."""
        self.previous = objects
        self.seen.clear()
        if self.network is not None:
            self.dynamic = self.first = self._encode(self.network, frame, objects, box)[0]

    def update(self, frame: Image, objects: NDArray[np.bool_], scores: NDArray[np.float32], box: Box) -> None:
        """Apply eq. 2 with the masks just found and their probabilities; lost objects keep their identity."""
        self.previous = objects
        if self.network is None or self.dynamic is None:
            return
        if self.config.omega > 0 and objects.any():
            estimated, visible = self._encode(self.network, frame, objects, box)
            self.dynamic = update_identity(self.dynamic, estimated, visible, self._omega(objects, scores))

    def step(
        self, frame: Image, box: Box, segmentation: Sequence[SegmentationNetwork | None]
    ) -> Float[np.ndarray, "objects height width"]:
        """Return the probability of each object at each pixel of the frame; 0 outside the box."""
        self.seen.clear()
        with self._autocast():
            coarse = self.propagate(frame, box)
            if self.config.phases == "propagation":
                scores = self._against_background(coarse)
            else:
                scores = self._refined(frame, box, coarse, segmentation)
        return box.placed(scores[:, 0].float().cpu().numpy(), frame)

    def _refined(
        self,
        frame: Image,
        box: Box,
        coarse: Float[Tensor, "objects 1 m m"],
        segmentation: Sequence[SegmentationNetwork | None],
    ) -> Float[Tensor, "objects 1 side side"]:
        """Return the probabilities that the second phase makes of coarse masks.

        Objects of one network are refined together: it encodes the frame once."""
        together = len(segmentation) == 1 and not self.config.test_flip
        found = []
        for number, hints in enumerate([coarse] if together else coarse[:, None]):
            network = segmentation[min(number, len(segmentation) - 1)]
            if network is None:
                raise ValueError("the segmentation phase has no network")
            views = self._views(frame, box, network.config.size)
            if together:
                found.append(torch.sigmoid(network.refine(views, hints)))
            else:
                both = torch.cat([hints, hints.flip(-1)]) if self.config.test_flip else hints
                found.append(_mean_view(torch.sigmoid(network.refine(views, both)))[None])
        return torch.cat(found)

    def propagate(self, frame: Image, box: Box) -> Float[Tensor, "objects 1 m m"]:
        """Return the coarse masks of the identities or, without phase I, of the previous masks."""
        if self.network is None or self.dynamic is None or self.first is None:
            return self._coarse(self.previous, box)
        features = self.network.encode_frame(self._views(frame, box, self.network.config.size))
        anchor, previous = self.config.anchor, self.config.previous
        coarse = self._propagated(self.network, features, self.dynamic)
        if anchor:
            coarse = (1 - anchor) * coarse + anchor * self._propagated(self.network, features, self.first)
        if self.config.reach is not None:
            coarse = coarse * self._coarse(within(self.previous, self.config.reach), box)
        return (1 - previous) * coarse + previous * self._coarse(self.previous, box) if previous else coarse

    def _propagated(
        self, network: PropagationNetwork, features: Tensor, identity: Tensor
    ) -> Float[Tensor, "objects 1 m m"]:
        """Return the coarse masks of identities in the features of all views of a frame."""
        count, views = len(self.previous), []
        for feature in features:
            logits = network.propagate(feature.expand(len(identity), -1, -1, -1), identity).float()
            views.append(coarse_probabilities(logits[:count], logits[count:] if self._jointly else None))
        return _mean_view(torch.stack(views))

    def _against_background(self, coarse: Float[Tensor, "objects 1 m m"]) -> Float[Tensor, "objects 1 m m"]:
        """Return scores above one half where an object is the most probable of the softmax, the background included."""
        if not self._jointly:
            return coarse
        background = (1 - coarse.sum(0, keepdim=True)).clamp(min=1e-6)
        return coarse / (coarse + background)

    @property
    def _jointly(self) -> bool:
        return len(self.previous) > 1 and self.config.instances == "jointly"

    def _coarse(self, objects: NDArray[np.bool_], box: Box) -> Float[Tensor, "objects 1 m m"]:
        """Return masks inside a box, scaled down."""
        size = self.config.coarse_size
        masks = [box.cut(np.uint8(255) * mask, 8 * size) for mask in objects]
        hints = [cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) for mask in masks]
        return torch.from_numpy(np.stack(hints).astype(np.float32)[:, None] / 255).to(self.device)

    def _omega(self, objects: NDArray[np.bool_], scores: NDArray[np.float32]) -> float | Tensor:
        """Return ω, or for each identity ω times the confidence of its mask."""
        if not self.config.confident_omega:
            return self.config.omega
        if len(objects) > 1:
            scores = np.concatenate([scores, scores.max(0, keepdims=True)])
        return self.config.omega * torch.from_numpy(confidence(scores, _with_foreground(objects))).to(self.device)

    def _encode(
        self, network: PropagationNetwork, frame: Image, objects: NDArray[np.bool_], box: Box
    ) -> tuple[Float[Tensor, "masks c"], Bool[Tensor, "masks"]]:
        """Return the identity of each object, and of the foreground of several, and whether the encoder sees it."""
        side = network.config.size
        masks = np.stack([encoder_mask(mask, box, side) for mask in _with_foreground(objects)])
        mask = torch.from_numpy(masks.astype(np.float32)[:, None]).to(self.device)
        with self._autocast():
            return network.encode_identity(self._tensor(frame, box, side), mask).float(), mask.flatten(1).any(1)

    def _autocast(self) -> torch.autocast:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.config.amp and kind == "cuda")

    def _views(self, frame: Image, box: Box, side: int) -> Tensor:
        """Return the frame, followed by its mirror image if both are averaged."""
        image = self._tensor(frame, box, side)
        return torch.cat([image, image.flip(-1)]) if self.config.test_flip else image

    def _tensor(self, frame: Image, box: Box, side: int) -> Tensor:
        seen = self.seen.get((box, side))
        if seen is None or seen[0] is not frame:
            image = frames_tensor([box.cut(frame, side)])
            seen = frame, image.to(self.device, memory_format=torch.channels_last)
            self.seen[box, side] = seen
        return seen[1]


def _with_foreground(objects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return several objects with all of them merged as one more, for the softmax of section 3.3.2."""
    return objects if len(objects) == 1 else np.concatenate([objects, merged(objects)])


def encoder_mask(mask: NDArray[np.bool_], box: Box, side: int) -> Bool[np.ndarray, "side side"]:
    """Return a mask inside a box as the identity encoder sees it; of an object between its pixels, all it touches.

    Nearest pixels miss a tenth of the objects of 3 × 3 pixels in a frame of 854 × 480 at a side of 256."""
    nearest = box.cut(mask.astype(np.uint8), side, labels=True) == 1
    if nearest.any():
        return nearest
    rows, columns = np.nonzero(mask[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right])
    rows, columns = rows + max(-box.top, 0), columns + max(-box.left, 0)
    nearest[rows * side // box.height, columns * side // box.width] = True
    return nearest


def _mean_view(maps: Tensor) -> Tensor:
    """Return the mean of maps (views × … × width) of a frame and, mirrored back, of its mirror image."""
    return (maps[0] + maps[1].flip(-1)) / 2 if len(maps) > 1 else maps[0]


def confidence(
    scores: Float[np.ndarray, "objects height width"], masks: Bool[np.ndarray, "objects height width"]
) -> Float[np.ndarray, "objects"]:
    """Return the confidence of each mask: the mean over its pixels of 2p − 1, in 0..1; 0 for an empty mask."""
    margins = np.where(masks, np.clip(2 * scores - 1, 0, 1), 0).sum((1, 2), dtype=np.float64)
    return (margins / np.maximum(masks.sum((1, 2)), 1)).astype(np.float32)


def foreground_box(mask: NDArray[np.bool_], margin: float, share: float = 0.0, last: Box | None = None) -> Box | None:
    """Return the box to crop: around the mask, with the margin on each side, inside the frame; None without a mask.

    Parts of the mask below that share of it count only where the `last` box was (`Box.around_parts`)."""
    box = Box.around(mask) if last is None else Box.around_parts(mask, share, last)
    return None if box is None else box.grown(margin, margin, margin, margin).clipped(mask)


def within(masks: Bool[np.ndarray, "objects height width"], reach: float) -> Bool[np.ndarray, "objects height width"]:
    """Return each mask with all that is within `reach` longer sides of its box; everything for an empty mask."""
    near = np.ones_like(masks)
    for mask, target in zip(masks, near, strict=True):
        box = Box.around(mask)
        if box is not None:
            distance = cv2.distanceTransform(np.uint8(1) - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            target[...] = distance <= reach * max(box.height, box.width)
    return near
