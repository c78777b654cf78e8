"""DIPNet as cached stages: train (each network, each training stage), finetune (one-shot), segment, time.

Their run functions are in `dipnet.stage_runs`. Configs of stages hold what changes their result and nothing else, so
that variants share what they have in common: an ω sweep shares both trained networks and every fine-tuned one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from dipnet.config import DIPNetConfig, InferenceConfig, TimeConfig
from dipnet.stage_configs import FineTuneConfig, IdentitiesConfig, PropagationTrainConfig, SegmentationTrainConfig
from harness.config import Same
from harness.errors import StudyError
from harness.method import CellPlan, CellRequest
from harness.stage import Data, Stage
from vos.config import with_defaults
from vos.stages import (
    ROLES,
    initial_weights,
    mean_frames,
    relevant,
    time_stage,
    train_stage,
    train_stages,
    video_stage,
)


@dataclass(frozen=True)
class DIPNet:
    """The method that studies call `dipnet`."""

    label: str = "DIPNet"
    config: type[DIPNetConfig] = DIPNetConfig
    served: str = "dipnet.mlflow_model"
    """Module that describes the networks of the training stages."""

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan the training stages for which there is data, then fine-tuning and segmenting of each video."""
        config = request.config
        if not isinstance(config, DIPNetConfig):
            raise StudyError(f"dipnet was given a config of {type(config).__name__}")
        read, inference, timed, timing = _read(Same(config), request.multi_object)
        before = request.once(read, lambda: _before(config, request))
        segment = {
            name: video_stage(
                request,
                "segment",
                name,
                label=f"segment {name}",
                run="dipnet.stage_runs:run_segment",
                config=inference,
                needs=needs,
            )
            for name, needs in before.needs.items()
        }
        return CellPlan(
            segment=segment,
            timing=request.once(timing, lambda: _timing(config, timed, request, before.networks)),
            analyses=before.analyses,
            left_out=before.skipped,
        )


METHOD = DIPNet()


@lru_cache(maxsize=4096)
def _read(same: Same[DIPNetConfig], multi_object: bool) -> tuple[str, InferenceConfig, InferenceConfig, str]:
    """Return what the stages before segmenting read, the configs of segmenting and of timing it, and all timing reads.

    Only segmenting reads ω, which takes no time, so all ω share one measurement.
    """
    before = same.config.model_dump_json(exclude={"omega", "confident_omega"})
    inference = same.config.inference(multi_object=multi_object)
    timed = with_defaults(inference, ("omega", "confident_omega"))
    return before, inference, timed, before + timed.model_dump_json()


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What cells have in common that differ only in how they segment."""

    networks: Mapping[str, Stage]
    needs: Mapping[str, Mapping[str, Stage]]
    """Networks that segment each sequence, by its name."""

    analyses: Mapping[str, Stage]
    skipped: tuple[str, ...]


def _before(config: DIPNetConfig, request: CellRequest) -> _Before:
    networks: dict[str, Stage] = {}
    skipped: tuple[str, ...] = ()
    if config.phases != "segmentation":
        networks["propagation"], skipped = _trained("propagation", config, request)
    if config.phases != "propagation":
        networks["segmentation"], skipped = _trained("segmentation", config, request)
    needs = {}
    for name, data in request.sequences.items():
        needs[name] = dict(networks)
        if config.training == "one-shot" and "segmentation" in networks:
            needs[name]["segmentation"] = tuned = _finetune(config, request, name, networks["segmentation"], "frame")
            if config.crop or len(data.value.object_ids) > 1:
                needs[name]["objects"] = _finetune(config, request, name, tuned, "objects")
    return _Before(networks=networks, needs=needs, analyses=_analyses(config, request, networks), skipped=skipped)


def _trained(
    network: Literal["propagation", "segmentation"], config: DIPNetConfig, request: CellRequest
) -> tuple[Stage, tuple[str, ...]]:
    """Return a network after the last training that option and data allow, and notes on the skipped ones."""
    propagation = network == "propagation"
    trainings = config.propagation_training if propagation else config.segmentation_training
    backbone = config.propagation.backbone if propagation else config.segmentation.backbone
    # What one network does not read must not make it train again.
    unread = ("coarse", "sizes") if propagation else ("clip_window", "clip_shift", "clip_rotation")
    note = " (concat)" if propagation and config.propagation.identity_input == "concat" else ""

    def train(role: str, data: Data, before: Stage | None) -> Stage:
        weights, file = initial_weights(config.weights, backbone, before)
        common: dict[str, Any] = {
            "training": relevant(getattr(trainings, role), *unread),
            "weights": weights,
            "seed": request.seed,
            "amp": config.amp,
        }
        return train_stage(
            request,
            data,
            before,
            label=f"train {network}, {ROLES[role]} on {data.name}{note}",
            run=f"dipnet.stage_runs:run_train_{network}",
            config=PropagationTrainConfig(propagation=config.propagation, **common)
            if propagation
            else SegmentationTrainConfig(
                segmentation=config.segmentation, coarse_size=config.propagation.coarse_size, **common
            ),
            weights=file,
        )

    return train_stages(request, config.training, train)


def _finetune(
    config: DIPNetConfig, request: CellRequest, name: str, network: Stage, what: Literal["frame", "objects"]
) -> Stage:
    on_frame, several = what == "frame", len(request.sequences[name].value.object_ids) > 1
    read = "frame_iterations" if on_frame else "instance_iterations" if several else "crop_iterations"
    unread = {"frame_iterations", "crop_iterations", "instance_iterations"} - {read}
    return video_stage(
        request,
        "finetune",
        name,
        label=f"one-shot on the {'frame' if on_frame else 'crop' if config.crop else 'objects'} of {name}",
        run="dipnet.stage_runs:run_finetune",
        config=FineTuneConfig(
            segmentation=config.segmentation,
            one_shot=with_defaults(config.one_shot, unread),
            what=what,
            crop_margin=config.crop_margin if config.crop and not on_frame else None,
            coarse_size=config.propagation.coarse_size,
            seed=request.seed,
            amp=config.amp,
        ),
        needs={"network": network},
    )


def _timing(
    config: DIPNetConfig, inference: InferenceConfig, request: CellRequest, networks: Mapping[str, Stage]
) -> Stage:
    one_shot = config.training == "one-shot" and config.phases != "propagation"
    timing = TimeConfig(
        inference=inference, one_shot=config.one_shot if one_shot else None, mean_frames=mean_frames(request)
    )
    return time_stage(request, run="dipnet.stage_runs:run_time", config=timing, needs=networks)


def _analyses(config: DIPNetConfig, request: CellRequest, networks: Mapping[str, Stage]) -> dict[str, Stage]:
    """Return `identities/before/<video>` and `identities/after/<video>`, by the propagation network only."""
    if "identities" not in config.analyses or "propagation" not in networks:
        return {}
    weights, file = initial_weights(config.weights, config.propagation.backbone)
    return {
        f"identities/{network}/{name}": video_stage(
            request,
            "identities",
            name,
            label=f"identities {network} training in {name}",
            run="dipnet.stage_runs:run_identities",
            config=IdentitiesConfig(
                network=network,
                propagation=config.propagation,
                weights=weights if network == "before" else "network",
                seed=request.seed if network == "before" else 0,
            ),
            needs={} if network == "before" else {"propagation": networks["propagation"]},
            data=file if network == "before" else {},
        )
        for network in ("before", "after")
        for name in request.sequences
    }
