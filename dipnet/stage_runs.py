"""What DIPNet's stages do, each from its config, its data and the folders of the stages that it needs.

Torch is imported inside of the functions: planning reads this file's name only, and torch takes seconds and half a
gigabyte."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dipnet.config import InferenceConfig, TimeConfig
from dipnet.stage_configs import (
    IdentitiesConfig,
    PropagationTrainConfig,
    SegmentationTrainConfig,
    TrainConfig,
    TuneConfig,
)
from harness.datasets.pixels import write_mask

if TYPE_CHECKING:
    from torch import nn

    from harness.stage import Task


def run_train_propagation(task: Task) -> None:
    """Writes `network.pt` and `curves.csv`."""
    from dipnet.train_propagation import new_propagation, train_propagation

    config: PropagationTrainConfig = task.config
    learn = partial(train_propagation, first="before" not in task.needs)
    _run_training(task, partial(new_propagation, config.propagation), learn)


def run_train_segmentation(task: Task) -> None:
    """Writes `network.pt` and `curves.csv`."""
    from dipnet.train_segmentation import new_segmentation, train_segmentation

    config: SegmentationTrainConfig = task.config
    learn = partial(train_segmentation, coarse_size=config.coarse_size)
    _run_training(task, partial(new_segmentation, config.segmentation), learn)


def _run_training(task: Task, new: Callable[..., nn.Module], learn: Callable[..., None]) -> None:
    """With several GPUs, each has a process of its own."""
    import torch

    from dipnet.model import save_network
    from dipnet.parallel import own_device, together
    from dipnet.train import Training

    config: TrainConfig = task.config
    training = Training(
        new=partial(new, weights=_initial(task), seed=config.seed),
        learn=partial(learn, videos=task.data["videos"], config=config.training),
        before=task.needs["before"] / "network.pt" if "before" in task.needs else None,
        seed=config.seed,
        amp=config.amp,
        scratch=task.scratch,
        cpus=task.cpus,
    )
    processes = max(torch.cuda.device_count(), 1) if task.device == "cuda" else 1
    with together(processes, training, task.device, task.scratch / "meeting") as world:
        network, run = training(world, own_device(task.device, world), task.progress)
    save_network(network, task.folder / "network.pt")
    run.write_curve(task.folder / "curves.csv")


def run_tune(task: Task) -> None:
    """Writes `network.pt`, or for the objects `network0.pt`, `network1.pt`, …: one for each."""
    import torch

    from dipnet.model import load_segmentation, save_network
    from dipnet.one_shot import tune_on_frame, tune_on_objects
    from dipnet.optimise import Run

    config: TuneConfig = task.config
    video, size = task.data["video"], config.coarse_size
    network = load_segmentation(config.segmentation, task.needs["network"] / "network.pt", "cpu")
    torch.set_num_threads(task.cpus)
    amp = config.amp and task.device == "cuda"
    run = Run(seed=config.seed, failures=task.scratch, device=task.device, progress=task.progress, amp=amp)
    if config.what == "frame":
        tuned = tune_on_frame(network, video, config.one_shot, size, run)
        save_network(tuned, task.folder / "network.pt")
        return
    networks = tune_on_objects(network, video, config.one_shot, config.crop_margin, size, run)
    for number, tuned in enumerate(networks):
        save_network(tuned, task.folder / f"network{number}.pt")


def run_segment(task: Task) -> None:
    """Writes `masks/<frame>.png` for every frame."""
    import torch

    from dipnet.inference import segment_video
    from dipnet.model import load_networks

    config: InferenceConfig = task.config
    torch.set_num_threads(task.cpus)
    video = task.data["video"]
    folder = task.folder / "masks"
    folder.mkdir()
    with torch.inference_mode():
        for index, mask in enumerate(
            segment_video(video, load_networks(task.needs, config, task.device), config, task.device)
        ):
            write_mask(folder / f"{video.frame_name(index)}.png", mask)
            task.progress((index + 1) / len(video), video.frame_name(index))


def run_identities(task: Task) -> None:
    """Writes `identities.npz`."""
    import torch

    from dipnet.identities import save_identities
    from dipnet.model import load_network
    from dipnet.train_propagation import new_propagation

    config: IdentitiesConfig = task.config
    torch.set_num_threads(task.cpus)
    network = new_propagation(config.propagation, _initial(task), config.seed)
    if "propagation" in task.needs:
        load_network(network, task.needs["propagation"] / "network.pt")
    network.to(task.device).eval()
    save_identities(task.folder / "identities.npz", network, task.data["video"], task.device)


def run_time(task: Task) -> None:
    """Writes `timing.json`: seconds per frame as the paper counts them (one-shot spread over the video)."""
    import torch

    from dipnet.model import load_networks
    from dipnet.timing import measure_seconds

    config: TimeConfig = task.config
    torch.set_num_threads(task.cpus)
    networks = load_networks(task.needs, config.inference, task.device)
    result = measure_seconds(task.data["video"], networks, config, task.device)
    (task.folder / "timing.json").write_text(json.dumps(result | {"threads": task.cpus}, indent=1, sort_keys=True))


def _initial(task: Task) -> str:
    kind: str = task.config.weights
    if kind == "file":
        return str(task.data["weights"])
    return "none" if kind == "network" else kind
