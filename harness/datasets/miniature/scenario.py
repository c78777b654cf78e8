"""From a theme and a seed to a scene: things are drawn at random until the scene shows what the theme asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import numpy as np

from harness.datasets.miniature.scene import Actor, Backdrop, Point, Scene, render_alone, render_ids
from harness.datasets.miniature.shapes import KINDS, Shape, make_shape, unit_area
from harness.datasets.miniature.textures import Skin, make_lookalike, make_skin

MAX_STEP = 0.25
"""Between two frames, of an object's diameter."""

MAX_ATTEMPTS = 10_000
"""The hardest theme takes about a hundred."""

MAX_COPY = 0.35
"""Mean overlap (J) of the first mask with the later ones: what copying it would score."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """What a video shows."""

    objects: tuple[str, ...]
    """Kind of each object, ids from 1."""

    share: tuple[float, float] = (0.09, 0.17)
    """Of the frame that an object covers at the start."""

    drift: float = 0.35
    """Of the objects' look: 0 none, 1 far."""

    leaves: bool = False
    """Object 1 leaves the frame, is away for some frames and comes back."""

    poles: int = 0
    """Standing things in front, which the objects pass behind."""

    lookalikes: int = 0
    """Moving things that nearly look like object 1 and are not annotated."""

    twins: bool = False
    """The objects nearly look like each other."""

    turn: float = 1.2
    """Radians over the video, up to."""

    growth: float = 1.25
    """Radius at the end to that at the start, up to; or one by that."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """Size of what is rendered."""

    width: int = 160
    height: int = 96
    frames: int = 22


def direct(theme: Theme, film: Film, seed: str) -> Scene:
    """The scene of a theme, the same for the same seed: the first proposal that shows what the theme asks for.

    Raises ValueError if none of MAX_ATTEMPTS does."""
    for attempt in range(MAX_ATTEMPTS):
        scene = _propose(theme, film, Random(f"{seed}/{attempt}"))
        if _shows(scene, theme):
            return scene
    raise ValueError(f"{theme} cannot be shown in {film}: {MAX_ATTEMPTS} proposals failed")


def direct_still(width: int, height: int, seed: str) -> Scene:
    """A still image with one to four instances, each in sight. Raises ValueError as direct does."""
    film = Film(width=width, height=height, frames=1)
    for attempt in range(MAX_ATTEMPTS):
        random = Random(f"{seed}/{attempt}")
        number = random.choice((1, 1, 2, 2, 3, 4))
        theme = Theme(
            objects=tuple(random.choice(KINDS) for _ in range(number)),
            share=(0.05, 0.22 if number < 3 else 0.12),
            poles=int(random.random() < 0.25),
            lookalikes=int(random.random() < 0.2),
        )
        scene = _propose(theme, film, random)
        if _starts_well(scene, 0.55):
            return scene
    raise ValueError(f"no still of {width}×{height} shows its instances: {MAX_ATTEMPTS} proposals failed")


def _propose(theme: Theme, film: Film, random: Random) -> Scene:
    pan = (random.choice((-1, 1)) * random.uniform(8, 40), random.uniform(-10, 10))
    objects = _objects(theme, film, random)
    hue = objects[0].skin.colours[0][0]
    backdrop = Backdrop(
        skins=(_backdrop_skin(hue, random), _backdrop_skin(hue, random)),
        grain=random.randrange(1 << 30),
        cell=random.uniform(26, 44),
        pan=pan,
    )
    fakes = [
        _mover(random.choice(KINDS[:3]), make_lookalike(objects[0].skin, random), theme, film, random)
        for _ in range(theme.lookalikes)
    ]
    like = objects[0]
    fakes = [replace(fake, shape=replace(like.shape, waves=fake.shape.waves), radius=like.radius) for fake in fakes]
    order = list(objects)
    random.shuffle(order)
    actors = [*_clutter(pan, film, random), *fakes, *order, *_poles(theme.poles, pan, film, random)]
    return Scene(
        width=film.width,
        height=film.height,
        frames=film.frames,
        backdrop=backdrop,
        actors=tuple(actors),
        grain=random.randrange(1 << 30),
    )


def _objects(theme: Theme, film: Film, random: Random) -> list[Actor]:
    objects: list[Actor] = []
    for number, kind in enumerate(theme.objects, start=1):
        skin = make_skin(random, (0.5, 0.95), 0.75, theme.drift)
        if theme.twins and objects:
            skin = make_lookalike(objects[0].skin, random)
        leaves = theme.leaves and number == 1
        objects.append(replace(_mover(kind, skin, theme, film, random, leaves=leaves), object_id=number))
    return objects


def _mover(kind: str, skin: Skin, theme: Theme, film: Film, random: Random, *, leaves: bool = False) -> Actor:
    shape = make_shape(kind, random)
    radius = math.sqrt(random.uniform(*theme.share) * film.width * film.height / unit_area(shape))
    growth = random.uniform(1, theme.growth) ** random.choice((-1, 1))
    if leaves:
        growth = 1.0  # it must not grow into the frame from outside
    turn = random.uniform(-theme.turn, theme.turn) * (0.4 if kind == "walker" else 1)
    angle = random.uniform(-0.4, 0.4) if kind == "walker" else random.uniform(0, math.tau)
    path = _path_out_and_back(radius, film, random) if leaves else _path(radius * min(1, growth), film, random)
    return Actor(shape=shape, skin=skin, path=path, radius=radius, growth=growth, angle=angle, turn=turn)


def _path(radius: float, film: Film, random: Random) -> tuple[Point, ...]:
    """Four points in the frame, each as far from the last as the object may go, and seldom back."""
    longest = 0.8 * MAX_STEP * 2 * radius * (film.frames - 1) / 3
    points = [_place(film, random)]
    if film.frames == 1:
        return tuple(points)
    heading = random.uniform(0, math.tau)
    while len(points) < 4:
        heading += random.uniform(-0.9, 0.9)
        step = longest * random.uniform(0.55, 1.0)
        x, y = points[-1][0] + step * math.cos(heading), points[-1][1] + 0.7 * step * math.sin(heading)
        if 0.1 * film.width < x < 0.9 * film.width and 0.2 * film.height < y < 0.8 * film.height:
            points.append((x, y))
        else:
            heading += random.uniform(0.5, 2.5)
    return tuple(points)


def _path_out_and_back(radius: float, film: Film, random: Random) -> tuple[Point, ...]:
    """Out over the left or right edge, a wait there, and in again at another height."""
    diameter = 2 * radius
    places = (0.92, 0.3, -0.85, -0.85, 0.25, 0.95)
    heights = [random.uniform(0.35, 0.65) * film.height] * 3 + [random.uniform(0.3, 0.7) * film.height] * 3
    xs = [place * diameter for place in places]
    if random.random() < 0.5:
        xs = [film.width - x for x in xs]
    return tuple(zip(xs, heights, strict=True))


def _place(film: Film, random: Random) -> Point:
    return random.uniform(0.15, 0.85) * film.width, random.uniform(0.28, 0.72) * film.height


def _clutter(pan: Point, film: Film, random: Random) -> list[Actor]:
    """Small things that stand on the background and pan with it, of the objects' own shapes and patterns."""
    actors = []
    for _ in range(random.randint(5, 9)):
        start = (
            random.uniform(-abs(pan[0]), film.width + abs(pan[0])),
            random.uniform(0, film.height),
        )
        actors.append(
            Actor(
                shape=replace(make_shape(random.choice(KINDS), random), swing=0.0),
                skin=make_skin(random, (0.3, 0.8), 0.6, 0.0),
                path=(start, (start[0] - pan[0], start[1] - pan[1])),
                radius=random.uniform(4, 9),
                angle=random.uniform(0, math.tau),
            )
        )
    return actors


