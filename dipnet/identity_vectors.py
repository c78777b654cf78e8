"""Identity vectors of every object in every frame: what figure 7 of the paper shows, before and after training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dipnet.propagation import PropagationNetwork
from vos.geometry import Box
from vos.samples import frames_tensor
from vos.video import VOID, Video


def identity_vectors(
    network: PropagationNetwork, video: Video, device: str
) -> tuple[Float[np.ndarray, "n c"], Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Return vectors in (0, 1), the ids of their objects and the indices of their frames, in time order.

    They are computed from the true masks, not from segmented ones, so that they depend on the encoder only. Frames
    without truth and objects that are not visible give none. `network` is in evaluation mode on `device`."""
    vectors, objects, frames = [], [], []
    for index in range(len(video)):
        try:
            ids = video.mask(index)
        except LookupError:  # not every frame has truth (YouTube-Objects)
            continue
        small = Box.whole(ids).cut(ids, network.config.size, labels=True)
        visible = [i for i in video.object_ids if i != VOID and (small == i).any()]
        if not visible:
            continue
        frame = frames_tensor([Box.whole(ids).cut(video.frame(index), network.config.size)]).to(device)
        masks = torch.from_numpy(np.stack([small == i for i in visible]).astype(np.float32)[:, None]).to(device)
        vectors.append(_encode(network, frame, masks).cpu().numpy())
        objects += visible
        frames += [index] * len(visible)
    channels = network.encoder.channels[-1]
    found = np.concatenate(vectors) if vectors else np.zeros((0, channels), np.float32)
    return found, np.array(objects, np.int64), np.array(frames, np.int64)


def save_identities(path: Path, network: PropagationNetwork, video: Video, device: str) -> None:
    """Write an .npz with the arrays `vectors` (n × channels, float32), `objects` and `frames` (n, int64)."""
    vectors, objects, frames = identity_vectors(network, video, device)
    np.savez_compressed(path, vectors=vectors, objects=objects, frames=frames)


def _encode(network: PropagationNetwork, frame: Tensor, masks: Tensor) -> Tensor:
    with torch.inference_mode():
        return network.encode_identity(frame.expand(len(masks), -1, -1, -1), masks).float()
