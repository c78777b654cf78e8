"""The inference of `rivals.cinm`: masks of a whole video, fused along the optical flow and refined by a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float

from rivals.cinm import SegmentConfig
from rivals.msk_network import MSKNetwork, dilated
from vos.geometry import Box, Image
from vos.samples import frames_tensor, masks_tensor

Flow = Float[np.ndarray, "side side 2"]
Scores = Float[np.ndarray, "side side"]

_TRUSTED = 0.01, 0.5
"""Share of the squared lengths, and squared pixels, that a flow there and back may differ by (choice; a usual rule)."""


def segment_whole(
    frames: Sequence[Image],
    objects: Sequence[Bool[np.ndarray, "objects height width"]],
    networks: Sequence[MSKNetwork],
    config: SegmentConfig,
    device: str,
) -> Iterator[Float[np.ndarray, "objects height width"]]:
    """Yield each frame's scores, from the masks of all frames; those of the first frame are true and stay.

    Each object has a network of its own, or there is one for all of them."""
    side, whole = networks[0].size, Box.whole(frames[0])
    images = [whole.cut(frame, side) for frame in frames]
    options = config.inference
    flows = neighbor_flows(images, options.reach) if options.iterations else {}
    scores = []
    for number in range(len(objects[0])):
        masks = [whole.cut(mask[number].astype(np.uint8), side, labels=True).astype(np.float32) for mask in objects]
        found, network = list(masks), networks[min(number, len(networks) - 1)]
        for _ in range(options.iterations):
            fused = fuse(found, masks, flows, options.temporal)
            rest = zip(images[1:], fused[1:], strict=True)
            found[1:] = [refined(image, one, network, config, device) for image, one in rest]
        scores.append(found)
    yield objects[0].astype(np.float32)
    for index in range(1, len(frames)):
        yield whole.placed(np.stack([found[index] for found in scores]), frames[0])


class WholeVideo:
    """Scores that are known of all frames, as the segmenter that yields them frame by frame."""

    def __init__(self, scores: Iterator[Float[np.ndarray, "objects height width"]]) -> None:
        self.scores = scores

    def start(self, frame: Image, objects: Bool[np.ndarray, "objects height width"]) -> None:  # noqa: ARG002  protocol
        """Pass over the scores of the given frame."""
        next(self.scores)

    def step(self, frame: Image) -> Float[np.ndarray, "objects height width"]:  # noqa: ARG002  protocol
        """Return the scores of the next frame."""
        return next(self.scores)


def fuse(
    masks: Sequence[Scores], own: Sequence[Scores], flows: dict[tuple[int, int], tuple[Flow, Scores]], temporal: float
) -> list[Scores]:
    """Return masks that are closest to a frame's `own` and to its neighbors', along the flow where it can be trusted.

    A pixel's energy is quadratic, so its best value is the mean of these with their weights: 1, and `temporal` for each
    neighbor. All frames are updated at once, but the first one, whose mask is true."""
    fused = [np.asarray(masks[0], np.float32)]
    for index in range(1, len(masks)):
        total, weight = own[index].copy(), np.ones_like(own[index])
        for (frame, neighbor), (flow, trusted) in flows.items():
            if frame == index:
                total += temporal * trusted * warped(masks[neighbor], flow)
                weight += temporal * trusted
        fused.append(np.asarray(total / weight, np.float32))
    return fused


def neighbor_flows(images: Sequence[Image], reach: int) -> dict[tuple[int, int], tuple[Flow, Scores]]:
    """Return the flow from each frame to those at most `reach` away, and 1 where flows there and back agree, else 0."""
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    count = len(images)
    pairs = [(i, j) for i in range(count) for j in range(max(0, i - reach), min(count, i + reach + 1)) if i != j]
    flows = {(i, j): np.asarray(method.calc(gray[i], gray[j], None), np.float32) for i, j in pairs}  # type: ignore[call-overload]
    return {(i, j): (flow, agreement(flow, flows[j, i])) for (i, j), flow in flows.items()}


def agreement(there: Flow, back: Flow) -> Scores:
    """Return 1 where a pixel comes back to about where it was, and its target lies in the image."""
    returned = np.stack([warped(back[..., axis], there) for axis in (0, 1)], -1)
    share, pixels = _TRUSTED
    lengths = (there**2).sum(-1) + (returned**2).sum(-1)
    rows, columns = np.indices(there.shape[:2])
    x, y = columns + there[..., 0], rows + there[..., 1]
    inside = (x >= 0) & (y >= 0) & (x <= there.shape[1] - 1) & (y <= there.shape[0] - 1)
    return (inside & (((there + returned) ** 2).sum(-1) <= share * lengths + pixels)).astype(np.float32)


def warped(values: Scores, flow: Flow) -> Scores:
    """Return the values where each pixel's flow leads."""
    rows, columns = np.indices(values.shape).astype(np.float32)
    places = columns + flow[..., 0], rows + flow[..., 1]
    return np.asarray(cv2.remap(values, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


@torch.inference_mode()
def refined(image: Image, fused: Scores, network: MSKNetwork, config: SegmentConfig, device: str) -> Scores:
    """Return the probabilities that MSK's network makes of a fused mask; an empty one stays empty."""
    solid = (fused > 0.5).astype(np.uint8)
    if not solid.any():
        return np.zeros_like(fused)
    kind = torch.device(device).type
    frame = frames_tensor([image]).to(device, memory_format=torch.channels_last)
    rough = masks_tensor([dilated(solid, config.refinement.dilation)]).to(device)
    with torch.autocast(kind, torch.bfloat16, enabled=config.amp and kind == "cuda"):
        logits = network(frame, rough)
    return np.asarray(torch.sigmoid(logits[0, 0].float()).cpu().numpy(), np.float32)