def _poles(number: int, pan: Point, film: Film, random: Random) -> list[Actor]:
    """Standing things nearer than the objects: they pan faster than the background."""
    actors = []
    for _ in range(number):
        x = random.uniform(0.3, 0.7) * film.width
        radius = random.uniform(5.5, 8)
        actors.append(
            Actor(
                shape=Shape(kind="box", aspect=1.2 * film.height / radius, exponent=9.0),
                skin=make_skin(random, (0.2, 0.6), 0.5, 0.0),
                path=((x, film.height / 2), (x - 0.5 * pan[0], film.height / 2)),
                radius=radius,
                angle=random.uniform(-0.12, 0.12),
            )
        )
    return actors


def _backdrop_skin(avoid: float, random: Random) -> Skin:
    """Duller than an object, and of another hue than `avoid`."""
    skin = make_skin(random, (0.12, 0.5), 0.55, 0.0)
    darker, shift = random.uniform(0.6, 1.0), avoid + random.uniform(0.2, 0.8) - skin.colours[0][0]
    first, second = (((hue + shift) % 1, saturation, value * darker) for hue, saturation, value in skin.colours)
    return replace(skin, colours=(first, second), frequency=random.uniform(0.9, 2.2))


def _shows(scene: Scene, theme: Theme) -> bool:
    """Whether the video shows its theme: all objects at the start, none too fast, too still or away too long."""
    if not _starts_well(scene, 0.9):
        return False
    videos = np.stack([render_ids(scene, index) for index in range(scene.frames)])
    small = 0.25 * theme.share[0] * scene.width * scene.height
    for actor in scene.actors:
        if not actor.object_id:
            continue
        masks = videos == actor.object_id
        areas = masks.sum((1, 2))
        away = int((areas == 0).sum())
        wanted = (2, 6) if theme.leaves and actor.object_id == 1 else (0, 0)
        if not wanted[0] <= away <= wanted[1] or (areas < small).mean() > (0.5 if wanted[1] else 0.25):
            return False
        if areas[-1] < 2 * small or _copied(masks) > MAX_COPY or _fastest(masks, actor.radius) > MAX_STEP:
            return False
    return theme.poles == 0 or _is_crossed(scene, videos)


