"""The embedded miniatures of YouTube-VOS and LVOS: late objects, unseen categories, long videos."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.datasets import (
    check_sequences,
    data_kind,
    embedded_data,
    load_benchmark,
    load_protocols,
    load_training,
    write_today,
)
from harness.datasets.miniature.today import FOLDERS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("today")
    write_today(folder, 0)
    return folder


def test_both_pass_the_checks_and_are_marked_as_embedded(root: Path) -> None:
    found = [load_benchmark(load_protocols()[name], root) for name in ("youtube-vos-2019-local", "lvos-v2-val")]
    problems = check_sequences([*found[0], *found[1], *load_training("youtube-vos-2019-train", root)])
    assert [problem.message for problem in problems if problem.severity == "error"] == []
    assert [data_kind(root / folder) for folder in FOLDERS.values()] == ["embedded"] * 2


def test_youtube_vos_has_late_objects_and_both_kinds_of_categories(root: Path) -> None:
    local = load_benchmark(load_protocols()["youtube-vos-2019-local"], root)
    assert len(local) == 6
    assert len(load_training("youtube-vos-2019-rest", root)) == 3
    assert sum(bool(one.starts) for one in local) == 3
    categories = [category for one in local for category in one.categories]
    assert (categories.count("seen"), categories.count("unseen")) == (8, 4)


def test_lvos_has_600_frames_and_an_object_that_comes_back(root: Path) -> None:
    videos = {one.name: one for one in load_benchmark(load_protocols()["lvos-v2-val"], root)}
    assert {len(one) for one in videos.values()} == {600}
    assert {len(one.scored) for one in videos.values()} == {118}
    again = videos["mini-long-again"]
    shown = [bool((again.mask(index) == 1).any()) for index in (0, *again.scored)]
    gone = [index for index, seen in enumerate(shown) if not seen]
    assert len(gone) > 15
    assert shown[0]
    assert shown[-1]
    assert videos["mini-long-late"].starts[1] > 100
    assert {one.categories[0] for one in videos.values()} == {"seen", "unseen"}


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    write_today(tmp_path, 0, ["youtube-vos-2019"])
    digests = [
        {path.relative_to(top): hashlib.sha256(path.read_bytes()).digest() for path in sorted(top.rglob("*.*"))}
        for top in (root / "YouTube-VOS-2019", tmp_path / "YouTube-VOS-2019")
    ]
    assert digests[0] == digests[1]


def test_a_home_gets_them_only_when_they_are_asked_for(miniature: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "embedded-1"
    folder.parent.mkdir()
    folder.symlink_to(miniature)
    said: list[str] = []
    assert embedded_data(tmp_path, said.append, ["davis16"]) == folder
    assert said == []
    assert not any((folder / name).exists() for name in FOLDERS.values())
