"""Surfaces of rendered things: a procedural pattern between two colours, both drifting over time."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Colour = tuple[float, float, float]
"""Hue, saturation, value, each 0..1."""

LATTICE = 32
"""Cells of the periodic noise, each way."""


@dataclass(frozen=True, kw_only=True)
class Skin:
    """What a surface looks like, and how that drifts from the start of the video to its end."""

    pattern: str
    """A key of PATTERNS."""

    colours: tuple[Colour, Colour]
    angle: float
    """Of the pattern, radians."""

    frequency: float
    """Periods a unit length."""

    phase: float = 0.0
    """Periods."""

    grain: int = 0
    """Seed of the noise."""

    hue_drift: float = 0.0
    """Turns of the colour circle."""

    light_drift: float = 0.0
    """Change of brightness, a share of it."""

    phase_drift: float = 0.0
    """Periods."""


def make_skin(random: Random, saturation: tuple[float, float], contrast: float, drift: float) -> Skin:
    """A surface drawn at random. `contrast` 0..1 between its two colours; `drift`: 0 keeps its look, 1
    changes it far."""
    hue, strength, light = random.random(), random.uniform(*saturation), random.uniform(0.6, 0.95)
    second = (
        (hue + random.uniform(-0.12, 0.12)) % 1,
        strength * random.uniform(0.6, 1.0),
        light * (1 - contrast * random.uniform(0.6, 1.0)),
    )
    sign = random.choice((-1, 1))
    return Skin(
        pattern=random.choice(tuple(PATTERNS)),
        colours=((hue, strength, light), second),
        angle=random.uniform(0, math.pi),
        frequency=random.uniform(0.7, 1.3),
        phase=random.random(),
        grain=random.randrange(1 << 30),
        hue_drift=sign * drift * random.uniform(0.12, 0.22),
        light_drift=random.choice((-1, 1)) * drift * random.uniform(0.1, 0.3),
        phase_drift=sign * drift * random.uniform(0.3, 0.8),
    )


def make_lookalike(skin: Skin, random: Random) -> Skin:
    """Another skin of nearly the same colours: the pattern differs, the hue is a little off."""
    shift = random.choice((-1, 1)) * random.uniform(0.04, 0.08)
    colours = tuple(((hue + shift) % 1, saturation, value) for hue, saturation, value in skin.colours)
    others = [pattern for pattern in PATTERNS if pattern != skin.pattern]
    return replace(
        skin,
        pattern=random.choice(others),
        colours=(colours[0], colours[1]),
        angle=random.uniform(0, math.pi),
        grain=random.randrange(1 << 30),
        phase=random.random(),
    )


def paint(skin: Skin, u: Field, v: Field, time: float) -> Field:
    """RGB 0..1, last axis 3, at surface points; `time` 0..1 over the video."""
    along = u * math.cos(skin.angle) + v * math.sin(skin.angle)
    across = v * math.cos(skin.angle) - u * math.sin(skin.angle)
    shift = skin.phase + skin.phase_drift * time
    share = PATTERNS[skin.pattern](along * skin.frequency + shift, across * skin.frequency, skin.grain)[..., None]
    bright, dark = (_rgb(colour, skin, time) for colour in skin.colours)
    return np.asarray(dark + share * (bright - dark))


def noise(u: Field, v: Field, grain: int) -> Field:
    """Smooth noise 0..1 over two octaves, a cell a unit and half a unit wide."""
    coarse, fine = _value_noise(u, v, grain), _value_noise(2 * u + 7.3, 2 * v + 3.1, grain + 1)
    return np.asarray(0.65 * coarse + 0.35 * fine)


def _value_noise(u: Field, v: Field, grain: int) -> Field:
    lattice = _lattice(grain)
    left, top = np.floor(u), np.floor(v)
    x, y = u - left, v - top
    x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
    column, row = left.astype(np.int64) % LATTICE, top.astype(np.int64) % LATTICE
    right, below = (column + 1) % LATTICE, (row + 1) % LATTICE * LATTICE
    row = row * LATTICE
    upper = _mix(lattice.take(row + column), lattice.take(row + right), x)
    lower = _mix(lattice.take(below + column), lattice.take(below + right), x)
    return _mix(upper, lower, y)


def _mix(first: Field, second: Field, share: Field) -> Field:
    return np.asarray(first + share * (second - first))


@lru_cache(maxsize=256)
def _lattice(grain: int) -> Field:
    return np.random.default_rng(grain).random(LATTICE * LATTICE)


def _rgb(colour: Colour, skin: Skin, time: float) -> Field:
    hue, saturation, value = colour
    value = min(1.0, value * (1 + skin.light_drift * time))
    return np.array(colorsys.hsv_to_rgb((hue + skin.hue_drift * time) % 1, saturation, value))


PATTERNS: Mapping[str, Callable[[Field, Field, int], Field]] = {
    "stripes": lambda u, *_: np.asarray(0.5 + 0.5 * np.tanh(3 * np.sin(math.tau * u))),
    "checks": lambda u, v, _: np.asarray(0.5 + 0.5 * np.tanh(6 * np.sin(4.4 * u) * np.sin(4.4 * v))),
    "spots": lambda u, v, _: np.asarray(0.5 + 0.5 * np.tanh(5 * (np.cos(math.tau * u) + np.cos(math.tau * v) - 0.5))),
    "cloud": lambda u, v, grain: np.asarray(np.clip(1.8 * noise(2 * u, 2 * v, grain) - 0.4, 0, 1)),
    "gradient": lambda u, *_: np.asarray(0.5 + 0.5 * np.sin(math.pi * u)),
    "patches": lambda u, v, grain: np.asarray(0.5 + 0.5 * np.tanh(14 * (noise(1.5 * u, 1.5 * v, grain) - 0.5))),
}
"""Share of the first colour, 0..1, at surface points, given a seed for those that are random."""
