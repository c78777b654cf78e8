"""The stages of a method that is a command: training, segmenting, and timing."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from pathlib import Path

from harness.datasets import Sequence
from harness.datasets.layouts.base import make_folders
from harness.datasets.part import Part, parts_of
from harness.errors import CommandError
from harness.external.collect import collect, merge
from harness.external.config import Program, SegmentConfig, TrainConfig, worker_file
from harness.external.container import in_container
from harness.external.environment import GPU_SWITCHES, command_environment, own_settings
from harness.external.layout import FLAT, FRAMES, LISTS, MASKS, frame_names, lay_out
from harness.external.process import Command, Run, run_command
from harness.external.protocol import Reports, timing
from harness.external.sources import Files, Repository, Runner
from harness.external.template import arguments, text_of
from harness.files import link_or_copy, sha256_of, write_json
from harness.stage import Task


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A command that has done its work."""

    run: Run
    reports: Reports
    output: Path


def train(task: Task) -> None:
    """Train on the role `videos`; the command writes into `trained/`, and anything there is its result.

    The command sees all masks. Raises CommandError if it fails or writes nothing."""
    config: TrainConfig = task.config
    videos: tuple[Sequence, ...] = task.data["videos"]
    output = task.folder / "trained"
    annotations = {"annotations": str(task.scratch / "input" / MASKS)}
    call = _call(task, "the training command", videos, "train", output, annotations, config.seed)
    _resolve_links(output)
    if not any(path.is_file() for path in output.rglob("*")):
        raise CommandError("the training command wrote nothing to {output}; write there what {trained} is to hold")
    write_json(task.folder / "run.json", _record([call]))


def segment(task: Task) -> None:
    """Segment the role `video` into `masks/<frame>.png`. Raises CommandError, or DataError naming a mask."""
    video: Sequence = task.data["video"]
    calls = _segment(task, _called_on(task, video))
    _collect(task, video, task.folder / "masks")
    write_json(task.folder / "run.json", _record(calls))


def segment_all(task: Task) -> None:
    """Segment all of the role `videos` in one call, into `<sequence>/masks/<frame>.png`. Raises as `segment` does."""
    videos: tuple[Sequence, ...] = task.data["videos"]
    calls = _segment(task, [part for video in videos for part in _called_on(task, video)])
    for video in videos:
        _collect(task, video, task.folder / video.name / "masks")
    write_json(task.folder / "run.json", _record(calls))


def pick(task: Task) -> None:
    """Link the masks of one sequence of the stage `all` as `masks/`; copy them where links cannot be made."""
    (task.folder / "masks").mkdir()
    for mask in sorted((task.needs["all"] / task.config.sequence / "masks").iterdir()):
        link_or_copy(mask, task.folder / "masks" / mask.name)


def measure(task: Task) -> None:
    """Write `timing.json` for the role `video`: what `harness.external.protocol.timing` says. Raises as `segment`.

    If the command is called for each group of objects, the first call is timed."""
    video = _called_on(task, task.data["video"])[0]
    (call,) = _segment(task, [video])
    checked = _emptied(task.scratch / "checked")
    collect(video, call.output / video.name, checked)
    write_json(task.folder / "timing.json", timing(video, call.reports, call.run.seconds))
    write_json(task.folder / "run.json", _record([call]))


def _called_on(task: Task, video: Sequence) -> list[Sequence | Part]:
    """Return what the command is called on: the video, or its parts if it cannot take up objects that appear later."""
    parts = parts_of(video)
    return [video] if len(parts) == 1 or task.config.late_objects == "given" else [*parts.values()]


def _collect(task: Task, video: Sequence, folder: Path) -> None:
    """Write the checked masks of a sequence from what the command has written on it, or on its parts."""
    output, inputs = task.scratch / "output", _called_on(task, video)
    if len(inputs) == 1:
        return collect(video, output / video.name, folder)
    checked = _emptied(task.scratch / "checked")
    parts = parts_of(video)
    for start, part in parts.items():
        collect(part, output / part.name, checked / str(start))
    return merge(video, {start: checked / str(start) for start in parts}, folder)


def _segment(task: Task, videos: Several[Sequence | Part]) -> list[_Call]:
    """Run the command that segments: on each video, or on all at once.

    Its masks are in `<output>/<sequence>/` then, and not checked yet."""
    config: SegmentConfig = task.config
    root, output = task.scratch / "input", _emptied(task.scratch / "output")
    make_folders(*[output / video.name for video in videos])
    calls: list[_Call] = []
    together = [[video] for video in videos] if config.per == "sequence" else [videos]
    begin = time.monotonic()
    for number, some in enumerate(together):
        values = {"first_mask": root / MASKS, "prompts": root / MASKS, "masks": output}
        if config.per == "sequence":
            name, first = some[0].name, frame_names(some[0])[0]
            masks = root / MASKS / name
            values = {"first_mask": masks / f"{first}.png", "prompts": masks, "masks": output / name}
            values["sequence"] = Path(name)
        if "trained" in task.needs:
            values["trained"] = task.needs["trained"] / "trained"
        what = f"the command on {some[0].name if len(some) == 1 else f'{len(some)} sequences'}"
        texts = {name: str(value) for name, value in values.items()}
        calls.append(_call(_share(task, begin, number, len(together)), what, some, "val", output, texts, config.seed))
    return calls


