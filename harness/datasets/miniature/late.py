"""Scenes for the benchmarks of objects that appear late and of long videos: objects on paths of many points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import numpy as np

from harness.datasets.miniature.scenario import Scenario, draw_scene
from harness.datasets.miniature.scene import Point, Scene, SceneObject, render_ids

SEEN = 0.3
"""Least share of the frames in which each object is in sight."""

STEP = 1.1
"""Length of the way between two points of a path, in diameters."""


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A video whose objects come and go: each stays out of the frame during some parts of it."""

    objects: tuple[str, ...]
    """Kind of each object, ids from 1."""

    categories: tuple[str, ...] = ()
    """Category of each object, if the dataset has them."""

    absent: tuple[tuple[float, float], ...]
    """For each object, the part of the video (0..1) in which it is out of the frame; (0, 0): it is always there."""

    frames: int
    annotated: int = 1
    """Every which frame has a mask."""

    points: int
    """Points of each path, at equal intervals of time."""

    lookalikes: int = 0
    clutter: int = 3
    """Most things that stand on the background: each takes time to render."""

    drift: float = 0.5
    width: int = 96
    height: int = 64


def make_journey(journey: Journey, seed: str) -> Scene:
    """Return the seed's first random scene in which each object is away as asked for, and in sight often enough."""
    scenario = Scenario(
        objects=journey.objects,
        share=(0.05, 0.08),
        lookalikes=journey.lookalikes,
        drift=journey.drift,
        width=journey.width,
        height=journey.height,
        frames=6,
    )
    scenes = (_draw(journey, scenario, Random(f"{seed}/{attempt}")) for attempt in count())
    return next(scene for scene in scenes if _shows(scene, journey))


def _draw(journey: Journey, scenario: Scenario, random: Random) -> Scene:
    base = draw_scene(scenario, random)
    still = [item for item in base.objects if not item.surface.hue_drift][: journey.clutter]
    moving = [_on_journey(item, journey, random) for item in base.objects if item.surface.hue_drift]
    return replace(base, frames=journey.frames, objects=(*still, *moving))


def _on_journey(item: SceneObject, journey: Journey, random: Random) -> SceneObject:
    """Return a thing that moves, on a longer path."""
    away = journey.absent[item.object_id - 1] if item.object_id else (0.0, 0.0)
    return replace(item, path=_path(item.radius, away, journey, random), growth=1.0)


def _path(radius: float, away: tuple[float, float], journey: Journey, random: Random) -> tuple[Point, ...]:
    """Return points in the frame, each a step from the last one, and at its left or right edge while it is away."""
    width, height = journey.width, journey.height
    x, y = random.uniform(0.25, 0.75) * width, random.uniform(0.3, 0.7) * height
    outside = random.choice((-2.2 * radius, width + 2.2 * radius))
    points: list[Point] = []
    for time in np.linspace(0, 1, journey.points):
        if away[0] < away[1] and away[0] <= time <= away[1]:
            points.append((outside, y))
            x = min(max(outside, radius), width - radius)
            continue
        heading = random.uniform(0, math.tau)
        step = STEP * 2 * radius
        x = min(max(x + step * math.cos(heading), 0.15 * width), 0.85 * width)
        y = min(max(y + 0.7 * step * math.sin(heading), 0.2 * height), 0.8 * height)
        points.append((x, y))
    return tuple(points)


def _shows(scene: Scene, journey: Journey) -> bool:
    ids = np.stack([render_ids(scene, index) for index in range(0, scene.frames, journey.annotated)])
    times = np.linspace(0, 1, len(ids))
    small = 0.25 * 0.05 * scene.width * scene.height
    for number, (begin, end) in enumerate(journey.absent, start=1):
        areas = (ids == number).sum((1, 2))
        stops = [time for time in np.linspace(0, 1, journey.points) if begin < end and begin <= time <= end]
        gone = (times >= min(stops, default=2)) & (times <= max(stops, default=2))
        if areas[gone].any() or (areas > small).mean() < SEEN or areas[-1] < small:
            return False
        first = int(np.argmax(areas > 0))
        if areas[first] < small / 2 or (first > 0) != (begin == 0 < end):
            return False
    return True
