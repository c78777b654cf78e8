"""What the second process of a report writes is what the first one would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reports.figures.canvas import Figure, one_panel, save, style
from reports.media.background import Here, second_process


def figure() -> Figure:
    canvas, axes = one_panel("share of the video", "J&F")
    axes.plot([0, 1, 2], [0.2, 0.8, 0.5], label="full", **style(0))
    axes.legend()
    return Figure(name="one", title="", caption="", canvas=canvas)


def test_a_figure_is_the_same_bytes_from_both(tmp_path: Path) -> None:
    places = [tmp_path / "here", tmp_path / "second"]
    for place in places:
        place.mkdir()
    with second_process() as second:
        files = [
            pool.submit(save, figure(), place).result() for pool, place in zip((Here(), second), places, strict=True)
        ]
        assert second.submit(os.getpid).result() != os.getpid()
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


@pytest.mark.parametrize("where", ["here", "second"])
def test_a_folder_that_is_not_there_is_told_by_both(where: str, tmp_path: Path) -> None:
    with second_process() as second, pytest.raises(FileNotFoundError):
        (second if where == "second" else Here()).submit(save, figure(), tmp_path / "gone").result()
