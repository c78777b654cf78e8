"""`vos-harness method check FILE`: tries the methods that a file defines on three tiny sequences, stage by stage."""

from __future__ import annotations

import csv
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.config import nested, resolve
from harness.console import duration
from harness.datasets import Sequence, content_digests, load_protocols
from harness.datasets.layouts import write_davis17
from harness.datasets.miniature.scenario import Scenario, make_scene
from harness.datasets.miniature.scene import render
from harness.errors import StudyError
from harness.execution.worker import make_job, work
from harness.hardware import describe_hardware, gpu_names
from harness.method import Method, find_method
from harness.planning import Plan, gather, make_plan
from harness.planning.study import Study, Variant, load_methods, load_scale
from harness.results import CellResult, collect_results
from harness.stage import Data, Stage, closure
from harness.store import Store

SCENES = {
    "one-object": Scenario(objects=("blob",), width=320, height=192, share=(0.06, 0.12)),
    "two-objects": Scenario(objects=("box", "star"), width=320, height=192, share=(0.05, 0.09)),
}
"""What the sequences show, by name. Both are training videos as well."""

LATE, START = "late-object", 3
"""A sequence as that of two objects, and the frame in which its second object appears."""

FRAMES = 8
"""Frames of each: the first of its scene, which moves slowly enough for them."""

BENCHMARK, BASELINE = "davis17-val", "first-mask"

MARGIN = 0.1
"""J by which a method may be worse than its copied first mask before a note says so."""


def check(file: Path, names: list[str], options: Mapping[str, Any]) -> int:
    """Try the methods of a file, or those of these names, and return 1 if one fails; else 0.

    `options`: those of `--option`. Raises StudyError for a wrong definition, CommandError for what is not there."""
    methods = load_methods(file)
    if unknown := [name for name in names if name not in methods]:
        raise StudyError(f"{file}: no method {unknown[0]!r}; defined there: {', '.join(methods)}")
    chosen = {name: methods[name] for name in names or methods}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="vos-method-") as temporary:
        plan, store = _plan(chosen, options, Path(temporary))
        for stage in _stages(plan, BASELINE):
            work(make_job(stage, store, 1, ""))
        for name in chosen:
            sizes = _sizes()
            print(f"{name}: {len(sizes)} sequences of {', '.join(sizes)}", flush=True)
            failed += not _try(name, plan, store)
    print(f"{failed} of {len(chosen)} methods failed" if failed else "no problems found")
    return 1 if failed else 0


def _sizes() -> list[str]:
    scenes = {**SCENES, LATE: SCENES["two-objects"]}
    return [f"{FRAMES} frames {one.width}×{one.height} ({name})" for name, one in scenes.items()]


def _plan(methods: Mapping[str, Method], options: Mapping[str, Any], folder: Path) -> tuple[Plan, Store]:
    """Return the plan of a study with a variant for each method, on data that is rendered into a folder."""
    scenes = {name: make_scene(scenario, name) for name, scenario in SCENES.items()}
    videos = {name: [render(scene, index) for index in range(FRAMES)] for name, scene in scenes.items()}
    for split in ("train", "val"):
        write_davis17(folder / "data" / "DAVIS2017", split, videos)
    baseline = _variant(BASELINE, find_method(BASELINE, "check"), {})
    study = Study(
        name="check",
        question="",
        scale=load_scale("mini", "check"),
        benchmarks=(BENCHMARK,),
        seeds=(0,),
        variants=(baseline, *(_variant(name, method, options) for name, method in methods.items())),
    )
    store = Store(folder / "home")
    inputs = gather([load_protocols()[BENCHMARK]], folder / "data", folder / "facts.sqlite")
    found = inputs.benchmarks[BENCHMARK]
    found = replace(found, sequences={**found.sequences, LATE: _late_object(folder / LATE)})
    inputs = replace(inputs, benchmarks={BENCHMARK: found})
    gpu = bool(gpu_names())
    return make_plan(study, inputs, store, gpus=float(gpu), machine=describe_hardware(gpu=gpu)), store


