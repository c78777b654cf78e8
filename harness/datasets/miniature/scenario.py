"""From a scenario and a seed to a scene: scenes are drawn at random until one shows what the scenario asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count, pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray

from harness.datasets.miniature.scene import Point, Scene, SceneObject, render_ids
from harness.datasets.miniature.shapes import KINDS, Shape, make_shape, unit_area
from harness.datasets.miniature.textures import Surface, make_lookalike, make_surface

MAX_STEP = 0.25
"""Largest motion of an object between two frames, in diameters."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a video shows."""

    objects: tuple[str, ...]
    """Kind of each object, ids from 1."""

    share: tuple[float, float] = (0.06, 0.12)
    """Range of the share of the frame that an object covers at the start."""

    drift: float = 0.35
    """Change of the objects' appearance: 0 none, 1 much."""

    leaves: bool = False
    """Whether object 1 leaves the frame, is away for some frames and comes back."""

    poles: int = 0
    """Number of occluders, standing in front of the objects."""

    lookalikes: int = 0
    """Number of distractors: moving things that resemble object 1 and are not annotated."""

    twins: bool = False
    """Whether the objects resemble each other."""

    turn: float = 1.2
    """Largest rotation over the video, radians."""

    growth: float = 1.25
    """Largest factor by which the radius grows or shrinks over the video."""

    width: int = 128
    height: int = 80
    frames: int = 22


def make_scene(scenario: Scenario, seed: str) -> Scene:
    """Return the seed's first random scene that shows the scenario; the hardest scenario takes about a hundred."""
    scenes = (draw_scene(scenario, Random(f"{seed}/{attempt}")) for attempt in count())
    return next(scene for scene in scenes if _shows(scene, scenario))


def make_still(width: int, height: int, seed: str) -> Scene:
    """Return the seed's first still image with one to four instances that are all in sight."""
    scenes = (_draw_still(width, height, Random(f"{seed}/{attempt}")) for attempt in count())
    return next(scene for scene in scenes if _starts_visibly(scene, 0.55))


def _draw_still(width: int, height: int, random: Random) -> Scene:
    number = random.choice((1, 1, 2, 2, 3, 4))
    scenario = Scenario(
        objects=tuple(random.choice(KINDS) for _ in range(number)),
        share=(0.04, 0.16 if number < 3 else 0.1),
        poles=int(random.random() < 0.25),
        lookalikes=int(random.random() < 0.2),
        width=width,
        height=height,
        frames=1,
    )
    return draw_scene(scenario, random)


def draw_scene(scenario: Scenario, random: Random) -> Scene:
    """Return a random scene of the scenario, whether or not it shows everything that the scenario asks for."""
    pan = (random.choice((-1, 1)) * random.uniform(6, 32), random.uniform(-8, 8))
    annotated: list[SceneObject] = []
    for object_id, kind in enumerate(scenario.objects, start=1):
        surface = make_surface(random, (0.5, 0.95), 0.75, scenario.drift)
        if scenario.twins and annotated:
            surface = make_lookalike(annotated[0].surface, random)
        annotated.append(_moving(kind, surface, scenario, random, object_id))
    first = annotated[0]
    ground = (_ground_surface(first.surface, random), _ground_surface(first.surface, random))
    patches, patch_size = random.randrange(1 << 30), random.uniform(21, 35)
    distractors = []
    for _ in range(scenario.lookalikes):
        kind, surface = random.choice(KINDS[:3]), make_lookalike(first.surface, random)
        item = _moving(kind, surface, scenario, random)
        shape = replace(first.shape, waves=item.shape.waves)
        distractors.append(replace(item, shape=shape, radius=first.radius))
    random.shuffle(annotated)
    clutter = [_clutter(pan, scenario, random) for _ in range(random.randint(5, 9))]
    poles = [_pole(pan, scenario, random) for _ in range(scenario.poles)]
    return Scene(
        width=scenario.width,
        height=scenario.height,
        frames=scenario.frames,
        ground=ground,
        patches=patches,
        patch_size=patch_size,
        pan=pan,
        objects=(*clutter, *distractors, *annotated, *poles),
        grain=random.randrange(1 << 30),
    )


def _moving(kind: str, surface: Surface, scenario: Scenario, random: Random, object_id: int = 0) -> SceneObject:
    shape = make_shape(kind, random)
    radius = math.sqrt(random.uniform(*scenario.share) * scenario.width * scenario.height / unit_area(shape))
    growth = random.uniform(1, scenario.growth) ** random.choice((-1, 1))
    turn = random.uniform(-scenario.turn, scenario.turn) * (0.4 if kind == "walker" else 1)
    angle = random.uniform(-0.4, 0.4) if kind == "walker" else random.uniform(0, math.tau)
    if scenario.leaves and object_id == 1:
        growth = 1.0  # it must not grow into the frame from outside
        path = _path_out_and_back(radius, scenario, random)
    else:
        path = _path(radius * min(1, growth), scenario, random)
    return SceneObject(
        object_id=object_id,
        shape=shape,
        surface=surface,
        path=path,
        radius=radius,
        growth=growth,
        angle=angle,
        turn=turn,
    )


def _path(radius: float, scenario: Scenario, random: Random) -> tuple[Point, ...]:
    """Return four points in the frame, as far apart as the object's speed allows, mostly in one direction."""
    width, height = scenario.width, scenario.height
    longest = 0.8 * MAX_STEP * 2 * radius * (scenario.frames - 1) / 3
    points = [(random.uniform(0.15, 0.85) * width, random.uniform(0.28, 0.72) * height)]
    if scenario.frames == 1:
        return (points[0], points[0])
    heading = random.uniform(0, math.tau)
    while len(points) < 4:
        heading += random.uniform(-0.9, 0.9)
        step = longest * random.uniform(0.55, 1.0)
        x, y = points[-1][0] + step * math.cos(heading), points[-1][1] + 0.7 * step * math.sin(heading)
        if 0.1 * width < x < 0.9 * width and 0.2 * height < y < 0.8 * height:
            points.append((x, y))
        else:
            heading += random.uniform(0.5, 2.5)
    return tuple(points)


