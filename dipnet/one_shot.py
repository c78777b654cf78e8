"""One-shot fine-tuning of the segmentation network on the first frame of a test video (section 3.4)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from dipnet.config import OneShotConfig
from dipnet.region import foreground_box
from dipnet.segmentation import SegmentationNetwork
from dipnet.train_segmentation import frame_objective
from vos.geometry import Box, Image, View
from vos.one_shot import fine_tune
from vos.optimization import TrainingRun
from vos.segment import merged


def fine_tune_on_frame(
    network: SegmentationNetwork,
    frame: Image,
    objects: Bool[np.ndarray, "objects height width"],
    config: OneShotConfig,
    coarse_size: int,
    run: TrainingRun,
) -> SegmentationNetwork:
    """Return a copy fine-tuned on the whole first frame, with all objects as one."""
    view = View.cut(frame, merged(objects)[0].astype(np.uint8), Box.whole(frame), 2 * network.config.size)
    return _fine_tune(network, view, config, config.frame_iterations, coarse_size, run)


def fine_tune_on_objects(
    network: SegmentationNetwork,
    frame: Image,
    objects: Bool[np.ndarray, "objects height width"],
    config: OneShotConfig,
    margin: float | None,
    coarse_size: int,
    run: TrainingRun,
) -> list[SegmentationNetwork]:
    """Return copies fine-tuned further, one for each object.

    They see the crop around the foreground, with that margin in sides of its box; with None the whole frame.
    """
    crop = None if margin is None else foreground_box(merged(objects)[0], margin)
    steps, side = config.object_iterations(len(objects)), 2 * network.config.size
    views = [View.cut(frame, mask.astype(np.uint8), crop or Box.whole(frame), side) for mask in objects]
    return [_fine_tune(network, view, config, steps, coarse_size, run) for view in views]


def _fine_tune(
    network: SegmentationNetwork, view: View, config: OneShotConfig, steps: int, coarse_size: int, run: TrainingRun
) -> SegmentationNetwork:
    return fine_tune(
        network, view, config, steps, run, lambda tuned: frame_objective(tuned, config.coarse, coarse_size)
    )
