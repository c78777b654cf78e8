"""DIPNet as cached stages: train (each network, each training stage), tune (one-shot), segment, time.

The only file here that knows the harness. Configs of stages hold what changes their result and nothing else, so that
variants share what they have in common: an ω sweep shares both trained networks and every one-shot tuned one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from dipnet.config import (
    CoarseConfig,
    DIPNetConfig,
    InferenceConfig,
    OneShotConfig,
    Options,
    PropagationConfig,
    SegmentationConfig,
    TrainingConfig,
)
from dipnet.inference import Networks, segment_video
from dipnet.one_shot import tune_on_crop, tune_on_frame
from dipnet.propagation import PropagationNetwork
from dipnet.segmentation import SegmentationNetwork
from dipnet.train import (
    Run,
    new_propagation,
    new_segmentation,
    save_tensors,
    train_propagation,
    train_segmentation,
)
from harness.datasets.pixels import write_mask
from harness.errors import NotAtHand, StudyError
from harness.method import CellPlan, CellRequest
from harness.stage import Data, Resources, Stage

if TYPE_CHECKING:
    from harness.stage import Task


class TrainConfig(Options):
    """One training stage of one network."""

    propagation: PropagationConfig | None = None
    segmentation: SegmentationConfig | None = None
    training: TrainingConfig
    coarse_size: int | None = None
    weights: str
    """`imagenet`, `none`, or `file` for the one in the stage's data; `network` where the stage goes on from another."""

    seed: int
    amp: bool = False


class TuneConfig(Options):
    """One-shot fine-tuning on one video."""

    segmentation: SegmentationConfig
    one_shot: OneShotConfig
    where: Literal["frame", "crop"]
    apart: bool = False
    """On the frame: each object in turn besides all of them as one."""

    crop_margin: float | None = None
    coarse_size: int
    seed: int
    amp: bool = False


class TimeConfig(Options):
    """Seconds per frame of one variant."""

    inference: InferenceConfig
    one_shot: OneShotConfig | None
    """None without one-shot."""

    mean_frames: float
    """Of the benchmark's videos: what one-shot seconds are spread over."""

    frames: int = 8
    """Frames that are segmented for the measurement."""

    steps: int = 5
    """One-shot steps that are timed; the rest is scaled up from them."""


@dataclass(frozen=True)
class DIPNet:
    """The method that studies call `dipnet`."""

    label: str = "DIPNet"
    config: type[DIPNetConfig] = DIPNetConfig

    def plan(self, request: CellRequest) -> CellPlan:
        """Training stages that the data at hand allows, then tuning and segmenting of each video."""
        config = request.config
        if not isinstance(config, DIPNetConfig):
            raise StudyError(f"dipnet was given a config of {type(config).__name__}")
        inference = config.inference(multi_object=request.multi_object)
        networks, left_out = _trained(config, request)
        one_shot = config.training == "one-shot" and "segmentation" in networks
        segment = {}
        for name, data in request.sequences.items():
            needs = dict(networks)
            if one_shot:
                needs["segmentation"] = _tune(config, request, name, networks["segmentation"], "frame")
                if config.crop:
                    needs["crop"] = _tune(config, request, name, needs["segmentation"], "crop")
            segment[name] = Stage(
                name="segment",
                label=f"segment {name}",
                run="dipnet.stages:run_segment",
                config=inference,
                needs=needs,
                data={"video": data},
                resources=Resources(gpus=request.gpus),
            )
        return CellPlan(segment=segment, timing=_timing(config, request, networks), left_out=left_out)


METHOD = DIPNet()