def _starts_well(scene: Scene, least: float) -> bool:
    """All objects in the first frame, each in sight for at least a share of what it would be alone."""
    ids = render_ids(scene, 0)
    chief = next(actor for actor in scene.actors if actor.object_id == 1)
    for actor in scene.actors:
        if (
            actor.skin.hue_drift
            and not actor.object_id
            and math.dist(actor.path[0], chief.path[0]) < 1.6 * chief.radius
        ):
            return False  # a look-alike begins apart from what it looks like
        if actor.object_id:
            whole = unit_area(actor.shape) * actor.radius**2
            if (ids == actor.object_id).sum() < least * whole:
                return False
    return True


def _copied(masks: np.ndarray) -> float:
    """Mean J of the first mask copied to the frames that are scored."""
    first, rest = masks[0], masks[1:-1]
    both, either = (rest & first).sum((1, 2)), (rest | first).sum((1, 2))
    return float(np.mean(both / either))


def _fastest(masks: np.ndarray, radius: float) -> float:
    """Largest step of the centre of what is seen, in diameters; occluded and cut frames left out."""
    areas = masks.sum((1, 2))
    clear = areas > 0.8 * areas[0]
    y, x = np.mgrid[: masks.shape[1], : masks.shape[2]]
    centres = [(float(x[m].mean()), float(y[m].mean())) if ok else None for m, ok in zip(masks, clear, strict=True)]
    steps = [math.dist(a, b) for a, b in pairwise(centres) if a and b]
    return max(steps, default=0.0) / (2 * radius)


def _is_crossed(scene: Scene, videos: np.ndarray) -> bool:
    """Whether some object loses at least a third of itself to what stands in front, in two frames or more."""
    for actor in scene.actors:
        if actor.object_id:
            alone = [render_alone(scene, actor, index) for index in range(scene.frames)]
            seen = (videos == actor.object_id).sum((1, 2))
            if (seen < 0.67 * np.array(alone)).sum() >= 2:
                return True
    return False
