"""Matching of frames by their features: cells of a frame take the labels of the most similar cells of a reference.

A cell is a position of a feature map. Its label is the share of its area that each object, and last the background,
covers."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from vos.geometry import Box, Image
from vos.samples import area_truth


def votes(
    cells: Float[Tensor, "cells channels"],
    reference: Float[Tensor, "known channels"],
    labels: Float[Tensor, "known classes"],
    neighbors: int,
) -> Float[Tensor, "cells classes"]:
    """Return the mean label of each cell's nearest reference cells, by the cosine of their features.

    With labels of 0 and 1 a class has the majority of two if its mean is above one half."""
    similarity = functional.normalize(cells, dim=1) @ functional.normalize(reference, dim=1).T
    nearest = similarity.topk(min(neighbors, len(reference)), dim=1).indices
    return labels[nearest].mean(1)


def vote_scores(
    found: Float[Tensor, "cells classes"], size: tuple[int, int], frame: Image
) -> Float[np.ndarray, "objects height width"]:
    """Return object / (object + background) at each pixel of a frame, from the votes of its rows × columns cells.

    The highest vote wins, the background's among them."""
    maps = found.T.reshape(-1, *size).float().cpu().numpy()
    shares = Box.whole(frame).placed(maps, frame)
    return np.asarray(shares[:-1] / np.maximum(shares[:-1] + shares[-1], 1e-6), np.float32)


def rows_of(maps: Float[Tensor, "channels height width"]) -> Float[Tensor, "cells channels"]:
    """Return maps as one row per cell."""
    return maps.flatten(1).T


def first_labels(
    objects: Bool[np.ndarray, "objects height width"], size: tuple[int, int]
) -> Float[Tensor, "cells classes"]:
    """Return the label of each of a frame's rows × columns cells from the masks of its objects."""
    truth = torch.from_numpy(objects.astype(np.float32))[None]
    return rows_of(class_shares(truth, torch.ones_like(truth[:, :1]), size)[0][0])


def class_shares(
    truth: Float[Tensor, "n objects h w"], known: Float[Tensor, "n 1 h w"], size: tuple[int, int]
) -> tuple[Float[Tensor, "n classes H W"], Float[Tensor, "n 1 H W"]]:
    """Return the share of each cell's known area that each object, and last the background, covers, and what is known.

    `truth` and `known` are as `area_truth` takes them."""
    shares, known = area_truth(truth, known, size)
    return torch.cat([shares, 1 - shares.sum(1, keepdim=True)], 1), known
