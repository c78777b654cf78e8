"""The line protocol: a command says on its standard output which frame it has finished, and lines are timed on arrival.

    harness-start SEQUENCE          optional: what follows, up to the line of the first frame, is initialization
    harness-frame SEQUENCE FRAME    the mask of this frame is finished; FRAME is its file name without the ending

One line each, flushed before the work on the next frame begins. Anything else that is printed is only logged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness.datasets import Sequence
from harness.datasets.part import Part
from harness.external.layout import frame_names

START, FRAME = "harness-start", "harness-frame"


class Reports:
    """What a command has reported, each with the reading of the monotonic clock when its line came."""

    def __init__(self, videos: Iterable[Sequence | Part], progress: Callable[[float, str], None]) -> None:
        self._places = {
            f"{FRAME} {one.name} {name}": (one.name, index)
            for one in videos
            for index, name in enumerate(frame_names(one))
        }
        self._starts = {f"{START} {one.name}": one.name for one in videos}
        self._progress = progress
        self.frames: dict[str, dict[int, float]] = {}
        """Sequence → index of a frame → when it was first reported, in the order of the lines."""

        self.starts: dict[str, float] = {}
        """Sequence → when its initialization began."""

        self.unknown = ""
        """The first line of the protocol that names no frame or sequence."""

    def take(self, line: str, when: float) -> None:
        """Take a line of standard output."""
        text = line.strip()
        if place := self._places.get(text):
            sequence, index = place
            self.frames.setdefault(sequence, {}).setdefault(index, when)
            self._progress(sum(map(len, self.frames.values())) / len(self._places), sequence)
        elif name := self._starts.get(text):
            self.starts.setdefault(name, when)
        elif text.startswith((f"{FRAME} ", f"{START} ")):
            self.unknown = self.unknown or text[:200]


def timing(video: Sequence | Part, reports: Reports, process_seconds: float) -> dict[str, Any]:
    """Return the content of `timing.json` for a command that has segmented one video.

    If every frame after the first was reported, in order and one by one, `seconds_per_frame` is the mean time from line
    to line: the given first frame and one frame to warm up do not count, as for methods that are no commands. If the
    command reported its start too, the seconds from there to the line of the first frame are initialization, such as
    fine-tuning, and are spread over the frames of the video. Otherwise it is the whole process's time by the number of
    frames, with its start and the loading of the model; `measured` says which, and `reason` why."""
    known = {"objects": len(video.object_ids), "video": video.name, "process_seconds": process_seconds}
    times = reports.frames.get(video.name, {})
    tracked = {index: when for index, when in times.items() if index > 0}
    if reason := _unusable(video, list(tracked.items()), reports.unknown):
        return {"seconds_per_frame": process_seconds / len(video), "measured": "process", "reason": reason, **known}
    last = len(video) - 1
    per_frame = (tracked[last] - tracked[1]) / (last - 1)
    start, first = reports.starts.get(video.name), times.get(0)
    initialization = 0.0 if start is None or first is None else first - start
    return {
        "seconds_per_frame": per_frame + initialization / len(video),
        "measured": "frames",
        "inference_seconds_per_frame": per_frame,
        "one_shot_seconds_per_video": initialization,
        **known,
    }


def _unusable(video: Sequence | Part, tracked: list[tuple[int, float]], unknown: str) -> str:
    """Return why the lines say nothing of the time per frame; empty if they do."""
    if not tracked:
        return f"no frame was reported{f', but {unknown!r}, which names none' if unknown else ''}"
    if len(video) < 3:
        return "a video of three frames or more is needed"
    if len(tracked) < len(video) - 1:
        return f"{len(tracked)} of {len(video) - 1} frames were reported"
    if [index for index, _ in tracked] != list(range(1, len(video))):
        return "the frames were not reported in time order"
    if 2 * len({when for _, when in tracked}) < len(tracked):
        return "lines came many at a time; flush each"
    return ""
