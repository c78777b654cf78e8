"""Seconds per frame as the paper counts them: one-shot tuning spread over the video, plus segmenting a frame.

Off-line training is left out. Reproduces the paper's .70 and 1.09 from its 40 s, 20 s and 110 ms (section 4.1)."""

from __future__ import annotations

import time
from typing import Any

import torch

from dipnet.config import ITERATIONS, OneShotConfig, TimeConfig, iterations_of_objects
from dipnet.inference import segment_video
from dipnet.model import Networks
from dipnet.one_shot import tune_on_frame, tune_on_objects
from dipnet.optimise import Run
from dipnet.samples import Video
from dipnet.segmentation import SegmentationNetwork


def measure_seconds(video: Video, networks: Networks, config: TimeConfig, device: str) -> dict[str, Any]:
    """Seconds of one video, warmed up and synchronised. `networks`: trained, not tuned."""
    one_shot = 0.0
    if config.one_shot is not None and networks.frame_segmentation is not None:
        one_shot = _one_shot_seconds(video, networks.frame_segmentation, config, device)
    count = min(config.frames, len(video) - 2)
    with torch.inference_mode():
        masks = segment_video(video, networks, config.inference, device)
        for _ in range(2):  # the given first frame, and one to warm up
            next(masks)
        _synchronise(device)
        begin = time.perf_counter()
        measured = sum(1 for _, _ in zip(range(count), masks, strict=False))
        _synchronise(device)
        per_frame = (time.perf_counter() - begin) / max(measured, 1)
    return {
        "seconds_per_frame": per_frame + one_shot / config.mean_frames,
        "inference_seconds_per_frame": per_frame,
        "one_shot_seconds_per_video": one_shot,
        "objects": len(video.object_ids),
    }


def _one_shot_seconds(video: Video, network: SegmentationNetwork, config: TimeConfig, device: str) -> float:
    """Seconds of all one-shot steps: scaled up from a few that are measured, or all of them measured where the loss
    decides how many there are or features are computed before the first."""
    one_shot, steps, inference = config.one_shot, config.steps, config.inference
    if one_shot is None:
        return 0.0
    few = one_shot.model_copy(update=dict.fromkeys(ITERATIONS, steps))
    warm = one_shot.model_copy(update=dict.fromkeys(ITERATIONS, 1))
    whole = bool(one_shot.feature_views) or one_shot.patience is not None
    size, objects = inference.coarse_size, len(video.object_ids)

    def on_frame(schedule: OneShotConfig) -> float:
        begin = time.perf_counter()
        tune_on_frame(network, video, schedule, size, _run(device, amp=inference.amp))
        _synchronise(device)
        return time.perf_counter() - begin

    on_frame(warm)
    total = on_frame(one_shot) if whole else on_frame(few) / steps * one_shot.frame_iterations
    if inference.crop or objects > 1:
        margin = inference.crop_margin if inference.crop else None
        schedule = one_shot if whole else few
        begin = time.perf_counter()
        tune_on_objects(network, video, schedule, margin, size, _run(device, amp=inference.amp))
        _synchronise(device)
        seconds = time.perf_counter() - begin
        total += seconds if whole else seconds / steps * getattr(one_shot, iterations_of_objects(objects))
    return total


def _run(device: str, *, amp: bool) -> Run:
    return Run(seed=0, device=device, amp=amp and device == "cuda")


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
