"""Segmenting one video (sections 3.1 to 3.3): the first frame's truth in, a mask of ids for every frame out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from dipnet.config import InferenceConfig
from dipnet.identity import update_identity
from dipnet.model import Networks
from dipnet.propagation import PropagationNetwork, coarse_probabilities
from dipnet.samples import Video, frames_tensor
from dipnet.segmentation import SegmentationNetwork
from dipnet.view import Box, Image, bounding_box, clip, grow, resample, whole


def segment_video(video: Video, networks: Networks, config: InferenceConfig, device: str) -> Iterator[Image]:
    """Masks of ids, height × width, frame by frame; the first is the given truth.

    With cropping: all objects as one in the whole frame, a box around them, each object in the box (section 3.3.1).
    With `search_margin` the first of these looks around the frame before's mask, and elsewhere if nothing is there."""
    first_frame, ids = video.frame(0), video.mask(0)
    objects = np.stack([ids == i for i in video.object_ids])
    yield label(objects.astype(np.float32), video.object_ids)
    tell_apart = len(objects) > 1
    frame_pass = Pass(networks.propagation, config, device)
    if config.crop:
        foreground = merged(objects)
        region = search_region(foreground[0], config.search_margin)
        frame_pass.start(first_frame, foreground, region)
        crop_pass = Pass(networks.propagation, config, device)
        box = foreground_box(foreground[0], config.crop_margin) or whole(ids)
        crop_pass.start(first_frame, objects, box)
    else:
        frame_pass.start(first_frame, objects, whole(ids))
    frame_networks = [networks.frame_segmentation]
    for index in range(1, len(video)):
        frame = video.frame(index)
        if config.crop:
            found = frame_pass.step(frame, region, frame_networks, together=False)
            if found.max() <= 0.5 and region != whole(ids):
                region = whole(ids)
                found = frame_pass.step(frame, region, frame_networks, together=False)
            # Where nothing is found the object may still be where it was: the last box is searched.
            box = foreground_box(found[0] > 0.5, config.crop_margin) or box
            scores = crop_pass.step(frame, box, networks.object_segmentation, together=tell_apart)
            if config.frame_share and not tell_apart:
                scores = (1 - config.frame_share) * scores + config.frame_share * found
        else:
            scores = frame_pass.step(frame, whole(ids), networks.object_segmentation, together=tell_apart)
        masks = label(scores, video.object_ids)
        yield masks
        if index == len(video) - 1:
            return
        objects = np.stack([masks == i for i in video.object_ids])
        if config.crop:
            foreground = merged(objects)
            region = search_region(foreground[0], config.search_margin)
            frame_pass.remember(frame, foreground, scores.max(0, keepdims=True), region)
            crop_pass.remember(frame, objects, scores, box)
        else:
            frame_pass.remember(frame, objects, scores, whole(ids))


