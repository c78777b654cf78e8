"""Bodies of the stages of a method of one network (`vos.one_network`), called by its run functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Bool
from torch import nn

from vos.checkpoint import for_inference, load_network, save_network
from vos.folding import fold_batch_norm
from vos.geometry import Image
from vos.optimization import TrainingRun
from vos.segment import Segmenter, first_objects
from vos.stage_runs import fine_tuning_run, run_segmenting, run_timing
from vos.timing import FineTuning

if TYPE_CHECKING:
    from harness.stage import Task
    from vos.one_network import TimeConfig

N = TypeVar("N", bound=nn.Module)
Objects = Bool[np.ndarray, "objects height width"]

MakeSegmenter = Callable[[Sequence[N], Any, str, bool], Segmenter]
"""Makes the segmenter from networks, the method's inference options, device and `amp`."""


class Tune(Protocol[N]):
    """Fine-tuning of one copy on some of the first frame's objects."""

    def __call__(self, network: N, frame: Image, objects: Objects, config: Any, steps: int, run: TrainingRun) -> N:
        """Return a copy of the network after `steps` steps; `config` is of the method's own class."""


def finetune(task: Task, new: Callable[..., N], tune: Tune[N], *, together: bool = False) -> None:
    """Write `network0.pt`, `network1.pt`, …: a copy for each object, or one for all of them together."""
    config = task.config
    video, run, (trained,) = task.data["video"], fine_tuning_run(task), networks_of(task, new, "cpu")
    for number, objects in enumerate(_groups(first_objects(video), together)):
        tuned = tune(trained, video.frame(0), objects, config.one_shot, config.one_shot.iterations, run)
        save_network(tuned, task.folder / f"network{number}.pt")


def segment(task: Task, new: Callable[..., N], make: MakeSegmenter[N], *, learns: bool = False) -> None:
    """Write `masks/<frame>.png` for every frame; `learns` says that the segmenter trains the networks, or copies."""
    config, device = task.config, task.device
    run_segmenting(
        task,
        lambda part: networks_of(part, new, device, folded=not learns),
        lambda networks, _: make(networks, config.inference, device, config.amp),
    )


def time(
    task: Task,
    new: Callable[..., N],
    make: MakeSegmenter[N],
    tune: Tune[N] | None = None,
    *,
    together: bool = False,
    learns: bool = False,
) -> None:
    """Write `timing.json`: seconds per frame as the papers count them (one-shot spread over the video)."""
    config: TimeConfig = task.config
    video, one_shot = task.data["video"], config.one_shot
    (network,) = networks_of(task, new, task.device, folded=not learns)
    if one_shot is None or tune is None:
        return run_timing(task, make([network], config.inference, task.device, config.amp))
    (trained,) = networks_of(task, new, task.device)
    groups = _groups(first_objects(video), together)
    run = TrainingRun.on(task.device, amp=config.amp, cpus=task.cpus, seed=0)
    steps_of = partial(_steps, tune, trained, video.frame(0), one_shot, run)
    return run_timing(
        task,
        make([network] * len(groups), config.inference, task.device, config.amp),
        [FineTuning(one_shot.iterations, partial(steps_of, objects)) for objects in groups],
        scale_up=not (one_shot.feature_views or one_shot.patience),
    )


def networks_of(task: Task, new: Callable[..., N], device: str, *, folded: bool = False) -> list[N]:
    """Return the networks of the stage that this one needs: the trained one, or its tuned copies in their order.

    With `folded`, batch norm is folded into convolutions, and the networks are not to be trained."""
    files = sorted(task.needs["network"].glob("network*.pt"), key=lambda file: (len(file.stem), file.stem))
    networks = (for_inference(load_network(new(**dict(task.config.network)), file), device) for file in files)
    return [fold_batch_norm(network) if folded else network for network in networks]


def _groups(objects: Objects, together: bool) -> list[Objects]:
    """Return the objects that each copy is tuned on."""
    return [objects] if together else [one[None] for one in objects]


def _steps(tune: Tune[N], network: N, frame: Image, config: Any, run: TrainingRun, objects: Objects, steps: int) -> N:
    return tune(network, frame, objects, config, steps, run)
