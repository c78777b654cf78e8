"""Identity vectors of every object in every frame: what figure 7 of the paper shows, before and after training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dipnet.propagation import PropagationNetwork
from dipnet.samples import VOID, Video, frames_tensor
from dipnet.view import resample, whole


def identity_vectors(
    network: PropagationNetwork, video: Video, device: str
) -> tuple[Float[np.ndarray, "n c"], Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Vectors in (0, 1), ids of their objects and indices of their frames, in time order.

    From the truth, not from what was segmented, so that the encoder alone decides. Frames without truth and objects
    that are not to be seen give none. `network` in evaluation mode on `device`."""
    vectors, objects, frames = [], [], []
    for index in range(len(video)):
        try:
            ids = video.mask(index)
        except LookupError:  # not every frame has truth (YouTube-Objects)
            continue
        small = resample(ids, whole(ids), network.config.size, labels=True)
        seen = [i for i in video.object_ids if i != VOID and (small == i).any()]
        if not seen:
            continue
        frame = frames_tensor([resample(video.frame(index), whole(ids), network.config.size)]).to(device)
        masks = torch.from_numpy(np.stack([small == i for i in seen]).astype(np.float32)[:, None]).to(device)
        vectors.append(_encode(network, frame, masks).cpu().numpy())
        objects += seen
        frames += [index] * len(seen)
    channels = network.encoder.channels[-1]
    found = np.concatenate(vectors) if vectors else np.zeros((0, channels), np.float32)
    return found, np.array(objects, np.int64), np.array(frames, np.int64)


def save_identities(path: Path, network: PropagationNetwork, video: Video, device: str) -> None:
    """An .npz with the arrays `vectors` (n × channels, float32), `objects` and `frames` (n, int64)."""
    vectors, objects, frames = identity_vectors(network, video, device)
    np.savez_compressed(path, vectors=vectors, objects=objects, frames=frames)


def _encode(network: PropagationNetwork, frame: Tensor, masks: Tensor) -> Tensor:
    with torch.inference_mode():
        return network.encode_identity(frame.expand(len(masks), -1, -1, -1), masks).float()