def _trained(config: DIPNetConfig, request: CellRequest) -> tuple[dict[str, Stage], tuple[str, ...]]:
    """Both networks after the last training that config and data allow, and what was left out."""
    wanted = ["pretraining"] if config.training == "pretraining" else ["pretraining", "offline"]
    missing = [role for role in wanted if request.training.get(role) is None]
    reasons = tuple(f"{WORDS[role]} left out: {request.missing.get(role, 'no data for it')}" for role in missing)
    if missing == wanted:
        raise NotAtHand("; ".join(reasons) or "no training is asked for")
    networks: dict[str, Stage] = {}
    for role in wanted:
        if role in missing:
            continue
        data = request.training[role]
        if data is None:
            continue
        if config.phases != "segmentation":
            networks["propagation"] = _train("propagation", config, request, role, data, networks.get("propagation"))
        if config.phases != "propagation":
            networks["segmentation"] = _train("segmentation", config, request, role, data, networks.get("segmentation"))
    return networks, reasons


WORDS = {"pretraining": "pre-training", "offline": "off-line training"}


def _train(
    network: Literal["propagation", "segmentation"],
    config: DIPNetConfig,
    request: CellRequest,
    role: str,
    data: Data,
    before: Stage | None,
) -> Stage:
    first = network == "propagation"
    trainings = config.propagation_training if first else config.segmentation_training
    training: TrainingConfig = getattr(trainings, role)
    backbone = config.propagation.backbone if first else config.segmentation.backbone
    weights = "network" if before else _weights_kind(config.weights, backbone)
    inputs: dict[str, Data] = {"videos": data}
    if weights == "file":
        inputs["weights"] = _weights_file(config.weights)
    if not request.multi_object:
        training = training.model_copy(update={"foreground": 0.0})
    # What the one network does not read must not make it train again.
    unread = (
        {"coarse": CoarseConfig(), "sizes": ()}
        if first
        else {"pair_window": 10, "pair_shift": 0.1, "pair_rotation": 15.0}
    )
    return Stage(
        name="train",
        label=f"train {network}, {WORDS[role]} on {data.name}" + (" (concat)" if first and _concat(config) else ""),
        run="dipnet.stages:run_train_propagation" if first else "dipnet.stages:run_train_segmentation",
        config=TrainConfig(
            propagation=config.propagation if first else None,
            segmentation=None if first else config.segmentation,
            training=training.model_copy(update=unread),
            coarse_size=None if first else config.coarse_size,
            weights=weights,
            seed=request.seed,
            amp=config.amp,
        ),
        needs={"before": before} if before else {},
        data=inputs,
        resources=Resources(gpus=request.gpus),
    )


def _tune(
    config: DIPNetConfig, request: CellRequest, name: str, network: Stage, where: Literal["frame", "crop"]
) -> Stage:
    crop = where == "crop"
    unread: dict[str, int] = {"frame_iterations": 200} if crop else {"crop_iterations": 100, "instance_iterations": 200}
    if crop:
        unread |= {"instance_iterations": 200} if not request.multi_object else {"crop_iterations": 100}
        count = len(request.sequences[name].value.object_ids)
        if request.multi_object and count == 1:
            unread = {"frame_iterations": 200, "instance_iterations": 200}
    return Stage(
        name="tune",
        label=f"one-shot on the {where} of {name}",
        run="dipnet.stages:run_tune",
        config=TuneConfig(
            segmentation=config.segmentation,
            one_shot=config.one_shot.model_copy(update=unread),
            where=where,
            apart=not crop and not config.crop and len(request.sequences[name].value.object_ids) > 1,
            crop_margin=config.crop_margin if crop else None,
            coarse_size=config.coarse_size,
            seed=request.seed,
            amp=config.amp,
        ),
        needs={"network": network},
        data={"video": request.sequences[name]},
        resources=Resources(gpus=request.gpus),
    )


