"""The smallest complete method: the first mask, shifted by the mean motion of the objects in the training videos."""

import json
from time import perf_counter

import numpy as np

from harness.config import Config
from harness.datasets.pixels import write_mask
from harness.errors import DataUnavailableError
from harness.method import CellPlan
from harness.stage import Resources, Stage


class TemplateConfig(Config):
    speed: float = 1.0  # of the object, relative to the training videos


class Template:
    label = "template"
    config = TemplateConfig

    def plan(self, request):
        if (videos := request.training["offline"]) is None:
            raise DataUnavailableError(request.missing["offline"])

        def stage(name, config, data, **more):
            label, run = f"{name} template on {data.name}", f"tests.template_method:{name}"
            return Stage(name=name, label=label, run=run, config=config, data={"input": data}, **more)

        train = stage("train", Config(), videos)  # does not read `speed`, so all variants share it
        common = {"config": request.config, "needs": {"motion": train}}
        segment = {name: stage("segment", data=video, **common) for name, video in request.sequences.items()}
        exclusive = {"resources": Resources(exclusive=True), "machine": request.machine}
        timing = stage("time", data=next(iter(request.sequences.values())), **common, **exclusive)
        return CellPlan(segment=segment, timing=timing)


METHOD = Template()


def train(task):
    tracks = [[np.argwhere(v.mask(i) == 1).mean(axis=0) for i in range(len(v))] for v in task.data["input"]]
    np.save(task.folder / "motion.npy", np.mean([(t[-1] - t[0]) / (len(t) - 1) for t in tracks], axis=0))


def segment(task, masks="masks"):
    motion, video = np.load(task.needs["motion"] / "motion.npy") * task.config.speed, task.data["input"]
    (task.folder / masks).mkdir()
    for index in range(len(video)):
        mask = np.roll(video.mask(0), np.round(motion * index).astype(int), axis=(0, 1))
        write_mask(task.folder / masks / f"{video.frame_name(index)}.png", mask)


def time(task):
    begin = perf_counter()
    segment(task, "timed")
    seconds = (perf_counter() - begin) / len(task.data["input"])
    (task.folder / "timing.json").write_text(json.dumps({"seconds_per_frame": seconds}))
