"""The embedded miniature, rendered once for all tests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.datasets import (
    Sequence,
    check_sequences,
    data_kind,
    load_benchmark,
    load_protocols,
    load_training,
    write_miniature,
)
from harness.datasets.miniature.scenario import make_scene
from harness.datasets.miniature.scene import render
from harness.datasets.miniature.videos import DAVIS17
from harness.errors import StoreError

VIDEOS = ("davis16-val", "davis17-val")


@pytest.fixture
def root(miniature: Path) -> Path:
    return miniature


def val(root: Path, name: str) -> tuple[Sequence, ...]:
    return load_benchmark(load_protocols()[name], root)


def masks(sequence: Sequence) -> np.ndarray:
    return np.stack([sequence.mask(index) for index in range(len(sequence))])


def objects(root: Path, name: str) -> Iterator[tuple[Sequence, np.ndarray]]:
    """Yield the sequence of every object of a benchmark, and its masks, frames × height × width of bool."""
    for sequence in val(root, name):
        ids = masks(sequence)
        for value in sequence.object_ids:
            yield sequence, ids == value


def test_the_splits_have_enough_videos_for_a_verdict(root: Path) -> None:
    lengths = [len(load_training(name, root)) for name in ("davis16-train", "davis17-train", "voc")]
    assert [*lengths, len(val(root, "davis16-val")), len(val(root, "davis17-val"))] == [16, 12, 72, 20, 6]


def test_the_miniature_passes_the_checks(root: Path) -> None:
    sequences = [s for name in ("davis16-train", "davis17-train", "voc") for s in load_training(name, root)]
    sequences += [s for name in (*VIDEOS, "youtube-objects", "segtrack-v2") for s in val(root, name)]
    assert [problem for problem in check_sequences(sequences) if problem.severity == "error"] == []


def test_the_miniature_is_marked_as_embedded(root: Path) -> None:
    assert data_kind(root) == "embedded"


def test_train_and_val_share_no_video(root: Path) -> None:
    for year in ("davis16", "davis17"):
        train = {sequence.name for sequence in load_training(f"{year}-train", root)}
        assert train.isdisjoint(sequence.name for sequence in val(root, f"{year}-val"))


def test_davis16_masks_are_binary_and_davis17_masks_have_a_palette(root: Path) -> None:
    with Image.open(root / "DAVIS2016/Annotations/480p/mini-box-twin/00000.png") as image:
        assert (image.mode, np.unique(np.asarray(image)).tolist()) == ("L", [0, 255])
    with Image.open(root / "DAVIS2017/Annotations/480p/mini-quad-mix/00000.png") as image:
        assert (image.mode, np.unique(np.asarray(image)).tolist()) == ("P", [0, 1, 2, 3, 4])


def test_davis17_has_two_to_four_objects_per_video(root: Path) -> None:
    counts = [len(s.object_ids) for s in (*val(root, "davis17-val"), *load_training("davis17-train", root))]
    assert set(counts) == {2, 3, 4}


@pytest.mark.parametrize("name", VIDEOS)
def test_some_object_leaves_for_a_few_frames_and_comes_back(root: Path, name: str) -> None:
    areas = [object_masks.sum((1, 2)) for _, object_masks in objects(root, name)]
    gone = [area for area in areas if (area == 0).any()]
    assert gone
    assert all(1 < (area == 0).sum() <= 6 and area[-1] > 0.3 * area[0] for area in gone)


@pytest.mark.parametrize("name", VIDEOS)
def test_the_copied_first_mask_scores_low(root: Path, name: str) -> None:
    for sequence, seen in objects(root, name):
        scored = seen[list(sequence.scored)]
        both, either = (scored & seen[0]).sum((1, 2)), (scored | seen[0]).sum((1, 2))
        overlap = np.where(either, both / np.maximum(either, 1), 1)
        assert overlap.mean() < 0.4, sequence.name


@pytest.mark.parametrize(("name", "share"), [("davis16-val", 0.04), ("davis17-val", 0.03)])
def test_objects_are_neither_tiny_nor_huge_in_the_first_frame(root: Path, name: str, share: float) -> None:
    assert all(share < seen[0].mean() < 0.2 for _, seen in objects(root, name))


def test_the_appearance_of_an_object_changes(root: Path) -> None:
    sequence = next(one for one in val(root, "davis16-val") if one.name == "mini-star-drift")
    hues = []
    for index in (0, len(sequence) - 1):
        angle = cv2.cvtColor(sequence.frame(index), cv2.COLOR_RGB2HSV)[..., 0][sequence.mask(index) == 1] * np.pi / 90
        hues.append(np.angle(np.exp(1j * angle).mean()))
    drift = abs(np.angle(np.exp(1j * (hues[1] - hues[0]))))
    assert drift > 0.08 * 2 * np.pi


def test_the_background_moves(root: Path) -> None:
    for sequence in val(root, "davis16-val"):
        outside = (masks(sequence)[[0, -1]] == 0).all(0)
        change = np.abs(sequence.frame(0).astype(int) - sequence.frame(len(sequence) - 1))[outside]
        assert change.mean() > 8, sequence.name


def test_stills_have_one_to_four_instances_and_void_at_every_border(root: Path) -> None:
    stills = load_training("voc", root)
    assert {len(still.object_ids) for still in stills} == {1, 2, 3, 4}
    for still in stills:
        ids = still.mask(0)
        sides = [(ids[:, :-1], ids[:, 1:]), (ids[:-1], ids[1:])]
        assert all(((a == b) | (a == 255) | (b == 255)).all() for a, b in sides), still.name


def test_youtube_objects_has_ten_classes_and_sparse_labels(root: Path) -> None:
    videos = val(root, "youtube-objects")
    assert len({video.group for video in videos}) == len(videos) == 10
    assert {(len(video), video.scored) for video in videos} == {(21, (10, 20))}
    assert {mask.suffix for video in videos for mask in video.masks if isinstance(mask, Path)} == {".jpg"}


def test_segtrack_has_a_folder_per_object_and_two_file_types(root: Path) -> None:
    videos = val(root, "segtrack-v2")
    assert [len(video.object_ids) for video in videos] == [1, 2, 2, 1]
    assert {path.suffix for video in videos for path in video.frames} == {".png", ".bmp"}
    assert [len(video.masks[0]) for video in videos if isinstance(video.masks[0], tuple)] == [1, 2, 2, 1]


def test_the_seed_decides_the_pixels_of_a_scene() -> None:
    digests = []
    for seed in ("a", "a", "b"):
        image, ids = render(make_scene(DAVIS17["val"]["mini-pair-fake"], seed), 2)
        digests.append(hashlib.sha256(image.tobytes() + ids.tobytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_the_files_have_the_same_bytes_for_the_same_seed(root: Path, tmp_path: Path) -> None:
    again = write_miniature(tmp_path / "again", 0)
    first, second = (
        {path.relative_to(top): path.read_bytes() for path in sorted(top.rglob("*.*"))} for top in (root, again)
    )
    assert first == second


def test_an_existing_miniature_is_kept(root: Path) -> None:
    marker = root / "DAVIS2016/JPEGImages/480p/mini-box-twin/00000.jpg"
    before = marker.stat().st_mtime_ns
    assert write_miniature(root, 0) == root
    assert marker.stat().st_mtime_ns == before


def test_another_seed_never_replaces_a_miniature(root: Path) -> None:
    with pytest.raises(StoreError, match="new or empty folder"):
        write_miniature(root, 1)


def test_a_folder_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="give a new or empty folder"):
        write_miniature(tmp_path / "file/out", 0)


def test_killed_rendering_leaves_no_incomplete_miniature(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.datasets import write_miniature; "
        "write_miniature(Path(sys.argv[1]), 0)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")])
    while not list(tmp_path.glob(".out.*/DAVIS2016")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
