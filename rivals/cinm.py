"""CINM, CNN in MRF (CVPR 2018), with OpenCV's DIS optical flow: stages segment and time, on those of OSVOS and MSK.

OSVOS segments every frame by itself. Then two steps alternate over the whole video: masks are averaged along the
optical flow with those of neighboring frames, and MSK's network refines each of them. So the last frame is needed
before the second one is segmented. "Paper" is the method's and "choice" is ours (docs/rivals.md). The inference is in
`rivals.cinm_inference`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from harness.config import Config
from harness.datasets.pixels import read_mask
from harness.method import CellPlan, CellRequest
from rivals.msk import METHOD as MSK
from rivals.msk import InferenceConfig as Refinement
from rivals.msk import MSKConfig, NetworkConfig, OneShotConfig
from rivals.osvos import METHOD as OSVOS
from rivals.osvos import OSVOSConfig
from vos.config import TimingConfig
from vos.segment import first_objects, objects_in
from vos.stage_runs import run_segmenting
from vos.stages import mean_frames, time_stage, video_stage

if TYPE_CHECKING:
    from harness.stage import Task
    from rivals.msk_network import MSKNetwork
    from vos.segment import Segmenter

RUNS = "rivals.cinm:run_"


class InferenceConfig(Config):
    """How masks are fused and refined."""

    iterations: int = Field(3, ge=0)
    """Rounds of fusion and refinement (choice)."""

    reach: int = Field(2, ge=1)
    """Frames before and after one, whose masks it is averaged with (paper: two)."""

    temporal: float = Field(1.0, ge=0)
    """Weight of each of those masks where the flow can be trusted; OSVOS's own mask has 1 (choice)."""


class CINMConfig(Config):
    """The whole method, and what its variants change."""

    osvos: OSVOSConfig = OSVOSConfig()
    """The method that segments every frame by itself."""

    msk: MSKConfig = MSKConfig()
    """The method whose network refines masks."""

    inference: InferenceConfig = InferenceConfig()


class SegmentConfig(Config):
    """How a video is segmented."""

    network: NetworkConfig
    inference: InferenceConfig
    refinement: Refinement
    amp: bool


class TimeConfig(TimingConfig, SegmentConfig):
    """Seconds per frame of one variant."""

    one_shot: OneShotConfig | None


@dataclass(frozen=True)
class CINM:
    """The method that studies call `cinm`."""

    label: str = "CINM, DIS flow"
    config: type[CINMConfig] = CINMConfig

    def card(self, config: BaseModel) -> Mapping[str, str]:
        """Return what a reader of a comparison asks, as title → text: the cards of both methods."""
        assert isinstance(config, CINMConfig)
        rounds = f"{config.inference.iterations} rounds; operations are OSVOS's and so many times MSK's, and the flow"
        card = {"published": "CINM, Bao et al., CVPR 2018; with DIS flow and our OSVOS", "inference": rounds}
        for method, own in ((OSVOS, config.osvos), (MSK, config.msk)):
            card |= {f"{method.label}: {title}": text for title, text in method.card(own).items()}
        return card

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan both methods' stages, then segmenting of each video, and timing."""
        config = request.config
        assert isinstance(config, CINMConfig)
        first = OSVOS.plan(replace(request, config=config.osvos, shared={}))
        second = MSK.plan(replace(request, config=config.msk, shared={}))
        settings = SegmentConfig(
            network=config.msk.network, inference=config.inference, refinement=config.msk.inference, amp=config.msk.amp
        )
        segment = {}
        for name in request.sequences:
            needs = {"initial": first.segment[name], **second.segment[name].needs}
            segment[name] = video_stage(request, "segment", f"segment {name}", f"{RUNS}segment", settings, name, needs)
        assert first.timing is not None
        assert second.timing is not None
        one_shot = config.msk.one_shot if config.msk.training == "one-shot" else None
        timing = TimeConfig(**dict(settings), one_shot=one_shot, mean_frames=mean_frames(request))
        needs = {"initial": first.timing, **second.timing.needs}
        omitted = tuple(dict.fromkeys(first.omitted + second.omitted))
        return CellPlan(segment=segment, timing=time_stage(request, f"{RUNS}time", timing, needs), omitted=omitted)


METHOD = CINM()


def run_segment(task: Task) -> None:
    """Write `masks/<frame>.png` for every frame.

    Objects that appear later are fused and refined on their own, but from OSVOS's masks of the whole video, which has
    decided before which object a pixel belongs to."""
    from rivals.cinm_inference import WholeVideo, segment_whole
    from rivals.msk_network import MSKNetwork
    from vos.one_network_runs import networks_of

    config, initial = task.config, task.needs["initial"] / "masks"

    def make(networks: list[MSKNetwork], part: Task) -> Segmenter:
        video = part.data["video"]
        names = [video.frame_name(index) for index in range(len(video))]
        masks = [video.mask(0), *(read_mask(initial / f"{name}.png") for name in names[1:])]
        objects = [objects_in(mask, video.object_ids) for mask in masks]
        frames = [video.frame(index) for index in range(len(video))]
        return WholeVideo(segment_whole(frames, objects, networks, config, task.device))

    run_segmenting(task, lambda part: networks_of(part, MSKNetwork, task.device, folded=True), make)


def run_time(task: Task) -> None:
    """Write `timing.json`: OSVOS's seconds per frame, MSK's one-shot fine-tuning, and this method's own."""
    import json
    import time

    import torch

    from rivals.cinm_inference import segment_whole
    from rivals.msk_network import MSKNetwork, fine_tune_on
    from vos.one_network_runs import networks_of
    from vos.optimization import TrainingRun

    torch.set_num_threads(task.cpus)
    video, config = task.data["video"], task.config
    (network,) = networks_of(task, MSKNetwork, task.device, folded=True)
    result = json.loads((task.needs["initial"] / "timing.json").read_text("utf-8"))
    objects, count = first_objects(video), min(config.frames, len(video))
    tuned, one_shot = 0.0, config.one_shot
    if one_shot is not None:
        (trained,) = networks_of(task, MSKNetwork, task.device)
        for mask in objects:
            run = TrainingRun.on(task.device, amp=config.amp, cpus=task.cpus, seed=0)
            begin = time.perf_counter()
            fine_tune_on(trained, video.frame(0), mask[None], one_shot, config.steps, run)
            tuned += (time.perf_counter() - begin) / config.steps * one_shot.iterations
    begin = time.perf_counter()
    frames = [video.frame(index) for index in range(count)]
    for _ in segment_whole(frames, [objects] * count, [network], config, task.device):
        pass
    result["inference_seconds_per_frame"] += (time.perf_counter() - begin) / count
    result["one_shot_seconds_per_video"] += tuned
    per_video = result["one_shot_seconds_per_video"]
    result["seconds_per_frame"] = result["inference_seconds_per_frame"] + per_video / config.mean_frames
    (task.folder / "timing.json").write_text(json.dumps(result, indent=1, sort_keys=True), encoding="utf-8")
