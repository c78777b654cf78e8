"""Run functions of DIPNet's stages; they import torch themselves, as planning reads their names only."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dipnet.config import (
    EndToEndConfig,
    FineTuneConfig,
    IdentitiesConfig,
    InferenceConfig,
    OneShotPart,
    PropagationTrainConfig,
    SegmentationTrainConfig,
    TimeConfig,
)
from vos.segment import first_objects
from vos.stage_runs import fine_tuning_run, run_segmenting, run_timing, run_training, weights_of

if TYPE_CHECKING:
    from harness.stage import Task


def run_train_propagation(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from dipnet.train_propagation import new_propagation, train_propagation

    config: PropagationTrainConfig = task.config
    learn = partial(train_propagation, first="before" not in task.needs)
    run_training(task, partial(new_propagation, config.propagation), learn)


def run_train_segmentation(task: Task) -> None:
    """Write `network.pt` and `curves.csv`."""
    from dipnet.train_segmentation import new_segmentation, train_segmentation

    config: SegmentationTrainConfig = task.config
    learn = partial(train_segmentation, coarse_size=config.coarse_size)
    run_training(task, partial(new_segmentation, config.segmentation), learn)


def run_finetune(task: Task) -> None:
    """Write `network.pt`, or for the objects `network0.pt`, `network1.pt`, …: one for each."""
    from dipnet.segmenter import load_segmentation
    from dipnet.train_segmentation import fine_tune_on
    from vos.checkpoint import save_network

    config: FineTuneConfig = task.config
    video, part, run = task.data["video"], config.what, fine_tuning_run(task)
    network = load_segmentation(config.segmentation, task.needs["network"] / "network.pt", "cpu")
    inputs = video.frame(0), first_objects(video), config.one_shot, config.crop_margin, config.coarse_size
    for number, tuned in enumerate(fine_tune_on(part, network, *inputs, run)):
        save_network(tuned, task.folder / f"network{'' if part == 'frame' else number}.pt")


def run_finetune_both(task: Task) -> None:
    """Write `network.pt`, the segmentation network, and `propagation.pt`."""
    import numpy as np

    from dipnet.segmenter import load_propagation, load_segmentation
    from dipnet.train_end_to_end import tune_both
    from vos.checkpoint import save_network
    from vos.segment import merged

    config: EndToEndConfig = task.config
    video, one_shot, run = task.data["video"], config.one_shot, fine_tuning_run(task)
    propagation = load_propagation(config.propagation, task.needs["propagation"] / "network.pt", "cpu")
    segmentation = load_segmentation(config.segmentation, task.needs["segmentation"] / "network.pt", "cpu")
    mask = merged(first_objects(video))[0].astype(np.uint8)
    tuned = tune_both(propagation, segmentation, video.frame(0), mask, one_shot, one_shot.frame_iterations, run)
    for network, name in zip(tuned, ("propagation", "network"), strict=True):
        save_network(network, task.folder / f"{name}.pt")


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from dipnet.segmenter import load_networks, make_segmenter

    config: InferenceConfig = task.config
    device = task.device
    run_segmenting(
        task,
        lambda part: load_networks(part.needs, config, device),
        lambda networks, _: make_segmenter(networks, config, device),
    )


def run_identities(task: Task) -> None:
    """Write `identities.npz`."""
    import torch

    from dipnet.identity_vectors import save_identities
    from dipnet.train_propagation import new_propagation
    from vos.checkpoint import load_network

    config: IdentitiesConfig = task.config
    torch.set_num_threads(task.cpus)
    network = new_propagation(config.propagation, weights_of(task), config.seed)
    if "propagation" in task.needs:
        load_network(network, task.needs["propagation"] / "network.pt")
    save_identities(task.folder / "identities.npz", network.to(task.device).eval(), task.data["video"], task.device)


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame as the paper counts them (one-shot spread over the video)."""
    from dipnet.segmenter import load_networks, load_segmentation, make_segmenter
    from dipnet.train_segmentation import fine_tune_on
    from vos.optimization import TrainingRun
    from vos.timing import FineTuning

    config: TimeConfig = task.config
    inference, one_shot, video = config.inference, config.one_shot, task.data["video"]
    networks = load_networks(task.needs, inference, task.device)
    segmenter = make_segmenter(networks, inference, task.device)
    if one_shot is None or inference.segmentation is None:
        return run_timing(task, segmenter)
    network = load_segmentation(inference.segmentation, task.needs["segmentation"] / "network.pt", task.device)
    frame, objects = video.frame(0), first_objects(video)
    margin = inference.crop_margin if inference.crop else None

    def tune(part: OneShotPart, steps: int) -> None:
        run = TrainingRun.on(task.device, amp=inference.amp, cpus=task.cpus, seed=0)
        fine_tune_on(part, network, frame, objects, one_shot, margin, inference.coarse_size, run, steps)

    parts: list[OneShotPart] = ["frame", "objects"] if inference.crop or len(objects) > 1 else ["frame"]
    phases = [
        FineTuning(getattr(one_shot, one_shot.iterations_of(part, len(objects))), partial(tune, part)) for part in parts
    ]
    run_timing(task, segmenter, phases, scale_up=not (one_shot.feature_views or one_shot.patience))
    return None
