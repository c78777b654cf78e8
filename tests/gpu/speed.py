"""Part b of the GPU check: seconds and memory of the full-size networks and of the same in plain code."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch

from dipnet.config import OneShotPart
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_segmentation import fine_tune_on, frame_objective
from harness.datasets import Sequence
from harness.hardware import cores
from tests.gpu.context import Context, precision
from tests.gpu.networks import network_of, objective_of
from tests.gpu.plain import PlainSegmenter, contiguous, plain_step
from vos.config import OptimizerConfig, TimingConfig, TrainingConfig
from vos.folding import fold_batch_norm
from vos.geometry import Box, Image, View
from vos.optimization import Batch, Objective, TrainingRun, _backward, _Step, make_optimizer, optimize, set_mode
from vos.segment import first_objects, label
from vos.timing import FineTuning, measure_seconds

DAVIS_FRAMES = 1376 / 20
"""Mean length of a DAVIS 2016 val video, over which the paper spreads its fine-tuning."""

LOADERS = min(8, cores())


@dataclass(frozen=True)
class Strips:
    """A packed video at its real size, whose object is cut into strips: for seconds and memory, not for scores."""

    frames: tuple[Image, ...]
    ids: Image
    object_ids: tuple[int, ...]

    @classmethod
    def of(cls, sequence: Sequence, count: int, length: int, size: tuple[int, int] | None) -> Strips:
        """Return the first frames of a sequence with that many objects; fewer, if its object is too narrow."""
        height, width = size or sequence.frame(0).shape[:2]
        frames = [cv2.resize(sequence.frame(i % len(sequence)), (width, height)) for i in range(length)]
        mask = cv2.resize(sequence.mask(0), (width, height), interpolation=cv2.INTER_NEAREST)
        columns = np.flatnonzero((mask == 1).any(0))
        ids = np.zeros_like(mask)
        for number, part in enumerate(np.array_split(columns, count), start=1):
            ids[:, part] = np.where(mask[:, part] == 1, number, 0)
        kept = tuple(np.asarray(frame, np.uint8) for frame in frames)
        return cls(kept, np.asarray(ids, np.uint8), tuple(int(i) for i in np.unique(ids) if i))

    def __len__(self) -> int:
        return len(self.frames)

    def frame_name(self, index: int) -> str:
        """Return a name."""
        return f"{index:05d}"

    def frame(self, index: int) -> Image:
        """Return a frame."""
        return self.frames[index]

    def mask(self, index: int) -> Image:
        """Return the first frame's strips."""
        if index:
            raise LookupError(index)
        return self.ids


def propagation_steps(context: Context) -> None:
    """Time the training step of phase I."""
    _steps(context, "propagation", context.size.config.propagation_training.offline)


def segmentation_steps(context: Context) -> None:
    """Time the training step of phase II, at the network's own size."""
    training = context.size.config.segmentation_training.offline
    _steps(context, "segmentation", training.model_copy(update={"sizes": ()}))


