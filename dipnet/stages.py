"""DIPNet as cached stages: train (each network, each training stage), tune (one-shot), segment, time.

What they do is `dipnet.stage_runs`; no other file here knows the harness. Configs of stages hold what changes their
result and nothing else, so that variants share what they have in common: an ω sweep shares both trained networks and
every one-shot tuned one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from dipnet.config import (
    ITERATIONS,
    CoarseConfig,
    DIPNetConfig,
    InferenceConfig,
    OneShotConfig,
    TimeConfig,
    TrainingConfig,
    iterations_of_objects,
)
from dipnet.served import describe
from dipnet.stage_configs import (
    IdentitiesConfig,
    PropagationTrainConfig,
    SegmentationTrainConfig,
    TuneConfig,
)
from harness.config import Same
from harness.errors import DataUnavailableError, StudyError
from harness.method import CellPlan, CellRequest, ServedNetwork
from harness.stage import Data, Resources, Stage


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
        read, inference, timed, timing = _read(Same(config), request.multi_object)
        before = request.once(read, lambda: _before(config, request))
        segment = {
            name: Stage(
                name="segment",
                label=f"segment {name}",
                run="dipnet.stage_runs:run_segment",
                config=inference,
                needs=before.needs[name],
                data=video,
                resources=before.resources,
            )
            for name, video in before.videos.items()
        }
        return CellPlan(
            segment=segment,
            timing=request.once(timing, lambda: _timing(config, timed, request, before.networks)),
            analyses=before.analyses,
            omitted=before.left_out,
        )

    def served_network(self, stage: Stage) -> ServedNetwork | None:
        """Return what describes the network that a training stage leaves; None for other stages."""
        network = describe(stage.run, stage.identity.config)
        return None if network is None else ServedNetwork(loader="dipnet.served", **network)


METHOD = DIPNet()


@lru_cache(maxsize=4096)
def _read(same: Same[DIPNetConfig], multi_object: bool) -> tuple[str, InferenceConfig, InferenceConfig, str]:
    """What is read before segmenting, how a video is segmented, how that is timed, and all that timing reads.

    ω is read by nothing but segmenting, and takes no time, so all ω share one measurement."""
    before = same.config.model_dump_json(exclude={"omega", "confident_omega"})
    inference = same.config.inference(multi_object=multi_object)
    timed = inference.model_copy(update={"omega": 0.95, "confident_omega": False})
    return before, inference, timed, before + timed.model_dump_json()


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What cells have in common that differ in how they segment."""

    networks: Mapping[str, Stage]
    needs: Mapping[str, Mapping[str, Stage]]
    """By sequence name."""

    videos: Mapping[str, Mapping[str, Data]]
    analyses: Mapping[str, Stage]
    left_out: tuple[str, ...]
    resources: Resources


def _before(config: DIPNetConfig, request: CellRequest) -> _Before:
    networks, left_out = _trained(config, request)
    one_shot = config.training == "one-shot" and "segmentation" in networks
    needs = {}
    for name in request.sequences:
        needs[name] = dict(networks)
        if one_shot:
            needs[name]["segmentation"] = _tune(config, request, name, networks["segmentation"], "frame")
            if config.crop or len(request.sequences[name].value.object_ids) > 1:
                needs[name]["objects"] = _tune(config, request, name, needs[name]["segmentation"], "objects")
    return _Before(
        networks=networks,
        needs=needs,
        videos={name: {"video": data} for name, data in request.sequences.items()},
        analyses=_analyses(config, request, networks),
        left_out=left_out,
        resources=Resources(gpus=min(request.gpus, 1)),
    )


