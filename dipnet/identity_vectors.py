"""Identity vectors of every object in every frame: what figure 7 of the paper shows, before and after training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dipnet.propagation import PropagationNetwork
from harness.datasets import VOID
from vos.geometry import Box
from vos.samples import frames_tensor
from vos.video import Video


@torch.inference_mode()
def save_identities(path: Path, network: PropagationNetwork, video: Video, device: str) -> None:
    """Write an .npz of identity `vectors` (n × channels, float32), ids of `objects` and indices of `frames` (n, int64).

    They come from the true masks, so that they depend on the encoder only. Frames without truth and objects that are
    not visible give none. `network` is in evaluation mode on `device`."""
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
        vectors.append(network.encode_identity(frame.expand(len(masks), -1, -1, -1), masks).float().cpu().numpy())
        objects += visible
        frames += [index] * len(visible)
    found = np.concatenate(vectors) if vectors else np.zeros((0, network.encoder.channels[-1]), np.float32)
    np.savez_compressed(path, vectors=found, objects=np.array(objects, np.int64), frames=np.array(frames, np.int64))