def _steps(context: Context, kind: str, training: TrainingConfig) -> None:
    config, repeat = context.size.config, context.size.steps
    network = network_of(kind, config)
    objective = objective_of(kind, network, training, context.training, config)
    drawn = objective.draw(np.random.default_rng(0))
    for name in context.precisions:
        run = TrainingRun(seed=0, device=context.device, amp=name == "bf16" and context.gpu)
        with precision(name), context.peak() as peak:
            step = _step_of(context, network, objective, drawn, training, run)
            context.note(**{f"{name}_seconds": context.seconds(step, repeat), f"{name}_peak_gb": peak()})
            del step
    plain = contiguous(network)
    network.to("cpu")  # its weights are not to count for the plain code
    plain_objective = objective_of(kind, plain, training, context.training, config)
    optimizer = torch.optim.SGD(plain.parameters(), training.learning_rate, training.momentum)
    batch = {name: tensor.contiguous().to(context.device) for name, tensor in drawn.items()}
    with precision("fp32"), context.peak() as peak:
        plainly = partial(plain_step, plain, plain_objective, batch, optimizer)
        context.note(plain_fp32_seconds=context.seconds(plainly, max(repeat // 2, 1), 1), plain_fp32_peak_gb=peak())
    del plain, plain_objective, optimizer, batch, plainly
    numbers = iter(range(1000))
    draw = partial(_draw, objective, numbers)
    context.note(seconds_to_draw_a_batch=context.seconds(draw, max(repeat // 2, 1), 1))
    for threads in (0, LOADERS):
        run = TrainingRun(seed=0, device=context.device, amp=context.gpu, loaders=threads)
        work = partial(optimize, network, objective, training, repeat, run)
        context.note(**{f"bf16_seconds_with_{threads}_loaders": context.seconds(work, 1, 1) / repeat})


def _draw(objective: Objective, numbers: Any) -> Batch:
    return objective.draw(np.random.default_rng(next(numbers)))


def _step_of(
    context: Context, network: Any, objective: Objective, drawn: Batch, training: OptimizerConfig, run: TrainingRun
) -> Callable[[], object]:
    """Return a training step as `optimize` takes it, on a batch that is drawn already."""
    network.to(context.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, training)
    set_mode(network, training.batch_norm)
    module = _Step(network, objective)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        _backward(module, drawn, 1, run)
        optimizer.step()

    return step


def one_object(context: Context) -> None:
    """Time both passes for one object."""
    _frames(context, 1)


def three_objects(context: Context) -> None:
    """Time both passes for three objects."""
    _frames(context, 3)


def ten_objects(context: Context) -> None:
    """Time both passes for ten objects."""
    _frames(context, 10)


def _frames(context: Context, objects: int) -> None:
    """Time DIPNet and, without the crop, DIPNet*; compare the plain code's masks with the project's."""
    count = context.size.frames
    video = Strips.of(context.benchmark[0], objects, count + 1, context.size.frame)
    loaded = context.networks(context.size.config)
    assert loaded.propagation is not None
    assert loaded.frame_segmentation is not None
    each = [copy.deepcopy(loaded.frame_segmentation) for _ in video.object_ids]  # as fine-tuning leaves one for each
    plain = Networks(loaded.propagation, loaded.frame_segmentation, each)
    frozen, *copies = (fold_batch_norm(copy.deepcopy(one)) for one in (loaded.frame_segmentation, *each))
    networks = Networks(fold_batch_norm(copy.deepcopy(loaded.propagation)), frozen, copies)
    context.note(objects=len(video.object_ids), frame=f"{video.ids.shape[1]}×{video.ids.shape[0]}")
    for title, crop in (("dipnet", True), ("without_crop", False)):
        config = context.size.config.model_copy(update={"crop": crop}).inference(multi_object=objects > 1)
        masks: dict[str, list[Image]] = {}
        for name in (*context.precisions, "plain"):
            with precision("fp32" if name in ("fp32", "plain") else "tf32"), context.peak() as peak:
                options = config.model_copy(update={"amp": name == "bf16"})
                made: Any = PlainSegmenter if name == "plain" else make_segmenter
                segmenter = made(plain if name == "plain" else networks, options, context.device)
                some = max(count // 2, 1) if name == "plain" else count
                segmenter.start(video.frame(0), first_objects(video))
                segmenter.step(video.frame(1))  # warms up
                segmenter.start(video.frame(0), first_objects(video))
                steps, masks[name] = iter(range(1, count + 1)), []
                work = partial(_segment, segmenter, video, steps, masks[name])
                seconds = context.seconds(work, some, 0)
                context.note(**{f"{title}_{name}_seconds": seconds, f"{title}_{name}_peak_gb": peak()})
        pairs = zip(masks["fp32"], masks["plain"], strict=False)
        differing = float(np.mean([one != other for one, other in pairs]))
        context.note(**{f"{title}_plain_pixels_differ": differing})
        limit = 0.05 if objects == 1 else 0.1  # objects of untrained networks are almost tied in many pixels
        context.require(differing < limit, f"{title}: {differing:.2%} of the plain code's pixels differ")


def _segment(segmenter: Any, video: Strips, steps: Any, masks: list[Image]) -> None:
    masks.append(label(segmenter.step(video.frame(next(steps))), video.object_ids))


def one_shot(context: Context) -> None:
    """Time fine-tuning on the first frame, and state seconds per frame as the paper does."""
    config = context.size.config
    video = Strips.of(context.benchmark[0], 1, context.size.frames + 2, context.size.frame)
    networks = context.networks(config)
    network, frame, objects = networks.frame_segmentation, video.frame(0), first_objects(video)
    assert network is not None
    timing = TimingConfig(mean_frames=DAVIS_FRAMES, frames=context.size.frames, steps=min(5, context.size.steps))
    coarse = config.propagation.coarse_size
    for name in context.precisions[-2:]:
        run = TrainingRun(seed=0, device=context.device, amp=name == "bf16" and context.gpu, loaders=LOADERS)

        def tune(part: OneShotPart, steps: int, run: TrainingRun = run) -> None:
            fine_tune_on(part, network, frame, objects, config.one_shot, config.crop_margin, coarse, run, steps)

        for title, crop in (("dipnet", True), ("without_crop", False)):
            parts: list[OneShotPart] = ["frame", "objects"] if crop else ["frame"]
            phases = [
                FineTuning(getattr(config.one_shot, config.one_shot.iterations_of(part, 1)), partial(tune, part))
                for part in parts
            ]
            options = config.model_copy(update={"crop": crop, "amp": name == "bf16"}).inference(multi_object=False)
            segmenter = make_segmenter(networks, options, context.device)
            with precision(name), context.peak() as peak:
                found = measure_seconds(video, segmenter, timing, context.device, phases)
                context.note(
                    **{
                        f"{title}_{name}_seconds_per_frame": found["seconds_per_frame"],
                        f"{title}_{name}_one_shot_seconds": found["one_shot_seconds_per_video"],
                        f"{title}_{name}_peak_gb": peak(),
                    }
                )
    view = View.cut(frame, objects[0].astype(np.uint8), Box.whole(frame), config.segmentation.size)
    _plain_one_shot(context, network, view)


def _plain_one_shot(context: Context, network: Any, view: View) -> None:
    """Time a step of the plain code on the whole frame, and scale it up to the paper's number of steps."""
    config = context.size.config
    plain = contiguous(network)
    objective = frame_objective(plain, config.one_shot.coarse, config.propagation.coarse_size).of_views(
        lambda rng: [view] * config.one_shot.batch
    )
    drawn = objective.draw(np.random.default_rng(0))
    batch = {name: tensor.contiguous().to(context.device) for name, tensor in drawn.items()}
    optimizer = torch.optim.SGD(plain.parameters(), config.one_shot.learning_rate, config.one_shot.momentum)
    with precision("fp32"), context.peak() as peak:
        step = partial(plain_step, plain, objective, batch, optimizer)
        seconds = context.seconds(step, min(4, context.size.steps), 1)
        steps = config.one_shot.frame_iterations
        context.note(plain_fp32_seconds_for_the_frame_steps=seconds * steps, plain_fp32_peak_gb=peak())
