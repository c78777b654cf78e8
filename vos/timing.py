"""Seconds per frame as papers count them: one-shot fine-tuning spread over the video, plus segmenting a frame.

Off-line training is not counted. This reproduces the .70 and 1.09 of DIPNet's paper from its 40 s, 20 s and 110 ms."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vos.config import TimingConfig
from vos.segment import Segmenter, segment_video
from vos.video import Video


@dataclass(frozen=True)
class FineTuning:
    """One part of one-shot fine-tuning, to be timed: the steps that it takes, and what takes that many."""

    steps: int
    run: Callable[[int], object]


def measure_seconds(
    video: Video,
    segmenter: Segmenter,
    config: TimingConfig,
    device: str,
    fine_tuning: Sequence[FineTuning] = (),
    *,
    scale_up: bool = True,
) -> dict[str, Any]:
    """Return the seconds of one video, warmed up and synchronized, as `timing.json` holds them.

    The segmenter need not be fine-tuned. Fine-tuning is scaled up from `config.steps` steps, or else measured in full:
    where the loss decides how many steps there are, or features are computed before the first."""
    one_shot = 0.0
    if fine_tuning:
        fine_tuning[0].run(1)
    for part in fine_tuning:
        _synchronize(device)
        begin = time.perf_counter()
        part.run(config.steps if scale_up else part.steps)
        _synchronize(device)
        seconds = time.perf_counter() - begin
        one_shot += seconds / config.steps * part.steps if scale_up else seconds
    count = min(config.frames, len(video) - 2)
    masks = segment_video(video, segmenter)
    for _ in range(2):  # the given first frame, and one to warm up
        next(masks)
    _synchronize(device)
    begin = time.perf_counter()
    measured = sum(1 for _, _ in zip(range(count), masks, strict=False))
    _synchronize(device)
    per_frame = (time.perf_counter() - begin) / max(measured, 1)
    return {
        "seconds_per_frame": per_frame + one_shot / config.mean_frames,
        "inference_seconds_per_frame": per_frame,
        "one_shot_seconds_per_video": one_shot,
        "objects": len(video.object_ids),
    }


def _synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":  # `cuda:1` too
        torch.cuda.synchronize(device)
