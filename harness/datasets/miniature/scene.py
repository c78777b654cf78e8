"""A scene: things that move over a panning background, and its pixels and masks at any frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.datasets.miniature.shapes import Shape, signed_distance
from harness.datasets.miniature.textures import Skin, noise, paint

Field = NDArray[np.float64]
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One thing in the scene."""

    shape: Shape
    skin: Skin
    object_id: int = 0
    """0: never annotated (clutter, occluder, look-alike)."""

    path: tuple[Point, ...]
    """Points in pixels that its centre passes at equal intervals of time, smoothly."""

    radius: float
    """Pixels, at the start."""

    growth: float = 1.0
    """Radius at the end as a share of that at the start."""

    angle: float = 0.0
    """At the start, radians."""

    turn: float = 0.0
    """Radians over the video."""


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """A background of two surfaces, in patches, and how it pans."""

    skins: tuple[Skin, Skin]
    grain: int
    cell: float
    """Size of a patch, pixels."""

    pan: Point
    """Pixels over the video."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is filmed. Frames are numbered from 0 to frames − 1."""

    width: int
    height: int
    frames: int
    backdrop: Backdrop
    actors: tuple[Actor, ...]
    """From back to front."""

    grain: int = 0
    """Seed of the camera's noise."""

    def time(self, index: int) -> float:
        """0..1 over the video."""
        return index / (self.frames - 1) if self.frames > 1 else 0.0

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Annotated ids, ascending."""
        return tuple(sorted(actor.object_id for actor in self.actors if actor.object_id))


def position(actor: Actor, time: float) -> Point:
    """Centre in pixels: a Catmull-Rom curve through the path's points."""
    if len(actor.path) == 1:
        return actor.path[0]
    place = min(time, 1.0) * (len(actor.path) - 1)
    start = min(int(place), len(actor.path) - 2)
    t = place - start
    before, here, there, after = (
        np.array(actor.path[min(max(index, 0), len(actor.path) - 1)]) for index in range(start - 1, start + 3)
    )
    bend = (2 * before - 5 * here + 4 * there - after) * t * t + (3 * here - before - 3 * there + after) * t**3
    x, y = 0.5 * (2 * here + (there - before) * t + bend)
    return float(x), float(y)


def render_ids(scene: Scene, index: int) -> NDArray[np.uint8]:
    """Object ids of a frame, height × width: what is in front, by coverage above one half."""
    ids = np.zeros((scene.height, scene.width), np.uint8)
    first = next((place for place, actor in enumerate(scene.actors) if actor.object_id), len(scene.actors))
    for actor in scene.actors[first:]:  # those behind all objects leave no trace
        if (found := _cover(scene, actor, index)) is not None:
            box, coverage, _, _ = found
            ids[box][coverage > 0.5] = actor.object_id
    return ids


def render_alone(scene: Scene, actor: Actor, index: int) -> int:
    """Pixels that the actor would have in the frame with nothing in front of it."""
    found = _cover(scene, actor, index)
    return 0 if found is None else int((found[1] > 0.5).sum())


def render(scene: Scene, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB of a frame, height × width × 3, edges anti-aliased, with a little noise of the camera; and its object ids, as
    render_ids."""
    time = scene.time(index)
    ids = np.zeros((scene.height, scene.width), np.uint8)
    image = _paint_backdrop(scene, time)
    for actor in scene.actors:
        if (found := _cover(scene, actor, index)) is not None:
            box, coverage, u, v = found
            shade = np.clip(1.08 - 0.25 * ((u + 0.3) ** 2 + (v + 0.3) ** 2), 0.55, 1.1)  # lit from the upper left
            colour = paint(actor.skin, u, v, time) * shade[..., None]
            share = coverage[..., None]
            image[box] += share * (colour - image[box])
            ids[box][coverage > 0.5] = actor.object_id
    grain = np.random.default_rng([scene.grain, index]).random(image.shape)
    return np.clip(np.rint(255 * image + 8 * (grain - 0.5)), 0, 255).astype(np.uint8), ids


def _cover(scene: Scene, actor: Actor, index: int) -> tuple[tuple[slice, slice], Field, Field, Field] | None:
    """Box in the frame, coverage 0..1 in it, and the surface points there; None if out of sight."""
    time = scene.time(index)
    centre_x, centre_y = position(actor, time)
    radius = actor.radius * (1 + (actor.growth - 1) * time)
    reach = 1.75 * radius * max(1.0, actor.shape.aspect)  # no outline goes farther
    left, right = (int(np.clip(centre_x + side * reach, 0, scene.width)) for side in (-1, 1))
    top, bottom = (int(np.clip(centre_y + side * reach, 0, scene.height)) for side in (-1, 1))
    if left >= right or top >= bottom:
        return None
    x, y = np.meshgrid(np.arange(left, right) + 0.5 - centre_x, np.arange(top, bottom) + 0.5 - centre_y)
    angle = actor.angle + actor.turn * time
    u = (x * math.cos(angle) + y * math.sin(angle)) / radius
    v = (y * math.cos(angle) - x * math.sin(angle)) / radius
    coverage = np.clip(0.5 - radius * signed_distance(actor.shape, u, v, time), 0, 1)
    return (slice(top, bottom), slice(left, right)), coverage, u, v


def _paint_backdrop(scene: Scene, time: float) -> Field:
    backdrop = scene.backdrop
    x, y = np.meshgrid(np.arange(scene.width) + 0.5, np.arange(scene.height) + 0.5)
    u = (x + backdrop.pan[0] * time) / backdrop.cell
    v = (y + backdrop.pan[1] * time) / backdrop.cell
    share = 0.5 + 0.5 * np.tanh(12 * (noise(u, v, backdrop.grain) - 0.5))[..., None]
    first, second = (paint(skin, u, v, time) for skin in backdrop.skins)
    return np.asarray(second + share * (first - second))
