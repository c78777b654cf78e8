"""Run functions of DIPNet's stages, each from its config, its data and the folders of the stages that it needs.

Torch is imported inside the functions: planning reads their names only, and torch takes seconds and half a gigabyte.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dipnet.config import InferenceConfig, OneShotConfig, TimeConfig
from dipnet.stage_configs import FineTuneConfig, IdentitiesConfig, PropagationTrainConfig, SegmentationTrainConfig
from vos.segment import first_objects
from vos.stage_runs import fine_tuning_run, run_segmenting, run_timing, run_training, weights_of

if TYPE_CHECKING:
    from dipnet.networks import Networks
    from harness.stage import Task
    from vos.timing import FineTuning


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
    from dipnet.networks import load_segmentation
    from dipnet.one_shot import fine_tune_on_frame, fine_tune_on_objects
    from vos.checkpoint import save_network

    config: FineTuneConfig = task.config
    video, size, run = task.data["video"], config.coarse_size, fine_tuning_run(task)
    first = video.frame(0), first_objects(video)
    network = load_segmentation(config.segmentation, task.needs["network"] / "network.pt", "cpu")
    if config.what == "frame":
        save_network(fine_tune_on_frame(network, *first, config.one_shot, size, run), task.folder / "network.pt")
        return
    tuned = fine_tune_on_objects(network, *first, config.one_shot, config.crop_margin, size, run)
    for number, network in enumerate(tuned):
        save_network(network, task.folder / f"network{number}.pt")


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame."""
    from dipnet.networks import load_networks
    from dipnet.segmenter import make_segmenter

    config: InferenceConfig = task.config
    run_segmenting(task, lambda: make_segmenter(load_networks(task.needs, config, task.device), config, task.device))


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
    network.to(task.device).eval()
    save_identities(task.folder / "identities.npz", network, task.data["video"], task.device)


def run_time(task: Task) -> None:
    """Write `timing.json`: seconds per frame as the paper counts them (one-shot spread over the video)."""
    from dipnet.networks import load_networks
    from dipnet.segmenter import make_segmenter

    config: TimeConfig = task.config
    networks = load_networks(task.needs, config.inference, task.device)
    one_shot = config.one_shot
    run_timing(
        task,
        lambda: make_segmenter(networks, config.inference, task.device),
        _fine_tuning(task, networks, one_shot) if one_shot else (),
        scale_up=one_shot is None or not (one_shot.feature_views or one_shot.patience),
    )


def _fine_tuning(task: Task, networks: Networks, one_shot: OneShotConfig) -> list[FineTuning]:
    """Return the parts of one-shot fine-tuning: on the frame, and on the objects if each has a network of its own."""
    from dipnet.one_shot import fine_tune_on_frame, fine_tune_on_objects
    from vos.optimization import TrainingRun
    from vos.timing import FineTuning

    network = networks.frame_segmentation
    if network is None:
        return []
    inference, video = task.config.inference, task.data["video"]
    frame, objects = video.frame(0), first_objects(video)
    margin = inference.crop_margin if inference.crop else None

    def setting(steps: int) -> tuple[OneShotConfig, TrainingRun]:
        names = ("frame_iterations", "crop_iterations", "instance_iterations")
        run = TrainingRun(seed=0, device=task.device, amp=inference.amp and task.device == "cuda")
        return one_shot.model_copy(update=dict.fromkeys(names, steps)), run

    def on_frame(steps: int) -> None:
        config, run = setting(steps)
        fine_tune_on_frame(network, frame, objects, config, inference.coarse_size, run)

    def on_objects(steps: int) -> None:
        config, run = setting(steps)
        fine_tune_on_objects(network, frame, objects, config, margin, inference.coarse_size, run)

    parts = [FineTuning(one_shot.frame_iterations, on_frame)]
    if inference.crop or len(objects) > 1:
        parts.append(FineTuning(one_shot.object_iterations(len(objects)), on_objects))
    return parts