def _path_out_and_back(radius: float, scenario: Scenario, random: Random) -> tuple[Point, ...]:
    """Return a path over the left or right edge, with a wait outside, and back in at another height."""
    heights = [random.uniform(0.35, 0.65) * scenario.height] * 3 + [random.uniform(0.3, 0.7) * scenario.height] * 3
    xs = [diameters * 2 * radius for diameters in (0.92, 0.3, -0.85, -0.85, 0.25, 0.95)]
    if random.random() < 0.5:
        xs = [scenario.width - x for x in xs]
    return tuple(zip(xs, heights, strict=True))


def _clutter(pan: Point, scenario: Scenario, random: Random) -> SceneObject:
    """Return a small thing that stands on the background and pans with it, shaped and textured like an object."""
    x, y = random.uniform(-abs(pan[0]), scenario.width + abs(pan[0])), random.uniform(0, scenario.height)
    return SceneObject(
        shape=replace(make_shape(random.choice(KINDS), random), swing=0.0),
        surface=make_surface(random, (0.3, 0.8), 0.6, 0.0),
        path=((x, y), (x - pan[0], y - pan[1])),
        radius=random.uniform(3, 7),
        angle=random.uniform(0, math.tau),
    )


def _pole(pan: Point, scenario: Scenario, random: Random) -> SceneObject:
    """Return a standing occluder; the camera's pan moves it across the video."""
    x, y = random.uniform(0.3, 0.7) * scenario.width, scenario.height / 2
    radius = random.uniform(4.5, 6.5)
    return SceneObject(
        shape=Shape(kind="box", aspect=1.2 * scenario.height / radius, exponent=9.0),
        surface=make_surface(random, (0.2, 0.6), 0.5, 0.0),
        path=((x, y), (x - 0.5 * pan[0], y)),
        radius=radius,
        angle=random.uniform(-0.12, 0.12),
    )


def _ground_surface(avoid: Surface, random: Random) -> Surface:
    """Return a surface duller than an object's, and of another hue than `avoid`."""
    surface = make_surface(random, (0.12, 0.5), 0.55, 0.0)
    darker = random.uniform(0.6, 1.0)
    shift = avoid.colors[0][0] + random.uniform(0.2, 0.8) - surface.colors[0][0]
    first, second = (((hue + shift) % 1, saturation, value * darker) for hue, saturation, value in surface.colors)
    return replace(surface, colors=(first, second), frequency=random.uniform(0.9, 2.2))


def _shows(scene: Scene, scenario: Scenario) -> bool:
    """Return whether the video shows its scenario: all objects at the start, none too fast, static or long away."""
    if not _starts_visibly(scene, 0.9):
        return False
    ids = np.stack([render_ids(scene, index) for index in range(scene.frames)])
    small = 0.25 * scenario.share[0] * scene.width * scene.height
    for item in scene.annotated:
        masks = ids == item.object_id
        areas = masks.sum((1, 2))
        away = int((areas == 0).sum())
        least, most = (2, 6) if scenario.leaves and item.object_id == 1 else (0, 0)
        if not least <= away <= most or (areas < small).mean() > (0.5 if least else 0.25):
            return False
        copied = (masks[1:-1] & masks[0]).sum((1, 2)) / (masks[1:-1] | masks[0]).sum((1, 2))  # J of the first mask
        if areas[-1] < 2 * small or copied.mean() > 0.35 or _largest_step(masks, item.radius) > MAX_STEP:
            return False
    return scenario.poles == 0 or any(_is_crossed(scene, item, ids) for item in scene.annotated)


def _starts_visibly(scene: Scene, share: float) -> bool:
    """Return whether each object shows a share of its area in the first frame, away from its distractors."""
    ids = render_ids(scene, 0)
    first = next(item for item in scene.annotated if item.object_id == 1)
    distractors = (item for item in scene.objects if item.surface.hue_drift and not item.object_id)
    if any(math.dist(item.path[0], first.path[0]) < 1.6 * first.radius for item in distractors):
        return False
    return all((ids == i.object_id).sum() >= share * (unit_area(i.shape) * i.radius**2) for i in scene.annotated)


def _largest_step(masks: NDArray[np.bool_], radius: float) -> float:
    """Return the largest step of the visible center, in diameters; occluded and cut frames are skipped."""
    areas = masks.sum((1, 2))
    clear = areas > 0.8 * areas[0]
    y, x = np.mgrid[: masks.shape[1], : masks.shape[2]]
    centers = [(float(x[m].mean()), float(y[m].mean())) if ok else None for m, ok in zip(masks, clear, strict=True)]
    steps = [math.dist(a, b) for a, b in pairwise(centers) if a and b]
    return max(steps, default=0.0) / (2 * radius)


def _is_crossed(scene: Scene, item: SceneObject, ids: NDArray[np.uint8]) -> bool:
    """Return whether occluders hide at least a third of an object in two frames or more."""
    bare = replace(scene, objects=(item,))
    whole = np.array([np.count_nonzero(render_ids(bare, index)) for index in range(scene.frames)])
    visible = (ids == item.object_id).sum((1, 2))
    return int((visible < 0.67 * whole).sum()) >= 2
