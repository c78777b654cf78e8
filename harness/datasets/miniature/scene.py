"""A scene: things that move over a panning background, and its pixels and masks in any frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.datasets.miniature.shapes import Shape, signed_distance
from harness.datasets.miniature.textures import Surface, noise, paint

Field = NDArray[np.float64]
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """A thing in the scene: an annotated object, a distractor, an occluder or clutter."""

    shape: Shape
    surface: Surface
    object_id: int = 0
    """Id in the masks; 0 if the thing is not annotated."""

    path: tuple[Point, ...]
    """Points in pixels that the center passes at equal intervals of time, smoothly."""

    radius: float
    """Radius at the start, pixels."""

    growth: float = 1.0
    """Radius at the end, relative to the start."""

    angle: float = 0.0
    """Rotation at the start, radians."""

    turn: float = 0.0
    """Rotation over the video, radians."""


@dataclass(frozen=True, kw_only=True)
class Background:
    """A panning background: patches of two surfaces."""

    surfaces: tuple[Surface, Surface]
    grain: int
    cell: float
    """Size of a patch, pixels."""

    pan: Point
    """Motion over the video, pixels."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a video shows, from frame 0 to frame `frames` − 1."""

    width: int
    height: int
    frames: int
    background: Background
    objects: tuple[SceneObject, ...]
    """Everything in front of the background, from back to front."""

    grain: int = 0
    """Seed of the camera's noise."""

    def time(self, index: int) -> float:
        """Return the time of a frame, 0..1 over the video."""
        return index / (self.frames - 1) if self.frames > 1 else 0.0

    @property
    def annotated(self) -> tuple[SceneObject, ...]:
        """Objects that have an id, from back to front."""
        return tuple(item for item in self.objects if item.object_id)


def position(item: SceneObject, time: float) -> Point:
    """Return the center in pixels, on a Catmull-Rom curve through the path's points."""
    if len(item.path) == 1:
        return item.path[0]
    place = min(time, 1.0) * (len(item.path) - 1)
    start = min(int(place), len(item.path) - 2)
    t = place - start
    before, here, there, after = (
        np.array(item.path[min(max(index, 0), len(item.path) - 1)]) for index in range(start - 1, start + 3)
    )
    bend = (2 * before - 5 * here + 4 * there - after) * t * t + (3 * here - before - 3 * there + after) * t**3
    x, y = 0.5 * (2 * here + (there - before) * t + bend)
    return float(x), float(y)


def render_ids(scene: Scene, index: int) -> NDArray[np.uint8]:
    """Return the object ids of a frame, height × width: the foremost thing with a coverage above one half."""
    ids = np.zeros((scene.height, scene.width), np.uint8)
    first = next((place for place, item in enumerate(scene.objects) if item.object_id), len(scene.objects))
    for item in scene.objects[first:]:  # things behind all objects leave no trace
        if (cover := _cover(scene, item, index)) is not None:
            box, coverage, _, _ = cover
            ids[box][coverage > 0.5] = item.object_id
    return ids


def unoccluded_area(scene: Scene, item: SceneObject, index: int) -> int:
    """Return how many pixels the object would have in the frame with nothing in front of it."""
    cover = _cover(scene, item, index)
    return 0 if cover is None else int((cover[1] > 0.5).sum())


def render(scene: Scene, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return RGB of a frame, height × width × 3, anti-aliased, with camera noise; and its ids as `render_ids` does."""
    time = scene.time(index)
    ids = np.zeros((scene.height, scene.width), np.uint8)
    image = _paint_background(scene, time)
    for item in scene.objects:
        if (cover := _cover(scene, item, index)) is not None:
            box, coverage, u, v = cover
            shade = np.clip(1.08 - 0.25 * ((u + 0.3) ** 2 + (v + 0.3) ** 2), 0.55, 1.1)  # light from the upper left
            color = paint(item.surface, u, v, time) * shade[..., None]
            share = coverage[..., None]
            image[box] += share * (color - image[box])
            ids[box][coverage > 0.5] = item.object_id
    grain = np.random.default_rng([scene.grain, index]).random(image.shape)
    return np.clip(np.rint(255 * image + 8 * (grain - 0.5)), 0, 255).astype(np.uint8), ids


def _cover(scene: Scene, item: SceneObject, index: int) -> tuple[tuple[slice, slice], Field, Field, Field] | None:
    """Return box in the frame, coverage 0..1 in it, and the surface points there; None if out of sight."""
    time = scene.time(index)
    center_x, center_y = position(item, time)
    radius = item.radius * (1 + (item.growth - 1) * time)
    reach = 1.75 * radius * max(1.0, item.shape.aspect)  # no outline goes farther
    left, right = (int(np.clip(center_x + side * reach, 0, scene.width)) for side in (-1, 1))
    top, bottom = (int(np.clip(center_y + side * reach, 0, scene.height)) for side in (-1, 1))
    if left >= right or top >= bottom:
        return None
    x, y = np.meshgrid(np.arange(left, right) + 0.5 - center_x, np.arange(top, bottom) + 0.5 - center_y)
    angle = item.angle + item.turn * time
    u = (x * math.cos(angle) + y * math.sin(angle)) / radius
    v = (y * math.cos(angle) - x * math.sin(angle)) / radius
    coverage = np.clip(0.5 - radius * signed_distance(item.shape, u, v, time), 0, 1)
    return (slice(top, bottom), slice(left, right)), coverage, u, v


def _paint_background(scene: Scene, time: float) -> Field:
    background = scene.background
    x, y = np.meshgrid(np.arange(scene.width) + 0.5, np.arange(scene.height) + 0.5)
    u = (x + background.pan[0] * time) / background.cell
    v = (y + background.pan[1] * time) / background.cell
    share = 0.5 + 0.5 * np.tanh(12 * (noise(u, v, background.grain) - 0.5))[..., None]
    first, second = (paint(surface, u, v, time) for surface in background.surfaces)
    return np.asarray(second + share * (first - second))
