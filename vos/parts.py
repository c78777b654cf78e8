"""Objects that appear later, in the stages of any method: networks are tuned and loaded for each part of a video.

A part is the objects that start in one frame (`harness.datasets.part`). A method plans its one-shot stages over
`by_part(request)`, as if parts were videos, and gives `joined` of them to the stage that segments the whole video. A
video without such objects is its own only part, and its stages are the same as without this module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.datasets.part import Part, part_name, prompts_of, timed_video
from harness.fingerprint import digest_of
from harness.method import CellRequest
from harness.stage import Data, Stage, Task


def by_part(request: CellRequest) -> CellRequest:
    """Return the request with the parts of each video instead of the video, by their names."""
    parts = {name: part for video in request.sequences for _, name, part in _parts(request, video)}
    return replace(request, sequences=parts)


def joined(request: CellRequest, needs: Mapping[str, Mapping[str, Stage]]) -> dict[str, dict[str, Stage]]:
    """Return what segmenting each video needs, from what segmenting each part would need: name → role → stage.

    The roles of a part that starts later end in `@` and the index of its first frame."""
    return {
        video: {
            f"{role}@{start}" if start else role: stage
            for start, part, _ in _parts(request, video)
            for role, stage in needs[part].items()
        }
        for video in request.sequences
    }


def part_task(task: Task, start: int) -> Task:
    """Return the task of segmenting the part that starts there, from that of segmenting the whole `video`."""
    video, mark = task.data["video"], f"@{start}"
    if len(prompts_of(video)) == 1:
        return task
    own = {role: folder for role, folder in task.needs.items() if "@" not in role}
    if start:
        own = {role.removesuffix(mark): folder for role, folder in task.needs.items() if role.endswith(mark)}
    return replace(task, needs=own, data={**task.data, "video": Part(whole=video, start=start)})


def timed_part(request: CellRequest) -> tuple[str, Data]:
    """Return name and data of what a method is timed on: a video (`timed_video`), or its first part."""
    name = timed_video({name: data.value for name, data in request.sequences.items()})
    return name, by_part(request).sequences[name]


def _parts(request: CellRequest, video: str) -> Iterator[tuple[int, str, Data]]:
    """Yield first frame, name and data of each part of a video."""
    data = request.sequences[video]
    prompts = prompts_of(data.value)
    if len(prompts) == 1:
        yield 0, video, data
        return
    for start, ids in prompts.items():
        digest = digest_of([data.digest, start, ids])
        value = Part(whole=data.value, start=start)
        yield (
            start,
            part_name(video, data.value, start),
            Data(name=part_name(data.name, data.value, start), digest=digest, value=value),
        )
