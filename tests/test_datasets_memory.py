"""Memory does not grow with a video's length: nothing is decoded before it is asked for, nothing decoded is kept."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets import Sequence, check_sequences, content_digests, load_benchmark, load_protocols
from harness.score import score_video

SIZE = (360, 640)
FRAME = SIZE[0] * SIZE[1] * 3
"""Bytes of a decoded frame."""

SHORT, LONG = 12, 132


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Sequence]:
    """Return two videos of DAVIS 2017 whose frames are one file under many names."""
    place = tmp_path_factory.mktemp("long")
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    ids = np.zeros(SIZE, np.uint8)
    ids[100:200, 100:300], ids[220:300, 200:500] = 1, 2
    Image.fromarray(image).save(place / "frame.jpg")
    Image.fromarray(ids).save(place / "mask.png")
    found = {}
    for length in (SHORT, LONG):
        for index in range(length):
            for kind, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
                path = place / f"{length}/{kind}/480p/long/{index:05d}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(place / ("frame.jpg" if ending == "jpg" else "mask.png"), path)
        (place / f"{length}/ImageSets/2017").mkdir(parents=True)
        (place / f"{length}/ImageSets/2017/val.txt").write_text("long\n")
        (found[length],) = load_benchmark(load_protocols()["davis17-val"], place / str(length))
    return found


def decode(sequence: Sequence) -> None:
    for index in range(len(sequence)):
        sequence.frame(index)
        sequence.mask(index)


def check(sequence: Sequence) -> None:
    assert check_sequences([sequence]) == []


def digest(sequence: Sequence) -> None:
    content_digests([sequence])


def score(sequence: Sequence) -> None:
    """Score the truth against itself: its masks are palette PNG with the frames' names."""
    first = sequence.masks[0]
    assert isinstance(first, Path)
    score_video(sequence, first.parent)


def peak(work: Callable[[Sequence], object], sequence: Sequence) -> int:
    """Return the largest number of bytes that Python and NumPy hold at once."""
    tracemalloc.start()
    try:
        work(sequence)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("work", [decode, check, digest, score])
def test_ten_times_the_frames_need_no_more_memory(
    videos: dict[int, Sequence], work: Callable[[Sequence], object]
) -> None:
    work(videos[SHORT])  # imports and caches, once
    short, long = (peak(work, videos[length]) for length in (SHORT, LONG))
    assert long - short < 12 * FRAME  # of 120 more frames; how many threads hold one at once is chance


def test_the_memory_measurement_notices_a_video_that_is_kept(videos: dict[int, Sequence]) -> None:
    def keep(sequence: Sequence) -> None:
        _ = [sequence.frame(index) for index in range(len(sequence))]

    assert peak(keep, videos[LONG]) - peak(keep, videos[SHORT]) > 100 * FRAME
