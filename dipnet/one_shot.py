"""One-shot fine-tuning of the segmentation network on the first frame of a test video (section 3.4)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from dipnet.config import OneShotConfig, OneShotPart
from dipnet.region import foreground_box
from dipnet.segmentation import SegmentationNetwork
from dipnet.train_segmentation import frame_objective
from vos.geometry import Box, Image, View
from vos.one_shot import fine_tune
from vos.optimization import TrainingRun
from vos.segment import merged


def fine_tune_on(
    part: OneShotPart,
    network: SegmentationNetwork,
    frame: Image,
    objects: Bool[np.ndarray, "objects height width"],
    config: OneShotConfig,
    margin: float | None,
    coarse_size: int,
    run: TrainingRun,
    steps: int | None = None,
) -> list[SegmentationNetwork]:
    """Return fine-tuned copies: one on the whole first `frame` with all objects as one, or one for each of `objects`.

    Those see the crop around the foreground, with that margin in sides of its box; with None the whole frame. `steps`
    replaces the config's."""
    on_frame = part == "frame"
    crop = None if on_frame or margin is None else foreground_box(merged(objects)[0], margin)
    steps = getattr(config, config.iterations_of(part, len(objects))) if steps is None else steps
    views = [
        View.cut(frame, mask.astype(np.uint8), crop or Box.whole(frame), 2 * network.config.size)
        for mask in (merged(objects) if on_frame else objects)
    ]
    return [
        fine_tune(network, view, config, steps, run, lambda tuned: frame_objective(tuned, config.coarse, coarse_size))
        for view in views
    ]
