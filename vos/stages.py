"""The stages that network methods have in common: pre-training → off-line training → finetune → segment → time.

A method calls these functions in its `plan` and gives each stage its run function, which calls those of
`vos.stage_runs`, and its config: what changes the result and nothing else, so that variants share stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from harness.errors import DataUnavailableError
from harness.files import sha256_of
from harness.method import CellRequest
from harness.stage import Data, Resources, Stage
from vos.config import TrainingConfig, with_defaults
from vos.parts import timed_part
from vos.weights import IMAGENET, WeightsError, WeightsFile, imagenet_file, require_tensors

T = TypeVar("T", bound=TrainingConfig)

CORES_PER_GPU = 4
"""CPU cores that a stage reserves per GPU: one issues its work, the others read and vary the next batches."""

ROLES = {"pretraining": "pre-training", "offline": "off-line training"}
"""Training stages in their order, and what people call them."""


def train_stages(
    request: CellRequest,
    last: str,
    weights: str,
    backbone: str,
    train: Callable[[str, Data, str], tuple[str, str, BaseModel]],
) -> tuple[Stage, tuple[str, ...]]:
    """Return the last training stage that option and data allow, and notes on the skipped ones.

    `last` is a role, or anything else for all of them. The first one starts from the option `weights`. `train` returns
    label, run function and config of a stage, whose data are `videos`, from its role, its data and what it starts from.
    Raises DataUnavailableError if there is no data for any of them, WeightsError as `initial_weights` does."""
    wanted = ["pretraining"] if last == "pretraining" else list(ROLES)
    stage, notes = None, []
    for role in wanted:
        if data := request.training.get(role):
            start, file = ("network", {}) if stage else initial_weights(weights, backbone)
            label, run, config = train(role, data, start)
            stage = Stage(
                name="train",
                label=label,
                run=run,
                config=config,
                needs={"before": stage} if stage else {},
                data={"videos": data, **file},
                resources=resources_of(request.gpus),
            )
        else:
            notes.append(f"{ROLES[role]} skipped: {request.missing.get(role, 'no data for it')}")
    if stage is None:
        raise DataUnavailableError("; ".join(notes))
    return stage, tuple(notes)


def relevant(training: T, *unread: str) -> T:
    """Return a training with the options at their defaults that its network does not read."""
    return with_defaults(training, unread if training.held_out else (*unread, "validation_steps"))


def initial_weights(option: str, backbone: str) -> tuple[str, dict[str, Data]]:
    """Return what a network starts from: an option of `IMAGENET`, `none`, or `file` and its data.

    Raises WeightsError for weights that the network cannot be started from: now, and not when it is trained."""
    if option == "imagenet":
        versions = " or ".join(f"`{version}`" for version in IMAGENET)
        raise WeightsError(f"weights {option!r}: torchvision has two versions; set the option `weights` to {versions}")
    if backbone == "mini" or option == "none":
        return "none", {}
    if option in IMAGENET:
        imagenet_file(option, backbone)
        return option, {}
    path = Path(option).expanduser().absolute()
    facts = path.stat() if path.is_file() else None
    digest = _checked(path, backbone, facts and (facts.st_size, facts.st_mtime_ns))
    return "file", {"weights": Data(name=path.name, digest=digest, value=WeightsFile(path, digest))}


@cache
def _checked(path: Path, backbone: str, _stamp: object) -> str:
    """Return the digest of a weights file that fits; a plan asks for every cell."""
    require_tensors(path)
    from vos.backbone import check_weights  # loads torch, which takes seconds

    check_weights(backbone, str(path))
    return sha256_of(path)


def video_stage(
    request: CellRequest,
    name: str,
    label: str,
    run: str,
    config: BaseModel,
    video: str,
    needs: Mapping[str, Stage],
    **data: Data,
) -> Stage:
    """Return a stage (`finetune`, `segment` or an analysis) on one sequence, the `video` of its data."""
    resources, inputs = resources_of(min(request.gpus, 1)), {"video": request.sequences[video], **data}
    return Stage(name=name, label=label, run=run, config=config, needs=needs, data=inputs, resources=resources)


def resources_of(gpus: float, *, exclusive: bool = False) -> Resources:
    """Return the resources of a stage on GPUs, with the CPU cores that keep them busy, or on one CPU core."""
    return Resources(cpus=max(1, round(CORES_PER_GPU * gpus)), gpus=gpus, exclusive=exclusive)


def mean_frames(request: CellRequest) -> float:
    """Return the mean number of frames of the sequences."""
    return sum(len(data.value) for data in request.sequences.values()) / len(request.sequences)


def time_stage(request: CellRequest, run: str, config: BaseModel, needs: Mapping[str, Stage], **data: Data) -> Stage:
    """Return the stage that times the method on the video of median length, with no other stage on its machine.

    Videos with objects that appear later are timed only if there are no others, and then with the objects of their
    first frame alone: nothing is counted for the later ones."""
    name, video = timed_part(request)
    return Stage(
        name="time",
        label=f"time {name}",
        run=run,
        config=config,
        needs=needs,
        data={"video": video, **data},
        resources=resources_of(min(request.gpus, 1), exclusive=True),
        machine=request.machine,
    )
