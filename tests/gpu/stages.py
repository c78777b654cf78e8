"""DIPNet's stages on the device, one after the other in this process, as a worker of the engine calls them."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import numpy as np

import dipnet
from dipnet.config import DIPNetConfig
from dipnet.stages import METHOD
from harness.config import resolve
from harness.datasets.pixels import read_mask
from harness.method import CellRequest
from harness.stage import Data, Stage, Task
from tests.gpu.context import Context
from tests.gpu.sizes import TINY_CONFIG
from tests.videos import Squares, first_frame
from vos import segment_video

VIDEO = Squares(objects=2, length=4)


def run_stages(context: Context) -> None:
    """Run every stage of a cell, and compare its masks with those of the networks loaded again."""
    options = TINY_CONFIG.model_dump(exclude_unset=True) | {"amp": context.gpu, "analyses": ("identities",)}
    for network in ("propagation", "segmentation"):
        options[f"{network}_training"] = {role: {"iterations": 2} for role in ("pretraining", "offline")}
    request = CellRequest(
        config=resolve(DIPNetConfig, options, "tests.gpu.stages"),
        sequences={"a": Data(name="a", digest="a", value=VIDEO)},
        multi_object=True,
        training={
            "pretraining": Data(name="stills", digest="s", value=(Squares(length=1), Squares(length=1, seed=5))),
            "offline": Data(name="videos", digest="v", value=(Squares(seed=1),)),
        },
        missing={},
        gpus=1.0 if context.gpu else 0.0,
        machine="here",
    )
    cell, done = METHOD.plan(request), dict[str, Path]()
    segment = cell.segment["a"]
    files = sorted((_run(segment, context, done) / "masks").iterdir())
    context.require(len(files) == len(VIDEO), f"{len(files)} masks of {len(VIDEO)} frames")
    context.require(np.array_equal(read_mask(files[0]), VIDEO.mask(0)), "the first mask is not the given one")
    for name, stage in cell.analyses.items():
        with np.load(_run(stage, context, done) / "identities.npz", allow_pickle=False) as arrays:
            context.require(arrays["vectors"].dtype == np.float32, f"{name}: {arrays['vectors'].dtype}")
    assert cell.timing is not None
    timing = json.loads((_run(cell.timing, context, done) / "timing.json").read_text())
    context.require(timing["seconds_per_frame"] > 0, "no seconds were measured")
    context.note(stages=len(done), threads=timing["threads"])
    folders = {}
    for role, stage in segment.needs.items():
        folders[role] = done[stage.key]
        (folders[role] / "manifest.json").write_text(json.dumps({"identity": asdict(stage.identity)}))
    segmenter = dipnet.load(device="cuda:0" if context.gpu else "cpu", amp=context.gpu, **folders)
    segmenter.start(*first_frame(VIDEO))
    pairs = zip(segment_video(VIDEO, segmenter), files, strict=True)
    differing = np.mean([mask != read_mask(file) for mask, file in pairs])
    context.note(pixels_differing_when_loaded=float(differing))
    context.require(differing <= 0.01, f"networks that are loaded again give other masks: {differing:.2%}")


def _run(stage: Stage, context: Context, done: dict[str, Path]) -> Path:
    """Run what a stage needs, then the stage; return its folder."""
    if stage.key not in done:
        needs = {role: _run(need, context, done) for role, need in stage.needs.items()}
        folder, scratch = context.scratch / stage.key, context.scratch / f"{stage.key}.scratch"
        folder.mkdir()
        scratch.mkdir()
        module, _, function = stage.run.partition(":")
        getattr(import_module(module), function)(
            Task(
                folder=folder,
                scratch=scratch,
                config=stage.config,
                needs=needs,
                data={role: data.value for role, data in stage.data.items()},
                device="cuda" if stage.resources.gpus > 0 else "cpu",
                cpus=int(stage.resources.cpus),
            )
        )
        done[stage.key] = folder
    return done[stage.key]