def _share(task: Task, begin: float, number: int, count: int) -> Task:
    """Return the task of one of several calls: what is left of the time limit, and a share of the progress."""
    left = None if task.time_limit is None else task.time_limit - (time.monotonic() - begin)

    def progress(share: float, text: str) -> None:
        task.progress((number + share) / count, text)

    return replace(task, time_limit=left, progress=progress)


def _emptied(folder: Path) -> Path:
    """Remove what an earlier attempt or call has left in a folder, and the folder; return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _call(
    task: Task,
    what: str,
    videos: Several[Sequence | Part],
    split: str,
    output: Path,
    more: dict[str, str],
    seed: int | None,
) -> _Call:
    """Lay out the videos, run the command on them and remove what was laid out.

    `more`: values of placeholders besides the common ones. Raises CommandError if something is not as planned, or the
    command fails."""
    begin = time.monotonic()
    program: Program = task.config.program
    runner: Runner = task.data["runner"]
    repository: Repository = task.data["repository"]
    files: Files = task.data["files"]
    for source in (runner, repository, files):
        source.verify()
    if program.worker and sha256_of(worker_file()) != program.worker:
        raise CommandError(f"{worker_file()}: changed since the plan; give the same command again")
    root, scratch = task.scratch / "input", task.scratch / "work"
    shutil.rmtree(root, ignore_errors=True)
    make_folders(scratch, output)
    try:
        lay_out(root, videos, split, frames=task.config.frames, truth=split == "train")
        alone = isinstance(task.config, SegmentConfig) and task.config.per == "sequence"
        values = {
            "frames": str(root / FRAMES / videos[0].name if alone else root / FRAMES),
            "list": str(root / LISTS[0] / f"{split}.txt"),
            "root": str(root),
            "flat": str(root / FLAT),
            "output": str(output),
            "scratch": str(scratch),
            "device": task.device,
            "worker": str(worker_file()),
            **more,
            **{f"file{number}": str(path) for number, path in enumerate(files.paths)},
            **({"python": str(runner.python)} if runner.python else {}),
            **({"folder": str(repository.path)} if repository.path else {}),
            **({"seed": str(seed)} if seed is not None else {}),
            **{name: text_of(value) for name, value in program.options.items()},
        }
        argv = arguments(program.template, values, shell=program.shell, origin=what)
        command = _command(task, argv, [root, scratch, output])
        print(f"$ {shlex.join(command.argv)}", flush=True)
        reports = Reports(videos, task.progress)
        limit = None if task.time_limit is None else task.time_limit - (time.monotonic() - begin)
        run = run_command(command, what, time_limit=limit, on_line=reports.take)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if run.left:
        print(f"{what}: left {run.left} processes behind, which were ended", flush=True)
    return _Call(run=run, reports=reports, output=output)


def _command(task: Task, argv: list[str], written: list[Path]) -> Command:
    """Return the command with its environment, inside of its container if there is one."""
    program: Program = task.config.program
    runner: Runner = task.data["runner"]
    repository: Repository = task.data["repository"]
    folder = repository.path or task.scratch / "work"
    environment, cleanup = command_environment(program, runner, task.cpus), tuple[str, ...]()
    if runner.kind == "container":
        gpus = None if task.device == "cpu" else os.environ.get(GPU_SWITCHES[0], "")
        read = [worker_file(), *task.data["files"].paths, *(need for need in task.needs.values())]
        written = [*written, *([repository.path] if repository.path else [])]
        settings = own_settings(program, task.cpus)
        argv, cleanup = in_container(runner, argv, folder, settings, written=written, read=read, gpus=gpus)
    return Command(argv=tuple(argv), folder=folder, environment=environment, cleanup=cleanup)


def _resolve_links(output: Path) -> None:
    """Replace links to files by the files: a published folder is moved, and may be copied to another machine.

    Relative links inside the folder stay. Raises CommandError for any other one that is not to a file."""
    home = output.resolve()
    for path in [path for path in output.rglob("*") if path.is_symlink()]:
        target = path.resolve()
        if target.is_relative_to(home) and not path.readlink().is_absolute():
            continue
        if not target.is_file():
            raise CommandError(f"{path}: a link to {target}, a file expected; write into {{output}} what is to be kept")
        path.unlink()
        shutil.copyfile(target, path)


def _record(calls: Several[_Call]) -> dict[str, object]:
    """Return the content of `run.json`: seconds of all calls, and from the start of each to its reported frames."""
    return {
        "status": 0,
        "seconds": sum(call.run.seconds for call in calls),
        "left": sum(call.run.left for call in calls),
        "starts": {name: when - call.run.began for call in calls for name, when in call.reports.starts.items()},
        "frames": {name: [[index, when - call.run.began] for index, when in frames.items()]
                   for call in calls for name, frames in call.reports.frames.items()},
    }  # fmt: skip