def _timing(config: DIPNetConfig, request: CellRequest, networks: Mapping[str, Stage]) -> Stage:
    """Timed on the video of median length; ω takes no time, so all ω share one measurement."""
    lengths = {name: len(data.value) for name, data in request.sequences.items()}
    median = sorted(lengths, key=lambda name: (lengths[name], name))[len(lengths) // 2]
    one_shot = config.training == "one-shot" and config.phases != "propagation"
    return Stage(
        name="time",
        label=f"time {median}",
        run="dipnet.stages:run_time",
        config=TimeConfig(
            inference=config.inference(multi_object=request.multi_object).model_copy(update={"omega": 0.95}),
            one_shot=config.one_shot if one_shot else None,
            mean_frames=sum(lengths.values()) / len(lengths),
        ),
        needs=networks,
        data={"video": request.sequences[median]},
        resources=Resources(gpus=request.gpus, exclusive=True),
        machine=request.machine,
    )


def _concat(config: DIPNetConfig) -> bool:
    return config.propagation.identity_input == "concat"


def _weights_kind(weights: str, backbone: str) -> str:
    if backbone == "mini":
        return "none"
    return weights if weights in ("imagenet", "none") else "file"


def _weights_file(weights: str) -> Data:
    path = Path(weights).expanduser().absolute()
    if not path.is_file():
        raise StudyError(f"option weights: {path} is no file; expected a state dict, or `imagenet`, or `none`")
    with path.open("rb") as file:
        return Data(name=path.name, digest=hashlib.file_digest(file, "sha256").hexdigest(), value=path)


def run_train_propagation(task: Task) -> None:
    """Writes `network.pt` and `curves.csv`."""
    config: TrainConfig = task.config
    run = _run(task, config.seed, config.amp)
    if config.propagation is None:
        raise ValueError("no propagation network is configured")
    network = new_propagation(config.propagation, _initial(task), config.seed)
    if "before" in task.needs:
        _load(network, task.needs["before"] / "network.pt")
    train_propagation(network, task.data["videos"], config.training, run)
    _save(network, task.folder / "network.pt")
    run.write_curve(task.folder / "curves.csv")


def run_train_segmentation(task: Task) -> None:
    """Writes `network.pt` and `curves.csv`."""
    config: TrainConfig = task.config
    run = _run(task, config.seed, config.amp)
    if config.segmentation is None or config.coarse_size is None:
        raise ValueError("no segmentation network is configured")
    network = new_segmentation(config.segmentation, _initial(task), config.seed)
    if "before" in task.needs:
        _load(network, task.needs["before"] / "network.pt")
    train_segmentation(network, task.data["videos"], config.training, config.coarse_size, run)
    _save(network, task.folder / "network.pt")
    run.write_curve(task.folder / "curves.csv")


def run_tune(task: Task) -> None:
    """Writes `network.pt`, or on the crop `network0.pt`, `network1.pt`, …: one for each object."""
    config: TuneConfig = task.config
    video, size = task.data["video"], config.coarse_size
    network = _segmentation(config.segmentation, task.needs["network"] / "network.pt", "cpu")
    run = _run(task, config.seed, config.amp, checkpoints=False)
    if config.where == "frame":
        tuned = tune_on_frame(network, video, config.one_shot, size, run, apart=config.apart)
        _save(tuned, task.folder / "network.pt")
        return
    networks = tune_on_crop(network, video, config.one_shot, config.crop_margin or 0.0, size, run)
    for number, tuned in enumerate(networks):
        _save(tuned, task.folder / f"network{number}.pt")


def run_segment(task: Task) -> None:
    """Writes `masks/<frame>.png` for every frame."""
    config: InferenceConfig = task.config
    torch.set_num_threads(task.cpus)
    video = task.data["video"]
    folder = task.folder / "masks"
    folder.mkdir()
    with torch.inference_mode():
        for index, mask in enumerate(segment_video(video, _networks(task, config), config, task.device)):
            write_mask(folder / f"{video.frame_name(index)}.png", mask)
            task.progress((index + 1) / len(video), video.frame_name(index))


def run_time(task: Task) -> None:
    """Writes `timing.json`: seconds per frame as the paper counts them (one-shot spread over the video)."""
    config: TimeConfig = task.config
    torch.set_num_threads(task.cpus)
    video, inference = task.data["video"], config.inference
    networks = _networks(task, inference)
    one_shot = 0.0
    if config.one_shot is not None and networks.frame_segmentation is not None:
        one_shot = _time_one_shot(task, config, networks.frame_segmentation)
    count = min(config.frames, len(video) - 1)
    with torch.inference_mode():
        masks = segment_video(video, networks, inference, task.device)
        for _ in range(2):  # the given first frame, and one to warm up
            next(masks)
        begin = time.perf_counter()
        measured = sum(1 for _, _ in zip(range(count - 1), masks, strict=False))
        _synchronise(task.device)
        per_frame = (time.perf_counter() - begin) / max(measured, 1)
    result = {
        "seconds_per_frame": per_frame + one_shot / config.mean_frames,
        "inference_seconds_per_frame": per_frame,
        "one_shot_seconds_per_video": one_shot,
        "video": video.name,
        "objects": len(video.object_ids),
        "threads": task.cpus,
    }
    (task.folder / "timing.json").write_text(json.dumps(result, indent=1, sort_keys=True))


def _time_one_shot(task: Task, config: TimeConfig, network: SegmentationNetwork) -> float:
    """Seconds of all one-shot steps of the timed video, scaled up from a few that are measured."""
    video, one_shot = task.data["video"], config.one_shot
    if one_shot is None:
        return 0.0
    size, margin = config.inference.coarse_size, config.inference.crop_margin
    few = one_shot.model_copy(
        update={"frame_iterations": config.steps, "crop_iterations": config.steps, "instance_iterations": config.steps}
    )
    warm = one_shot.model_copy(update={"frame_iterations": 1})
    objects = len(video.object_ids)
    apart = not config.inference.crop and objects > 1
    tune_on_frame(network, video, warm, size, _run(task, 0, config.inference.amp, checkpoints=False), apart=apart)
    begin = time.perf_counter()
    tune_on_frame(network, video, few, size, _run(task, 0, config.inference.amp, checkpoints=False), apart=apart)
    _synchronise(task.device)
    frame = (time.perf_counter() - begin) / config.steps
    total = frame * one_shot.frame_iterations
    if config.inference.crop:
        begin = time.perf_counter()
        run = _run(task, 0, config.inference.amp, checkpoints=False)
        tune_on_crop(network, video, few, margin, size, run)
        _synchronise(task.device)
        steps = one_shot.crop_iterations if objects == 1 else one_shot.instance_iterations
        total += (time.perf_counter() - begin) / config.steps * steps
    return total


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _run(task: Task, seed: int, amp: bool, *, checkpoints: bool = True) -> Run:
    torch.set_num_threads(task.cpus)
    scratch = task.scratch if checkpoints else None
    return Run(seed=seed, scratch=scratch, device=task.device, progress=task.progress, amp=amp)


def _initial(task: Task) -> str:
    kind: str = task.config.weights
    if kind == "file":
        return str(task.data["weights"])
    return "none" if kind == "network" else kind


def _networks(task: Task, config: InferenceConfig) -> Networks:
    propagation = None
    if config.propagation is not None:
        propagation = PropagationNetwork(config.propagation)
        _load(propagation, task.needs["propagation"] / "network.pt")
        propagation.to(task.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    if config.segmentation is None:
        return Networks(propagation, None)
    frame = _segmentation(config.segmentation, task.needs["segmentation"] / "network.pt", task.device)
    crops = [frame]
    if "crop" in task.needs:
        files = sorted(task.needs["crop"].glob("network*.pt"), key=lambda path: int(path.stem.removeprefix("network")))
        crops = [_segmentation(config.segmentation, file, task.device) for file in files]
    return Networks(propagation, frame, crops)


def _segmentation(config: SegmentationConfig, file: Path, device: str) -> SegmentationNetwork:
    network = SegmentationNetwork(config)
    _load(network, file)
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return network


def _load(network: torch.nn.Module, file: Path) -> None:
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))


def _save(network: torch.nn.Module, file: Path) -> None:
    save_tensors({key: value.cpu().contiguous() for key, value in network.state_dict().items()}, file)
