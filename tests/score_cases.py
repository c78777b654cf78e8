"""Made masks on which published evaluators were run: lost, returning, late, small and void objects, and the border."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
VOID = 255
SIZE = (96, 160)
LARGE = (480, 854)

UNSEEN = {"lost", "late"}
"""Videos whose objects are of the category `unseen`."""

ALL_FROM_START = ("steady", "lost", "hidden", "large", "void")
"""Videos whose first mask shows all objects."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """Truth and prediction of all frames; the frames are called 00000001, 00000006, … as in LVOS."""

    name: str
    truth: list[Mask]
    prediction: list[Mask]

    @property
    def starts(self) -> dict[int, int]:
        """Object id → index of the frame that shows it first."""
        found: dict[int, int] = {}
        for index, mask in enumerate(self.truth):
            for value in np.unique(mask).tolist():
                if value not in (0, VOID):
                    found.setdefault(value, index)
        return dict(sorted(found.items()))

    @property
    def frames(self) -> list[str]:
        """Names of the frames."""
        return [f"{1 + 5 * index:08d}" for index in range(len(self.truth))]

    @property
    def category(self) -> str:
        """Category of all objects."""
        return "unseen" if self.name in UNSEEN else "seen"


def made_videos() -> Iterator[Video]:
    """Yield the videos; the same in every call and with every version of NumPy, since nothing is drawn at random."""
    yield _video("steady", SIZE, 14, {1: (30, 40, 14), 2: (60, 150, 16)})
    yield _video("lost", SIZE, 23, {1: (40, 60, 12), 2: (70, 20, 3)}, {1: {5, 6, 7, 15, 16}, 2: {9, 10, 21, 22}})
    absent = {2: {0, 1, 2, 9}, 4: {0, 1, 2, 3, 4, 5, 6, 7}}
    yield _video("late", SIZE, 16, {1: (20, 20, 9), 2: (50, 90, 13), 4: (80, 140, 7)}, absent)
    yield _video("hidden", SIZE, 12, {1: (40, 50, 12), 2: (60, 110, 2), 3: (20, 130, 8)}, {1: {1, 2, 3}, 2: {1, 2, 8}})
    yield _video("large", LARGE, 6, {1: (200, 300, 110), 2: (380, 700, 20)})
    yield _video("void", SIZE, 10, {1: (40, 60, 15), 2: (50, 110, 11)}, void=True)


def _video(
    name: str,
    size: tuple[int, int],
    frames: int,
    places: dict[int, tuple[int, int, int]],
    absent: dict[int, set[int]] | None = None,
    *,
    void: bool = False,
) -> Video:
    """Return a video of ellipses, `places`: id → row, column, radius at the start. `absent`: id → frames without it.

    The prediction is shifted, now and then misses an object, and now and then shows one that is absent."""
    truth, prediction = [], []
    for index in range(frames):
        ours, theirs = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        for number, (row, column, radius) in places.items():
            drift = index * (3 * number % 5 - 1), index * (7 * number % 9 - 4)
            spot = row + drift[0], column + drift[1]
            gone = index in (absent or {}).get(number, ())
            if not gone:
                ours[_ellipse(size, *spot, radius)] = number
            near = spot[0] + (index * number) % 4, spot[1] - (index + number) % 3
            if (index + number) % 7 != 3 if not gone else (index + number) % 4 == 0:
                theirs[_ellipse(size, *near, radius - (index % 3 == 1))] = number
        if void:
            ours[10 + index : 60, 50:56] = VOID
        truth.append(ours)
        prediction.append(theirs)
    return Video(name=name, truth=truth, prediction=prediction)


def _ellipse(size: tuple[int, int], row: int, column: int, radius: int) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return np.asarray((rows - row) ** 2 + ((columns - column) ** 2) // 2 <= radius**2)
