"""DIPNet as cached stages: train (each network, each training stage), finetune (one-shot), segment, time.

An ω sweep shares both trained networks and every fine-tuned one, as their configs do not hold ω."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel

from dipnet.config import (
    DIPNetConfig,
    EndToEndConfig,
    FineTuneConfig,
    IdentitiesConfig,
    InferenceConfig,
    OneShotConfig,
    OneShotPart,
    PropagationTrainConfig,
    SegmentationTrainConfig,
    TimeConfig,
)
from dipnet.mlflow_model import describe
from harness.config import Same
from harness.method import CellPlan, CellRequest, ServedNetwork
from harness.stage import Data, Stage
from vos.config import with_defaults
from vos.parts import by_part, joined
from vos.stages import ROLES, initial_weights, mean_frames, relevant, time_stage, train_stages, video_stage

RUNS = "dipnet.stage_runs:run_"


@dataclass(frozen=True)
class DIPNet:
    """The method that studies call `dipnet`."""

    label: str = "DIPNet"
    config: type[DIPNetConfig] = DIPNetConfig

    def card(self, config: BaseModel) -> Mapping[str, str]:
        """Return what a reader of a comparison asks, as title → text; the networks are built for that."""
        from dipnet.card import method_card

        assert isinstance(config, DIPNetConfig)
        return method_card(config)

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan the training stages for which there is data, then fine-tuning and segmenting of each video."""
        config = request.config
        assert isinstance(config, DIPNetConfig)
        read, inference, timed, timing = _read(Same(config), request.multi_object)
        before = request.once(read, lambda: _before(config, request))
        segment = {
            name: video_stage(request, "segment", f"segment {name}", f"{RUNS}segment", inference, name, needs)
            for name, needs in before.needs.items()
        }
        return CellPlan(
            segment=segment,
            timing=request.once(timing, lambda: _timing(config, timed, request, before.networks)),
            analyses=before.analyses,
            omitted=before.skipped,
        )

    def served_network(self, stage: Stage) -> ServedNetwork | None:
        """Return what describes the network that a training stage leaves; None for other stages."""
        network = describe(stage.run, stage.identity.config)
        return None if network is None else ServedNetwork(loader="dipnet.mlflow_model", **network)


METHOD = DIPNet()


@lru_cache(maxsize=4096)
def _read(same: Same[DIPNetConfig], multi_object: bool) -> tuple[str, InferenceConfig, InferenceConfig, str]:
    """Return what is read before segmenting, the configs of segmenting and timing, and all that timing reads: no ω."""
    before = same.config.model_dump_json(exclude={"omega", "confident_omega"})
    inference = same.config.inference(multi_object=multi_object)
    timed = with_defaults(inference, ("omega", "confident_omega"))
    return before, inference, timed, before + timed.model_dump_json()


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What cells have in common that differ only in how they segment; `needs` of segmenting by the sequence's name."""

    networks: Mapping[str, Stage]
    needs: Mapping[str, Mapping[str, Stage]]
    analyses: Mapping[str, Stage]
    skipped: tuple[str, ...]


def _before(config: DIPNetConfig, request: CellRequest) -> _Before:
    networks: dict[str, Stage] = {}
    skipped: tuple[str, ...] = ()
    if config.phases != "segmentation":
        networks["propagation"], skipped = _trained("propagation", config, request)
    if config.phases != "propagation":
        networks["segmentation"], skipped = _trained("segmentation", config, request)
    parts, needs = by_part(request), {}
    for name, data in parts.sequences.items():
        needs[name] = dict(networks)
        if config.training in ("one-shot", "end-to-end") and "segmentation" in networks:
            if config.training == "end-to-end":
                needs[name]["propagation"] = tuned = _finetune_both(config, parts, name, networks)
            else:
                tuned = _finetune(config, parts, name, networks["segmentation"], "frame")
            needs[name]["segmentation"] = tuned
            if config.crop or len(data.value.object_ids) > 1:
                needs[name]["objects"] = _finetune(config, parts, name, tuned, "objects")
    analyses = _analyses(config, request, networks)
    return _Before(networks=networks, needs=joined(request, needs), analyses=analyses, skipped=skipped)


