"""A second method on the stages of `vos`: a small network, fine-tuned, that also learns while it segments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.config import Config
from harness.datasets.pixels import read_mask
from harness.errors import DataUnavailableError
from harness.method import CellPlan, CellRequest
from harness.stage import Data, Task
from tests.test_dipnet_stages import STILLS, VIDEOS, reached, run
from tests.videos import Squares, first_frame
from vos.backbone import Backbone
from vos.checkpoint import for_inference, load_network, save_network
from vos.config import FineTuningConfig, NetworkTraining, TimingConfig, TrainingConfig, TrainStageConfig
from vos.geometry import Box, Image, View
from vos.one_shot import FrameObjective, fine_tune
from vos.optimization import TrainingRun, masked_cross_entropy, optimize
from vos.samples import clip_sample, frames_tensor, known_tensor, masks_tensor
from vos.stage_runs import fine_tuning_run, run_segmenting, run_timing, run_training
from vos.stages import ROLES, mean_frames, relevant, time_stage, train_stages, video_stage
from vos.timing import FineTuning
from vos.training import train

SIDE, STEPS, HERE = 64, 3, "tests.test_vos_stages"
TUNING = FineTuningConfig(batch=1, optimizer="adamw")
SHORT = TrainingConfig(iterations=2, batch=2)


class SmallConfig(Config):
    training: NetworkTraining = NetworkTraining(pretraining=SHORT, offline=SHORT)


class TuneConfig(Config):
    seed: int
    amp: bool = False


class SmallNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone("mini")
        self.head = nn.Sequential(nn.Conv2d(24, 1, 1), nn.Upsample(scale_factor=4, mode="bilinear"))

    def objective(self) -> FrameObjective:
        return FrameObjective(
            inputs=lambda masks, rng: {"truth": masks_tensor(masks), "known": known_tensor(masks)},
            encode=lambda batch: self.backbone(batch["frames"])[1:2],
            loss=lambda levels, part, known: masked_cross_entropy(
                self.head(levels[0]), part["truth"], part["known"], known
            ),
        )


class LearningSegmenter:
    """Segments the foreground, and takes a training step on what it found in every frame."""

    def __init__(self, network: SmallNetwork) -> None:
        self.network = network

    def start(self, frame: Image, objects: np.ndarray) -> None:
        self.steps = 0

    def step(self, frame: Image) -> np.ndarray:
        whole = Box.whole(frame)
        image = frames_tensor([whole.cut(frame, SIDE)])
        with torch.no_grad():
            scores = torch.sigmoid(self.network.head(self.network.backbone(image)[1]))[0]
        found = View(whole.cut(frame, SIDE), (scores[0] > 0.5).numpy().astype(np.uint8))
        optimize(self.network, self.network.objective().of_views(lambda rng: [found]), TUNING, 1, TrainingRun(seed=0))
        self.steps += 1
        return whole.placed(scores.numpy(), frame)


class Small:
    label, config = "small", SmallConfig

    def plan(self, request: CellRequest) -> CellPlan:
        def stage(role: str, data: Data, weights: str) -> tuple[str, str, Config]:
            training = relevant(getattr(request.config.training, role), "clip_window")
            config = TrainStageConfig(training=training, weights=weights, seed=request.seed)
            return f"train, {ROLES[role]}", f"{HERE}:run_train", config

        trained, skipped = train_stages(request, "all", "none", "mini", stage)
        segment = {}
        for name in request.sequences:
            tune = TuneConfig(seed=request.seed)
            tuned = video_stage(request, "finetune", "one-shot", f"{HERE}:run_tune", tune, name, {"network": trained})
            segment[name] = video_stage(
                request, "segment", "segment", f"{HERE}:run_segment", Config(), name, {"network": tuned}
            )
        timing = TimingConfig(mean_frames=mean_frames(request))
        timed = time_stage(request, f"{HERE}:run_time", timing, {"network": trained})
        return CellPlan(segment=segment, timing=timed, omitted=skipped)


def new(weights: str, seed: int) -> SmallNetwork:
    torch.manual_seed(seed)
    return SmallNetwork()


def learn(network: SmallNetwork, videos: tuple[Squares, ...], config: TrainingConfig, run: TrainingRun) -> None:
    def draw(some: tuple[Squares, ...], rng: np.random.Generator) -> list[View]:
        return [clip_sample(some, config, SIDE, rng, frames=1)[0] for _ in range(config.batch)]

    train(network, videos, config, run, lambda some: network.objective().of_views(lambda rng: draw(some, rng)))


def loaded(task: Task) -> SmallNetwork:
    network = SmallNetwork()
    load_network(network, task.needs["network"] / "network.pt")
    return for_inference(network, task.device)


def tuned(network: SmallNetwork, video: Squares, steps: int, run: TrainingRun) -> SmallNetwork:
    frame, objects = first_frame(video)
    view = View.cut(frame, objects.any(0).astype(np.uint8), Box.whole(frame), 2 * SIDE)
    return fine_tune(network, view, TUNING, steps, run, SmallNetwork.objective)


def run_train(task: Task) -> None:
    run_training(task, new, learn)


def run_tune(task: Task) -> None:
    save_network(tuned(loaded(task), task.data["video"], STEPS, fine_tuning_run(task)), task.folder / "network.pt")


def run_segment(task: Task) -> None:
    run_segmenting(task, loaded, lambda network, _: LearningSegmenter(network))


def run_time(task: Task) -> None:
    network, video = loaded(task), task.data["video"]
    part = FineTuning(STEPS, lambda steps: tuned(network, video, steps, TrainingRun(seed=0)))
    run_timing(task, LearningSegmenter(network), [part])


def plan(pretraining: Data | None = STILLS, offline: Data | None = VIDEOS) -> CellPlan:
    return Small().plan(
        CellRequest(
            config=SmallConfig(),
            sequences={"a": Data(name="a", digest="a", value=Squares(length=4))},
            multi_object=False,
            training={"pretraining": pretraining, "offline": offline},
            missing={"pretraining": "no VOC", "offline": "no DAVIS"},
        )
    )


def test_another_method_goes_from_training_to_masks_and_seconds(tmp_path: Path) -> None:
    cell, done = plan(), {}
    masks = sorted((run(cell.segment["a"], tmp_path, done) / "masks").iterdir())
    assert [mask.stem for mask in masks] == ["00000", "00001", "00002", "00003"]
    assert np.array_equal(read_mask(masks[0]), Squares().mask(0))
    assert cell.timing is not None
    timing = json.loads((run(cell.timing, tmp_path, done) / "timing.json").read_text())
    assert timing["one_shot_seconds_per_video"] > 0
    names = [stage.name for stage in reached(cell.segment["a"]).values()]
    assert sorted(names) == ["finetune", "segment", "train", "train"]


def test_a_method_may_learn_while_it_segments() -> None:
    network = new("none", 0).eval()
    segmenter = LearningSegmenter(network)
    segmenter.start(*first_frame(Squares()))
    before: Tensor = network.head[0].weight.detach().clone()
    segmenter.step(Squares().frame(1))
    assert not torch.equal(network.head[0].weight, before)


def test_training_stages_without_data_are_skipped_with_a_note() -> None:
    cell = plan(pretraining=None)
    assert cell.omitted == ("pre-training skipped: no VOC",)
    assert [stage.name for stage in reached(cell.segment["a"]).values()].count("train") == 1
    with pytest.raises(DataUnavailableError, match=r"no VOC.*no DAVIS"):
        plan(pretraining=None, offline=None)
