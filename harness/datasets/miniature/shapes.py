"""Outlines of rendered things, as signed distances: negative inside, in units of the thing's radius."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An outline that deforms over time."""

    kind: str
    """A key of OUTLINES."""

    aspect: float = 1.0
    """Ratio of height to width."""

    exponent: float = 4.0
    """Exponent of a superellipse: 2 for an ellipse, above 4 for a box."""

    lobes: int = 0
    """Number of a star's lobes, whose dents have a depth of `depth` radii, or of a walker's limbs."""

    depth: float = 0.0
    waves: tuple[tuple[int, float, float, float], ...] = ()
    """Waves of the outline: lobes, amplitude, phase in radians, change of phase over the video."""

    swing: float = 0.0
    """Periods over the video in which limbs swing, or a box is squashed."""


def make_shape(kind: str, random: Random) -> Shape:
    """Return a shape of a kind with random parameters."""
    waves = tuple(
        (lobes, random.uniform(0.03, 0.09), random.uniform(0, math.tau), random.uniform(-9, 9)) for lobes in (2, 3, 4)
    )
    shape = Shape(kind=kind, waves=waves, swing=random.uniform(1.5, 3.0))
    if kind == "box":
        return replace(shape, aspect=random.uniform(0.55, 0.95), exponent=random.uniform(2.2, 7))
    if kind == "star":
        return replace(shape, lobes=random.choice((3, 4, 5, 6)), depth=random.uniform(0.18, 0.34))
    if kind == "walker":
        return replace(shape, aspect=random.uniform(0.6, 0.85), lobes=random.choice((3, 4, 4, 5)))
    wide = tuple((lobes, 2.2 * amplitude, phase, speed) for lobes, amplitude, phase, speed in waves)
    return replace(shape, waves=wide, aspect=random.uniform(0.75, 1.0))


def signed_distance(shape: Shape, x: Field, y: Field, time: float) -> Field:
    """Return the distance at points relative to the thing (unit radius, y down); `time` is 0..1 over the video."""
    return OUTLINES[shape.kind](shape, x, y, time)


@cache
def unit_area(shape: Shape) -> float:
    """Return the area at the start, in squared radii."""
    step = 3.6 / 96
    x, y = np.meshgrid(*[np.arange(-1.8, 1.8, step) + step / 2] * 2)
    return float((signed_distance(shape, x, y, 0.0) < 0).sum()) * step * step


def _superellipse(shape: Shape, x: Field, y: Field, time: float) -> Field:
    squash = 1 + 0.12 * math.sin(math.tau * shape.swing * time)
    width, height = squash, shape.aspect / squash
    lean = 0.15 * math.sin(math.tau * shape.swing * 0.6 * time)
    level = np.abs((x + lean * y) / width) ** shape.exponent + np.abs(y / height) ** shape.exponent
    return np.asarray((level ** (1 / shape.exponent) - 1) * min(width, height))


def _polar(shape: Shape, x: Field, y: Field, time: float) -> Field:
    y = y / shape.aspect
    radius = np.hypot(x, y)
    direction = (x + 1j * y) / np.maximum(radius, 1e-9)
    powers = [np.ones_like(direction)]  # power k is the cosine and sine of k times the angle
    outline, slope = np.ones_like(radius), np.zeros_like(radius)
    star = ((shape.lobes, shape.depth, 0.0, 0.0),) if shape.lobes else ()
    for lobes, amplitude, phase, speed in (*star, *shape.waves):
        while len(powers) <= lobes:
            powers.append(powers[-1] * direction)
        wave = powers[lobes] * (amplitude * cmath.exp(1j * (phase + speed * time)))
        outline += wave.real
        slope -= lobes * wave.imag
    # The radial gap times the cosine of the outline's tilt is the distance to first order.
    return np.asarray((radius - outline) / np.sqrt(1 + (slope / np.maximum(outline, 0.2)) ** 2) * shape.aspect)


def _walker(shape: Shape, x: Field, y: Field, time: float) -> Field:
    """Return the distance to a body, a head, and limbs that swing in opposite directions."""
    body = (np.hypot(x / 0.95, y / (shape.aspect * 0.8)) - 1) * shape.aspect * 0.8
    head = np.hypot(x - 0.95, y + 0.45) - 0.38
    distance = np.minimum(body, head)
    for limb in range(shape.lobes):
        hip = -0.75 + 1.5 * limb / (shape.lobes - 1)
        angle = 0.6 * math.sin(math.tau * shape.swing * time + math.pi * limb)
        dx, dy = 0.95 * math.sin(angle), 0.95 * math.cos(angle)
        along = np.clip(((x - hip) * dx + (y - 0.2) * dy) / (dx * dx + dy * dy), 0, 1)
        distance = np.minimum(distance, np.hypot(x - hip - along * dx, y - 0.2 - along * dy) - 0.2)
    return np.asarray(distance)


OUTLINES: Mapping[str, Callable[[Shape, Field, Field, float], Field]] = {
    "box": _superellipse,
    "blob": _polar,
    "star": _polar,
    "walker": _walker,
}
KINDS = tuple(OUTLINES)