def _trained(
    network: Literal["propagation", "segmentation"], config: DIPNetConfig, request: CellRequest
) -> tuple[Stage, tuple[str, ...]]:
    """Return a network after the last training that option and data allow, and notes on the skipped ones."""
    propagation, segmentation = config.propagation, config.segmentation
    first = network == "propagation"
    trainings = config.propagation_training if first else config.segmentation_training
    # What one network does not read must not make it train again.
    unread = ("coarse", "sizes") if first else ("clip_window", "clip_shift", "clip_rotation")
    note = " (concat)" if first and propagation.identity_input == "concat" else ""

    def train(role: str, data: Data, weights: str) -> tuple[str, str, BaseModel]:
        training = relevant(getattr(trainings, role), *unread)
        common: dict[str, Any] = {"training": training, "weights": weights, "seed": request.seed, "amp": config.amp}
        settings = (
            PropagationTrainConfig(propagation=propagation, **common)
            if first
            else SegmentationTrainConfig(segmentation=segmentation, coarse_size=propagation.coarse_size, **common)
        )
        return f"train {network}, {ROLES[role]} on {data.name}{note}", f"{RUNS}train_{network}", settings

    backbone = (propagation if first else segmentation).backbone
    return train_stages(request, config.training, config.weights, backbone, train)


def _finetune(config: DIPNetConfig, request: CellRequest, name: str, network: Stage, part: OneShotPart) -> Stage:
    read = OneShotConfig.iterations_of(part, len(request.sequences[name].value.object_ids))
    place = "frame" if part == "frame" else "crop" if config.crop else "objects"
    settings = FineTuneConfig(
        segmentation=config.segmentation,
        one_shot=with_defaults(
            config.one_shot, {"frame_iterations", "crop_iterations", "instance_iterations"} - {read}
        ),
        what=part,
        crop_margin=config.crop_margin if place == "crop" else None,
        coarse_size=config.propagation.coarse_size,
        seed=request.seed,
        amp=config.amp,
    )
    label = f"one-shot on the {place} of {name}"
    return video_stage(request, "finetune", label, f"{RUNS}finetune", settings, name, {"network": network})


def _finetune_both(config: DIPNetConfig, request: CellRequest, name: str, networks: Mapping[str, Stage]) -> Stage:
    settings = EndToEndConfig(
        propagation=config.propagation,
        segmentation=config.segmentation,
        one_shot=with_defaults(config.one_shot, {"crop_iterations", "instance_iterations", "coarse"}),
        coarse_size=config.propagation.coarse_size,
        seed=request.seed,
        amp=config.amp,
    )
    label = f"one-shot of both networks on the frame of {name}"
    return video_stage(request, "finetune", label, f"{RUNS}finetune_both", settings, name, networks)


def _timing(
    config: DIPNetConfig, inference: InferenceConfig, request: CellRequest, networks: Mapping[str, Stage]
) -> Stage | None:
    if config.training == "end-to-end":
        return None
    one_shot = config.one_shot if config.training == "one-shot" and config.phases != "propagation" else None
    settings = TimeConfig(inference=inference, one_shot=one_shot, mean_frames=mean_frames(request))
    return time_stage(request, f"{RUNS}time", settings, networks)


def _analyses(config: DIPNetConfig, request: CellRequest, networks: Mapping[str, Stage]) -> dict[str, Stage]:
    """Return `identities/before/<video>` and `identities/after/<video>`, by the propagation network only."""
    if "identities" not in config.analyses or "propagation" not in networks:
        return {}
    propagation = config.propagation
    weights, file = initial_weights(config.weights, propagation.backbone)
    before = IdentitiesConfig(network="before", propagation=propagation, weights=weights, seed=request.seed)
    after = IdentitiesConfig(network="after", propagation=propagation, weights="network", seed=0)
    stages = {}
    for settings, needs, data in ((before, {}, file), (after, {"propagation": networks["propagation"]}, {})):
        for name in request.sequences:
            label = f"identities {settings.network} training in {name}"
            stages[f"identities/{settings.network}/{name}"] = video_stage(
                request, "identities", label, f"{RUNS}identities", settings, name, needs, **data
            )
    return stages
