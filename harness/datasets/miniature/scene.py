"""A scene: things that move over a panning background, and its pixels and masks in any frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import dropwhile

import numpy as np
from numpy.typing import NDArray

from harness.datasets.miniature.shapes import Field, Shape, signed_distance
from harness.datasets.miniature.textures import Surface, noise, paint

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """A thing in the scene: an annotated object, a distractor, an occluder or clutter.

    Lengths are in pixels, angles in radians. `radius` and `angle` are those at the start; over the video, the radius
    grows by the factor `growth`, and the thing rotates by `turn`."""

    object_id: int = 0
    """Id in the masks; 0 if the thing is not annotated."""

    shape: Shape
    surface: Surface
    path: tuple[Point, ...]
    """Two points or more that the center passes at equal intervals of time, smoothly."""

    radius: float
    growth: float = 1.0
    angle: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a video shows, from frame 0 to frame `frames` − 1; lengths are in pixels.

    The background moves by `pan` over the video, under a camera with noise of the seed `grain`."""

    width: int
    height: int
    frames: int
    ground: tuple[Surface, Surface]
    """Surfaces of the background, in patches of `patch_size` that the seed `patches` places."""

    patches: int
    patch_size: float
    pan: Point
    objects: tuple[SceneObject, ...]
    """Everything in front of the background, from back to front."""

    grain: int

    @property
    def annotated(self) -> tuple[SceneObject, ...]:
        """Objects that have an id, from back to front."""
        return tuple(item for item in self.objects if item.object_id)

    def time(self, index: int) -> float:
        """Return the time of a frame, 0..1 over the video."""
        return index / max(self.frames - 1, 1)


def render_ids(scene: Scene, index: int) -> NDArray[np.uint8]:
    """Return the object ids of a frame, height × width: the foremost thing with a coverage above one half."""
    ids = np.zeros((scene.height, scene.width), np.uint8)
    for item in dropwhile(lambda item: not item.object_id, scene.objects):  # things behind all objects leave no trace
        box, coverage, _, _ = _cover(scene, item, index)
        ids[box][coverage > 0.5] = item.object_id
    return ids


def render(scene: Scene, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return RGB of a frame, height × width × 3, anti-aliased, with camera noise; and its ids as `render_ids` does."""
    time = scene.time(index)
    image, ids = _paint_ground(scene, time), np.zeros((scene.height, scene.width), np.uint8)
    for item in scene.objects:
        box, coverage, u, v = _cover(scene, item, index)
        shade = np.clip(1.08 - 0.25 * ((u + 0.3) ** 2 + (v + 0.3) ** 2), 0.55, 1.1)  # light from the upper left
        color = paint(item.surface, u, v, time)
        for channel in range(3):  # not all at once: NumPy is slow where the last axis is short
            behind = image[box][..., channel]
            behind += coverage * (color[..., channel] * shade - behind)
        ids[box][coverage > 0.5] = item.object_id
    noisy = 255 * image + 8 * (np.random.default_rng([scene.grain, index]).random(image.shape) - 0.5)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), ids


def _paint_ground(scene: Scene, time: float) -> Field:
    x, y = np.meshgrid(np.arange(scene.width) + 0.5, np.arange(scene.height) + 0.5)
    u, v = ((axis + pan * time) / scene.patch_size for axis, pan in zip((x, y), scene.pan, strict=True))
    share = 0.5 + 0.5 * np.tanh(12 * (noise(u, v, scene.patches) - 0.5))
    first, second = (paint(surface, u, v, time) for surface in scene.ground)
    for channel in range(3):
        second[..., channel] += share * (first[..., channel] - second[..., channel])
    return second


def _cover(scene: Scene, item: SceneObject, index: int) -> tuple[tuple[slice, slice], Field, Field, Field]:
    """Return box in the frame, coverage 0..1 in it, and the surface points there; all empty if out of sight."""
    time = scene.time(index)
    center_x, center_y = _center(item.path, time)
    radius = item.radius * (1 + (item.growth - 1) * time)
    reach = 1.75 * radius * max(1.0, item.shape.aspect)  # no outline goes farther
    left, right = (int(min(max(center_x + side * reach, 0), scene.width)) for side in (-1, 1))
    top, bottom = (int(min(max(center_y + side * reach, 0), scene.height)) for side in (-1, 1))
    x, y = np.arange(left, right) + 0.5 - center_x, (np.arange(top, bottom) + 0.5 - center_y)[:, None]
    angle = item.angle + item.turn * time
    u = (x * math.cos(angle) + y * math.sin(angle)) / radius
    v = (y * math.cos(angle) - x * math.sin(angle)) / radius
    coverage = np.clip(0.5 - radius * signed_distance(item.shape, u, v, time), 0, 1)
    return (slice(top, bottom), slice(left, right)), coverage, u, v


def _center(path: tuple[Point, ...], time: float) -> Point:
    """Return the point of a Catmull-Rom curve through the path's points."""
    place = time * (len(path) - 1)
    start = min(int(place), len(path) - 2)
    t = place - start
    before, here, there, after = (np.array(path[min(max(i, 0), len(path) - 1)]) for i in range(start - 1, start + 3))
    bend = (2 * before - 5 * here + 4 * there - after) * t * t + (3 * here - before - 3 * there + after) * t**3
    x, y = 0.5 * (2 * here + (there - before) * t + bend)
    return float(x), float(y)
