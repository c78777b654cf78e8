"""Bodies of the stages that network methods have in common, called by their run functions; planning needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.datasets.pixels import write_mask
from vos.config import TrainStageConfig
from vos.parts import part_task
from vos.segment import segment_video

if TYPE_CHECKING:
    from torch import nn

    from harness.stage import Task
    from vos.optimization import TrainingRun
    from vos.segment import Segmenter
    from vos.timing import FineTuning
    from vos.video import Video

T = TypeVar("T")


def run_training(task: Task, new: Callable[..., nn.Module], learn: Callable[..., None]) -> None:
    """Write `network.pt`, `curves.csv` and `throughput.json` of a training stage; each of several GPUs has a process.

    `new` makes the untrained network from `weights` and `seed`; `learn` trains it on `videos` with `config` and `run`.
    Both must be picklable."""
    import torch

    from vos.checkpoint import save_network
    from vos.parallel import own_device, process_group
    from vos.training import train_process

    config: TrainStageConfig = task.config
    training = partial(
        train_process,
        new=partial(new, weights=weights_of(task), seed=config.seed),
        learn=partial(learn, videos=task.data["videos"], config=config.training),
        before=task.needs["before"] / "network.pt" if "before" in task.needs else None,
        seed=config.seed,
        amp=config.amp,
        scratch=task.scratch,
        cpus=task.cpus,
    )
    processes = max(torch.cuda.device_count(), 1) if task.device == "cuda" else 1
    with process_group(processes, training, task.device, task.scratch / "meeting") as world:
        network, run = training(world, own_device(task.device, world), task.progress)
    save_network(network, task.folder / "network.pt")
    run.write_curve(task.folder / "curves.csv")
    (task.folder / "throughput.json").write_text(json.dumps(run.throughput, indent=1, sort_keys=True), encoding="utf-8")


def fine_tuning_run(task: Task) -> TrainingRun:
    """Return where a finetune stage trains; its config has `seed` and `amp`."""
    import torch

    from vos.optimization import TrainingRun

    torch.set_num_threads(task.cpus)
    seed, amp = task.config.seed, task.config.amp
    return TrainingRun.on(
        task.device, amp=amp, cpus=task.cpus, seed=seed, failures=task.scratch, progress=task.progress
    )


def run_segmenting(task: Task, load: Callable[[Task], T], make: Callable[[T, Task], Segmenter]) -> None:
    """Write `masks/<frame>.png` for every frame of the video, object ids as palette indices.

    `load` returns networks from the folders that a task needs, and `make` a segmenter of them: for this task, or if
    objects appear later for that of each part (`part_task`). Parts that need the same folders share the networks, so a
    segmenter must not change them."""
    import torch

    torch.set_num_threads(task.cpus)
    video: Video = task.data["video"]
    loaded: dict[tuple[tuple[str, Path], ...], T] = {}

    def segmenter(start: int) -> Segmenter:
        part = part_task(task, start)
        folders = tuple(sorted(part.needs.items()))
        if folders not in loaded:
            loaded[folders] = load(part)
        return make(loaded[folders], part)

    masks = segment_video(video, segmenter(0), segmenter)
    (task.folder / "masks").mkdir()
    for index, mask in enumerate(masks):
        write_mask(task.folder / "masks" / f"{video.frame_name(index)}.png", mask)
        task.progress((index + 1) / len(video), video.frame_name(index))


def run_timing(
    task: Task, segmenter: Segmenter, fine_tuning: Sequence[FineTuning] = (), *, scale_up: bool = True
) -> None:
    """Write `timing.json`: seconds per frame, fine-tuning included (`measure_seconds`)."""
    import torch

    from vos.timing import measure_seconds

    torch.set_num_threads(task.cpus)
    video, config = task.data["video"], task.config
    result = measure_seconds(video, segmenter, config, task.device, fine_tuning, scale_up=scale_up)
    text = json.dumps(result | {"threads": task.cpus}, indent=1, sort_keys=True)
    (task.folder / "timing.json").write_text(text, encoding="utf-8")


def weights_of(task: Task) -> str:
    """Return what a network starts from: an option of `IMAGENET`, `none` (also if it continues `before`), or a file.

    Raises WeightsError if the file is not the one that was planned with."""
    kind: str = task.config.weights
    return str(task.data["weights"].require()) if kind == "file" else "none" if kind == "network" else kind
