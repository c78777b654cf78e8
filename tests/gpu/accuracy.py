"""Part c of the GPU check: networks trained on the packed train split in the time left, scored on the val split."""

from __future__ import annotations

import copy
import time
from functools import partial
from typing import Any

import torch

from dipnet.config import DIPNetConfig
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_propagation import new_propagation, train_propagation
from dipnet.train_segmentation import new_segmentation, train_segmentation
from harness.datasets import Sequence
from harness.score import SequenceScores, score_sequence, total
from tests.gpu.context import Context
from tests.gpu.sizes import scale_config, short_training
from tests.gpu.speed import LOADERS
from vos.checkpoint import for_inference
from vos.config import TrainingConfig
from vos.optimization import TrainingRun
from vos.segment import segment_video

SHARE_OF_TRAINING = 0.92
"""Share of a training's seconds for which its steps are planned: the rest is for the unexpected."""

SHARE_OF_PAPER = 0.6
"""Share of the time of the part that the networks of the paper's size get."""

FAREWELL = 4.0
"""Seconds before the end after which no further video is begun."""


def paper_scale(context: Context) -> None:
    """Train and score networks of the paper's size."""
    now = time.time()
    measure(context, context.size.config, now + SHARE_OF_PAPER * (context.until - now))


def light_scale(context: Context) -> None:
    """Train and score the networks of the scale `light`; at the tiny size, the tiny ones."""
    tiny = context.size.config.propagation.backbone == "mini"
    measure(context, context.size.config if tiny else scale_config("light"), context.until)


def measure(context: Context, config: DIPNetConfig, until: float) -> None:
    """Train both networks, segment the val split without fine-tuning, and score it video by video."""
    begun = time.time()
    backbones = {"propagation": config.propagation.backbone, "segmentation": config.segmentation.backbone}
    weights = {kind: context.weights(backbone) for kind, backbone in backbones.items()}
    height, width = context.benchmark[0].frame(0).shape[:2]
    context.note(
        resolution=f"{width}×{height}",
        weights=", ".join(
            f"{backbone} {'from scratch' if weights[kind] == 'none' else 'from ImageNet'}"
            for kind, backbone in backbones.items()
        ),
        fine_tuning="none",
    )
    options = config.model_copy(update={"amp": context.gpu}).inference(multi_object=False)
    untrained: dict[str, Any] = {
        "propagation": new_propagation(config.propagation, weights["propagation"], 0),
        "segmentation": new_segmentation(config.segmentation, weights["segmentation"], 0),
    }
    per_frame = _seconds_per_frame(context, untrained, options)
    frames = sum(len(sequence) - 1 for sequence in context.benchmark)
    left = until - time.time() - FAREWELL
    seconds = min(max(left - 1.15 * per_frame * frames, 0.3 * left) / 2, context.size.training)
    trained = {}
    for kind, network in untrained.items():
        training = short_training(kind, weights[kind], context.size.batch)
        learn: Any = train_propagation
        if kind == "segmentation":
            learn = partial(train_segmentation, coarse_size=config.propagation.coarse_size)
        trained[kind] = _train(context, kind, network, training, learn, seconds)
    segmentation = for_inference(trained["segmentation"], context.device)
    networks = Networks(for_inference(trained["propagation"], context.device), segmentation, [segmentation])
    context.note(seconds_before_scoring=time.time() - begun)
    _score(context, networks, options, until)


def _seconds_per_frame(context: Context, networks: dict[str, Any], options: Any) -> float:
    """Return the seconds of one frame, measured with copies of the untrained networks."""
    first, second = (for_inference(copy.deepcopy(networks[kind]), context.device) for kind in networks)
    segmenter = make_segmenter(Networks(first, second, [second]), options, context.device)
    masks = segment_video(context.benchmark[0], segmenter)
    next(masks)
    next(masks)
    return context.seconds(lambda: next(masks), min(3, len(context.benchmark[0]) - 2), 0)


class _TimeIsUpError(Exception):
    """The end of a training whose seconds are over."""


def _train(context: Context, kind: str, network: Any, training: TrainingConfig, learn: Any, seconds: float) -> Any:
    """Return the network after as many steps as fit, whose number follows from a few steps of a copy."""

    def run(progress: Any = lambda share, text: None) -> TrainingRun:
        return TrainingRun(seed=0, device=context.device, amp=context.gpu, loaders=LOADERS, progress=progress)

    def config(steps: int) -> TrainingConfig:
        return training.model_copy(update={"iterations": steps})

    trial = copy.deepcopy(network)
    some = 2 * context.size.steps
    more = {"first": False} if kind == "propagation" else {}  # no calibration
    learn(trial, context.training, config(2), run=run(), **more)
    begun = time.perf_counter()
    learn(trial, context.training, config(some), run=run(), **more)
    per_step = (time.perf_counter() - begun) / some
    del trial
    steps = max(2, int(SHARE_OF_TRAINING * seconds / per_step))
    end = time.time() + seconds

    def stop(share: float, _text: str) -> None:
        context.note(**{f"{kind}_steps": round(share * steps), f"{kind}_loss": last.curve[-1][1]})
        context.note(**{f"{kind}_{name}": value for name, value in last.throughput.items()})
        if time.time() > end:
            raise _TimeIsUpError

    last = run(stop)
    try:
        learn(network, context.training, config(steps), run=last)
    except _TimeIsUpError:
        context.note(**{f"{kind}_stopped_early": True})
    context.note(**{f"{kind}_seconds_per_step": per_step})
    return network


def _score(context: Context, networks: Networks, options: Any, until: float) -> None:
    """Score video after video, and report the means over those so far."""
    segmenter = make_segmenter(networks, options, context.device)
    scores: list[SequenceScores] = []
    copied: list[SequenceScores] = []
    frames, begun = 0, time.perf_counter()
    seconds = 0.0
    for number, sequence in enumerate(context.benchmark, start=1):
        if scores and time.time() + seconds > until - FAREWELL:
            break  # the figures say of how many videos they are
        start = time.perf_counter()
        masks = list(segment_video(sequence, segmenter))
        seconds = max(seconds, time.perf_counter() - start)
        frames += len(sequence) - 1
        scores.append(_scored(sequence, [masks[index] for index in sequence.scored]))
        copied.append(_scored(sequence, [masks[0]] * len(sequence.scored)))
        found, baseline = (total(some, "sequences") for some in (scores, copied))
        context.note(
            videos=f"{number} of {len(context.benchmark)}",
            J_mean=found["J_mean"],
            F_mean=found["F_mean"],
            first_mask_J_mean=baseline["J_mean"],
            first_mask_F_mean=baseline["F_mean"],
            seconds_per_frame=(time.perf_counter() - begun) / frames,
        )
        if context.gpu:
            torch.cuda.empty_cache()


def _scored(sequence: Sequence, masks: list[Any]) -> SequenceScores:
    """Return J and F at the packed resolution."""
    truth = (sequence.mask(index) for index in sequence.scored)
    return score_sequence(truth, masks, sequence.object_ids, name=sequence.name)