def _late_object(folder: Path) -> Data:
    """Return a sequence whose second object appears later, rendered into a folder; DAVIS has none of this kind."""
    scene = make_scene(SCENES["two-objects"], LATE)
    before = replace(scene, objects=tuple(one for one in scene.objects if one.object_id != 2))
    video = [render(before if index < START else scene, index) for index in range(FRAMES)]
    write_davis17(folder, "val", {LATE: video})
    frames, masks = (tuple(sorted(folder.rglob(f"*.{ending}"))) for ending in ("jpg", "png"))
    scored = tuple(range(1, FRAMES - 1))
    sequence = Sequence(name=LATE, frames=frames, masks=masks, object_ids=(1, 2), starts=(0, START), scored=scored)
    (digest,) = content_digests([sequence])
    return Data(name=f"{BENCHMARK}/{LATE}", digest=digest, value=sequence)


def _variant(name: str, method: Method, options: Mapping[str, Any]) -> Variant:
    given = nested(options, "--option")
    return Variant(
        name=name,
        method=name,
        implementation=method,
        benchmarks=(BENCHMARK,),
        options=given,
        config=resolve(method.config, given, f"{name}: --option"),
    )


def _stages(plan: Plan, name: str) -> list[Stage]:
    """Return the stages of a method in an order in which they can be run."""
    return [stage for cell in plan.cells if cell.variant.name == name for stage in closure(cell.targets).values()]


def _try(name: str, plan: Plan, store: Store) -> bool:
    """Run the stages of a method, print how each went, and return whether all went well."""
    if reason := next(cell.reason for cell in plan.cells if cell.variant.name == name):
        print(f"  not tried: {reason}")
        return False
    fine = True
    for stage in _stages(plan, name):
        if any(store.find(need.name, need.key) is None for need in stage.needs.values()):
            continue  # what it needs has failed, which is printed already
        done = work(make_job(stage, store, max(int(stage.resources.cpus), 1), ""))
        manifest = store.manifest(stage.name, stage.key)
        if done and manifest is not None:
            print(f"  {stage.label}: ok, {duration(manifest.seconds or 0.0)}", flush=True)
        else:
            fine = False
            print("\n".join(_failure(stage, store)), flush=True)
    results = {result.variant: result for result in collect_results(plan, store)}
    for line in _numbers(results[name], results[BASELINE]):
        print(f"  {line}")
    return fine


def _failure(stage: Stage, store: Store) -> Iterator[str]:
    failure = store.failure(stage.key)
    assert failure is not None
    yield f"  {stage.label}: failed"
    yield textwrap.indent(failure.error.strip(), "    ")
    known = {line.strip() for line in failure.error.splitlines()}
    log = [line for line in failure.log.strip().splitlines() if line.strip() not in known]
    if log:
        yield "    its log, except for the lines above:"
        yield textwrap.indent("\n".join(log), "    | ")


def _numbers(result: CellResult, baseline: CellResult) -> Iterator[str]:
    """Yield what the masks are worth, and the seconds."""
    ours, copied = _scores(result), _scores(baseline)
    for sequence, value in ours.items():
        yield f"{sequence}: J {value:.3f} (copying the first mask: {copied[sequence]:.3f})"
        if value < copied[sequence] - MARGIN:
            yield (
                f"note: {sequence} is worse than copying; is each mask named as its frame, and does each object keep "
                "its id of the first mask?"
            )
    if result.seconds_per_frame is not None:
        what = "whole process, with loading" if result.timed_as_process else "frames alone, as it reported them"
        yield f"{result.seconds_per_frame:.4f} s per frame ({what})"


def _scores(result: CellResult) -> dict[str, float]:
    """Return J by sequence; empty without a score."""
    if not result.score_folder:
        return {}
    with (Path(result.score_folder) / "sequences.csv").open(newline="", encoding="utf-8") as file:
        return {line["sequence"]: float(line["J_mean"]) for line in csv.DictReader(file)}
