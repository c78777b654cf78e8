"""Surfaces of rendered things: a procedural pattern of two colors that change over time."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

import numpy as np

from harness.datasets.miniature.shapes import Field

Color = tuple[float, float, float]
"""Hue, saturation, value, each 0..1."""

LATTICE = 32
"""Period of the noise in cells, in both directions."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What a surface looks like, and how that changes from the start of the video to its end.

    The pattern is turned by `angle` radians, has `frequency` periods per radius and is shifted by `phase` periods; its
    noise has the seed `grain`. Over the video, hues drift in turns of the color circle, brightness by a share, and the
    pattern in periods."""

    pattern: str
    """A key of PATTERNS."""

    colors: tuple[Color, Color]
    angle: float
    frequency: float
    phase: float
    grain: int
    hue_drift: float
    light_drift: float
    phase_drift: float


def make_surface(random: Random, saturation: tuple[float, float], contrast: float, drift: float) -> Surface:
    """Return a random surface; `contrast` 0..1 is between its colors, `drift` 0..1 is the change over the video."""
    hue, strength, light = random.random(), random.uniform(*saturation), random.uniform(0.6, 0.95)
    second = (
        (hue + random.uniform(-0.12, 0.12)) % 1,
        strength * random.uniform(0.6, 1.0),
        light * (1 - contrast * random.uniform(0.6, 1.0)),
    )
    sign = random.choice((-1, 1))
    return Surface(
        pattern=random.choice(tuple(PATTERNS)),
        colors=((hue, strength, light), second),
        angle=random.uniform(0, math.pi),
        frequency=random.uniform(0.7, 1.3),
        phase=random.random(),
        grain=random.randrange(1 << 30),
        hue_drift=sign * drift * random.uniform(0.12, 0.22),
        light_drift=random.choice((-1, 1)) * drift * random.uniform(0.1, 0.3),
        phase_drift=sign * drift * random.uniform(0.3, 0.8),
    )


def make_lookalike(surface: Surface, random: Random) -> Surface:
    """Return another surface of nearly the same colors: the pattern differs, and the hue by a little."""
    shift = random.choice((-1, 1)) * random.uniform(0.04, 0.08)
    first, second = (((hue + shift) % 1, saturation, value) for hue, saturation, value in surface.colors)
    return replace(
        surface,
        pattern=random.choice([pattern for pattern in PATTERNS if pattern != surface.pattern]),
        colors=(first, second),
        angle=random.uniform(0, math.pi),
        grain=random.randrange(1 << 30),
        phase=random.random(),
    )


def paint(surface: Surface, u: Field, v: Field, time: float) -> Field:
    """Return RGB 0..1, last axis 3, at surface points; `time` is 0..1 over the video."""
    along = (u * math.cos(surface.angle) + v * math.sin(surface.angle)) * surface.frequency
    across = (v * math.cos(surface.angle) - u * math.sin(surface.angle)) * surface.frequency
    shift = surface.phase + surface.phase_drift * time
    share = PATTERNS[surface.pattern](along + shift, across, surface.grain)
    bright, dark = (_rgb(color, surface, time) for color in surface.colors)
    color = np.empty((*share.shape, 3))
    for channel in range(3):  # not all at once: NumPy is slow where the last axis is short
        color[..., channel] = dark[channel] + share * (bright[channel] - dark[channel])
    return color


def noise(u: Field, v: Field, grain: int) -> Field:
    """Return smooth noise 0..1 of two octaves, with cells one unit and half a unit wide."""
    coarse, fine = _value_noise(u, v, grain), _value_noise(2 * u + 7.3, 2 * v + 3.1, grain + 1)
    return np.asarray(0.65 * coarse + 0.35 * fine)


def _value_noise(u: Field, v: Field, grain: int) -> Field:
    lattice = _lattice(grain)
    left, top = np.floor(u), np.floor(v)
    x, y = u - left, v - top
    x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
    column, row = left.astype(np.int64) % LATTICE, top.astype(np.int64) % LATTICE
    right, below = (column + 1) % LATTICE, (row + 1) % LATTICE
    row, below = LATTICE * row, LATTICE * below
    upper = _mix(lattice.take(row + column), lattice.take(row + right), x)
    lower = _mix(lattice.take(below + column), lattice.take(below + right), x)
    return _mix(upper, lower, y)


def _mix(first: Field, second: Field, share: Field) -> Field:
    return np.asarray(first + share * (second - first))


@lru_cache(maxsize=256)
def _lattice(grain: int) -> Field:
    return np.random.default_rng(grain).random((LATTICE, LATTICE))


def _rgb(color: Color, surface: Surface, time: float) -> Field:
    hue, saturation, value = color
    value = min(1.0, value * (1 + surface.light_drift * time))
    return np.array(colorsys.hsv_to_rgb((hue + surface.hue_drift * time) % 1, saturation, value))


PATTERNS: Mapping[str, Callable[[Field, Field, int], Field]] = {
    "stripes": lambda u, *_: np.asarray(0.5 + 0.5 * np.tanh(3 * np.sin(math.tau * u))),
    "checks": lambda u, v, _: np.asarray(0.5 + 0.5 * np.tanh(6 * np.sin(4.4 * u) * np.sin(4.4 * v))),
    "spots": lambda u, v, _: np.asarray(0.5 + 0.5 * np.tanh(5 * (np.cos(math.tau * u) + np.cos(math.tau * v) - 0.5))),
    "cloud": lambda u, v, grain: np.asarray(np.clip(1.8 * noise(2 * u, 2 * v, grain) - 0.4, 0, 1)),
    "gradient": lambda u, *_: np.asarray(0.5 + 0.5 * np.sin(math.pi * u)),
    "patches": lambda u, v, grain: np.asarray(0.5 + 0.5 * np.tanh(14 * (noise(1.5 * u, 1.5 * v, grain) - 0.5))),
}
"""Pattern → share of the first color, 0..1, at surface points, given a seed for random ones."""