def _trained(config: DIPNetConfig, request: CellRequest) -> tuple[dict[str, Stage], tuple[str, ...]]:
    """Both networks after the last training that config and data allow, and what was left out."""
    wanted = ["pretraining"] if config.training == "pretraining" else ["pretraining", "offline"]
    at_hand = {role: data for role in wanted if (data := request.training.get(role)) is not None}
    missing = [role for role in wanted if role not in at_hand]
    reasons = tuple(f"{WORDS[role]} left out: {request.missing.get(role, 'no data for it')}" for role in missing)
    if not at_hand:
        raise DataUnavailableError("; ".join(reasons))
    networks: dict[str, Stage] = {}
    for role, data in at_hand.items():
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
    weights, file = ("network", {}) if before else _weights(config.weights, backbone)
    # What the one network does not read must not make it train again.
    unread: dict[str, object] = (
        {"coarse": CoarseConfig(), "sizes": ()}
        if first
        else {"pair_window": 10, "pair_shift": 0.1, "pair_rotation": 15.0}
    )
    if not training.held_out:
        unread["validation_steps"] = TrainingConfig.model_fields["validation_steps"].default
    common: dict[str, Any] = {
        "training": training.model_copy(update=unread),
        "weights": weights,
        "seed": request.seed,
        "amp": config.amp,
    }
    apart = " (concat)" if first and config.propagation.identity_input == "concat" else ""
    return Stage(
        name="train",
        label=f"train {network}, {WORDS[role]} on {data.name}{apart}",
        run=f"dipnet.stage_runs:run_train_{network}",
        config=PropagationTrainConfig(propagation=config.propagation, **common)
        if first
        else SegmentationTrainConfig(
            segmentation=config.segmentation, coarse_size=config.propagation.coarse_size, **common
        ),
        needs={"before": before} if before else {},
        data={"videos": data, **file},
        resources=Resources(gpus=request.gpus),
    )


def _tune(
    config: DIPNetConfig, request: CellRequest, name: str, network: Stage, what: Literal["frame", "objects"]
) -> Stage:
    frame = what == "frame"
    read = "frame_iterations" if frame else iterations_of_objects(len(request.sequences[name].value.object_ids))
    unread = {key: OneShotConfig.model_fields[key].default for key in ITERATIONS if key != read}
    return Stage(
        name="tune",
        label=f"one-shot on the {'frame' if frame else 'crop' if config.crop else 'objects'} of {name}",
        run="dipnet.stage_runs:run_tune",
        config=TuneConfig(
            segmentation=config.segmentation,
            one_shot=config.one_shot.model_copy(update=unread),
            what=what,
            crop_margin=config.crop_margin if config.crop and not frame else None,
            coarse_size=config.propagation.coarse_size,
            seed=request.seed,
            amp=config.amp,
        ),
        needs={"network": network},
        data={"video": request.sequences[name]},
        resources=Resources(gpus=min(request.gpus, 1)),
    )


def _timing(
    config: DIPNetConfig, inference: InferenceConfig, request: CellRequest, networks: Mapping[str, Stage]
) -> Stage:
    """Timed on the video of median length."""
    lengths = {name: len(data.value) for name, data in request.sequences.items()}
    median = sorted(lengths, key=lambda name: (lengths[name], name))[len(lengths) // 2]
    one_shot = config.training == "one-shot" and config.phases != "propagation"
    return Stage(
        name="time",
        label=f"time {median}",
        run="dipnet.stage_runs:run_time",
        config=TimeConfig(
            inference=inference,
            one_shot=config.one_shot if one_shot else None,
            mean_frames=sum(lengths.values()) / len(lengths),
        ),
        needs=networks,
        data={"video": request.sequences[median]},
        resources=Resources(gpus=min(request.gpus, 1), exclusive=True),
        machine=request.machine,
    )


def _analyses(config: DIPNetConfig, request: CellRequest, networks: Mapping[str, Stage]) -> dict[str, Stage]:
    """`identities/before/<video>` and `identities/after/<video>`: shared by all variants of one propagation network."""
    if "identities" not in config.analyses or "propagation" not in networks:
        return {}
    weights, file = _weights(config.weights, config.propagation.backbone)
    return {
        f"identities/{network}/{name}": Stage(
            name="identities",
            label=f"identities {network} training in {name}",
            run="dipnet.stage_runs:run_identities",
            config=IdentitiesConfig(
                network=network,
                propagation=config.propagation,
                weights=weights if network == "before" else "network",
                seed=request.seed if network == "before" else 0,
            ),
            needs={} if network == "before" else {"propagation": networks["propagation"]},
            data={"video": data} | (file if network == "before" else {}),
            resources=Resources(gpus=min(request.gpus, 1)),
        )
        for network in ("before", "after")
        for name, data in request.sequences.items()
    }


def _weights(weights: str, backbone: str) -> tuple[str, dict[str, Data]]:
    """What a backbone starts from: `imagenet`, `none`, or `file` and that file."""
    if backbone == "mini" or weights in ("imagenet", "none"):
        return "none" if backbone == "mini" else weights, {}
    path = Path(weights).expanduser().absolute()
    if not path.is_file():
        raise StudyError(f"option weights: {path} is no file; expected a state dict, or `imagenet`, or `none`")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "file", {"weights": Data(name=path.name, digest=digest, value=path)}