class Pass:
    """One way through both phases on one region of every frame, with the identities that it keeps."""

    def __init__(self, propagation: PropagationNetwork | None, config: InferenceConfig, device: str) -> None:
        self.network = propagation if config.phases != "segmentation" else None
        self.config = config
        self.device = device
        self.dynamic: Tensor | None = None
        self.first: Tensor | None = None

    def start(self, frame: Image, objects: NDArray[np.bool_], box: Box) -> None:
        """α_1 = β_1 from the first frame and its truth."""
        self.previous = objects
        if self.network is not None:
            self.dynamic = self.first = self._encode(frame, objects, box)

    def remember(self, frame: Image, objects: NDArray[np.bool_], scores: NDArray[np.float32], box: Box) -> None:
        """Eq. 2 with the masks just found, whose probabilities are `scores` (objects × height × width); objects that
        were not found keep their identity."""
        self.previous = objects
        if self.network is None or self.dynamic is None:
            return
        visible = torch.from_numpy(self._with_foreground(objects).any((1, 2))).to(self.device)
        if self.config.omega > 0 and bool(visible.any()):
            estimated = self._encode(frame, objects, box)
            self.dynamic = update_identity(self.dynamic, estimated, visible, self._omega(objects, scores))

    def step(
        self, frame: Image, box: Box, segmentation: Sequence[SegmentationNetwork | None], *, together: bool
    ) -> Float[np.ndarray, "objects height width"]:
        """Probability of each object at each pixel of the frame; 0 outside the box."""
        with self._autocast():
            coarse = self.propagate(frame, box, together=together)
        if self.config.phases == "propagation":
            return paste(coarse[:, 0].cpu().numpy(), box, frame.shape[:2])
        scores = []
        for number, hint in enumerate(coarse):
            network = segmentation[min(number, len(segmentation) - 1)]
            if network is None:
                raise ValueError("the segmentation phase has no network")
            image = self._views(frame, box, network.config.size)
            hints = torch.cat([hint[None], hint[None].flip(-1)]) if self.config.test_flip else hint[None]
            with self._autocast():
                found = torch.sigmoid(network.refine(image, hints))
            scores.append(_mean_view(found)[0].float().cpu().numpy())
        return paste(np.stack(scores), box, frame.shape[:2])

    def propagate(self, frame: Image, box: Box, *, together: bool) -> Float[Tensor, "objects 1 m m"]:
        """Coarse masks: of the identities, or without phase I of the masks before."""
        if self.network is None or self.dynamic is None or self.first is None:
            return self._coarse(self.previous, box)
        features = self.network.encode_frame(self._views(frame, box, self.network.config.size))
        anchor, previous = self.config.anchor, self.config.previous
        coarse = self._propagated(self.network, features, self.dynamic, together)
        if anchor:
            coarse = (1 - anchor) * coarse + anchor * self._propagated(self.network, features, self.first, together)
        if self.config.reach is not None:
            coarse = coarse * self._coarse(within(self.previous, self.config.reach), box)
        return (1 - previous) * coarse + previous * self._coarse(self.previous, box) if previous else coarse

    def _propagated(
        self, network: PropagationNetwork, features: Tensor, identity: Tensor, together: bool
    ) -> Float[Tensor, "objects 1 m m"]:
        """Coarse masks of identities in the features of all views of a frame."""
        count, views = len(self.previous), []
        for feature in features:
            logits = network.propagate(feature.expand(len(identity), -1, -1, -1), identity).float()
            jointly = together and self.config.instances == "jointly"
            views.append(coarse_probabilities(logits[:count], logits[count:] if jointly else None))
        return _mean_view(torch.stack(views))

    def _coarse(self, objects: NDArray[np.bool_], box: Box) -> Float[Tensor, "objects 1 m m"]:
        """Masks inside of a box, scaled down."""
        masks = [resample(np.uint8(255) * mask, box, 8 * self.config.coarse_size) for mask in objects]
        hints = [cv2.resize(mask, (self.config.coarse_size,) * 2, interpolation=cv2.INTER_AREA) for mask in masks]
        return torch.from_numpy(np.stack(hints).astype(np.float32)[:, None] / 255).to(self.device)

    def _omega(self, objects: NDArray[np.bool_], scores: NDArray[np.float32]) -> float | Tensor:
        """ω, or for each identity ω times the confidence of its mask."""
        if not self.config.confident_omega:
            return self.config.omega
        if len(objects) > 1:
            scores = np.concatenate([scores, scores.max(0, keepdims=True)])
        return self.config.omega * torch.from_numpy(confidence(scores, self._with_foreground(objects))).to(self.device)

    def _encode(self, frame: Image, objects: NDArray[np.bool_], box: Box) -> Tensor:
        if self.network is None:
            raise ValueError("the propagation phase has no network")
        side = self.network.config.size
        masks = np.stack([resample(m.astype(np.uint8), box, side, labels=True) for m in self._with_foreground(objects)])
        mask = torch.from_numpy(masks.astype(np.float32)[:, None]).to(self.device)
        image = self._tensor(frame, box, side).expand(len(mask), -1, -1, -1)
        with self._autocast():
            return self.network.encode_identity(image, mask).float()

    def _autocast(self) -> torch.autocast:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.config.amp and kind == "cuda")

    def _with_foreground(self, objects: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Several objects carry all of them merged as one more, for the softmax of section 3.3.2."""
        return objects if len(objects) == 1 else np.concatenate([objects, merged(objects)])

    def _views(self, frame: Image, box: Box, side: int) -> Tensor:
        """The frame, and mirrored where both are averaged."""
        image = self._tensor(frame, box, side)
        return torch.cat([image, image.flip(-1)]) if self.config.test_flip else image

    def _tensor(self, frame: Image, box: Box, side: int) -> Tensor:
        return frames_tensor([resample(frame, box, side)]).to(self.device, memory_format=torch.channels_last)


def _mean_view(maps: Tensor) -> Tensor:
    """Mean of what was found in a frame and, turned back, in its mirror image: views × … × width in, … × width out."""
    return (maps[0] + maps[1].flip(-1)) / 2 if len(maps) > 1 else maps[0]


def confidence(
    scores: Float[np.ndarray, "objects height width"], masks: Bool[np.ndarray, "objects height width"]
) -> Float[np.ndarray, "objects"]:
    """How sure each mask is: the mean over its pixels of 2p − 1, in 0..1; 0 for an empty mask."""
    sure = np.where(masks, np.clip(2 * scores - 1, 0, 1), 0).sum((1, 2), dtype=np.float64)
    return (sure / np.maximum(masks.sum((1, 2)), 1)).astype(np.float32)


def merged(objects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All objects as one: 1 × height × width."""
    return np.asarray(objects.any(0), np.bool_)[None]


def foreground_box(mask: NDArray[np.bool_], margin: float) -> Box | None:
    """The box to crop: around the mask, with the margin on each side, inside the frame; None if the mask is empty."""
    box = bounding_box(mask)
    return None if box is None else clip(grow(box, (margin,) * 4), mask.shape)


def search_region(mask: NDArray[np.bool_], margin: float | None) -> Box:
    """Where the foreground is looked for next: the whole frame, or with a margin the box around the mask."""
    box = None if margin is None else foreground_box(mask, margin)
    return box or (0, 0, *mask.shape)


def within(masks: Bool[np.ndarray, "objects height width"], reach: float) -> Bool[np.ndarray, "objects height width"]:
    """Each mask and all that is near it: within `reach` longer sides of its box; everything for an empty mask."""
    near = np.ones_like(masks)
    for mask, target in zip(masks, near, strict=True):
        box = bounding_box(mask)
        if box is not None:
            distance = cv2.distanceTransform(np.uint8(1) - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            target[...] = distance <= reach * max(box[2] - box[0], box[3] - box[1])
    return near


def paste(scores: NDArray[np.float32], box: Box, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Square score maps resized into their box of an otherwise empty frame: objects × height × width."""
    top, left, bottom, right = box
    result = np.zeros((len(scores), shape[0], shape[1]), np.float32)
    for target, score in zip(result, scores, strict=True):
        target[top:bottom, left:right] = cv2.resize(score, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    return result


def label(scores: NDArray[np.float32], object_ids: tuple[int, ...]) -> Image:
    """Each pixel to the object of the highest probability, or to the background (0) where none is above a half."""
    best = scores.argmax(0)
    ids = np.asarray(object_ids, np.uint8)[best]
    return np.where(np.take_along_axis(scores, best[None], 0)[0] > 0.5, ids, 0).astype(np.uint8)
