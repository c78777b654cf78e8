"""YouTube-Objects and SegTrack v2 as distributed, with files written by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.datasets import check_sequences, load_benchmark, load_protocols
from harness.errors import DataError
from tests.test_datasets_layouts import make_davis17, save_frame

YOUTUBE, SEGTRACK = (load_protocols()[name] for name in ("youtube-objects", "segtrack-v2"))
SHOT = "aeroplane/data/0001/shots/001"


def save_square(path: Path, left: int = 4, channels: int = 1) -> None:
    """Write 8×8 pixels of 255 in 40×24 of 0, in the format of the path's ending; JPEG blurs it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((24, 40, channels), np.uint8)
    mask[8:16, left : left + 8] = 255
    cv2.imwrite(str(path), mask)


def make_youtube(folder: Path, shot: str = SHOT, labels: tuple[int, ...] = (3, 13, 23)) -> Path:
    for number in range(1, 25):
        save_frame(folder / shot / f"images/frame{number:05d}.png")
    for number in labels:
        save_square(folder / shot / f"labels/{number:05d}.jpg", channels=3)
    (folder / "aeroplane/data/0001/shots/002/images").mkdir(parents=True, exist_ok=True)
    return folder


def make_segtrack(folder: Path) -> Path:
    for name, frame_ending, objects, mask_ending in (
        ("birdfall", "png", [""], "png"),
        ("cheetah", "bmp", ["1/", "2/"], "bmp"),
    ):
        stems = [f"{name}_{number:05d}" for number in (18, 19, 20)]
        for stem in stems:
            save_frame(folder / f"JPEGImages/{name}/{stem}.{frame_ending}")
            for number, place in enumerate(objects):
                channels = 3 if mask_ending == "bmp" else 1
                save_square(folder / f"GroundTruth/{name}/{place}{stem}.{mask_ending}", 2 + 6 * number, channels)
        (folder / "ImageSets").mkdir(exist_ok=True)
        (folder / f"ImageSets/{name}.txt").write_text("\n".join([f"{name}/", *stems, ""]))
    (folder / "ImageSets/all.txt").write_text("*birdfall\n*cheetah\n")
    return folder


def test_youtube_objects_is_scored_after_its_first_label(tmp_path: Path) -> None:
    make_youtube(tmp_path / "YouTube-Objects")
    (sequence,) = load_benchmark(YOUTUBE, tmp_path)
    assert (sequence.name, sequence.group, len(sequence)) == ("aeroplane-0001-001", "aeroplane", 21)
    assert [sequence.frame_name(index) for index in sequence.scored] == ["frame00013", "frame00023"]
    assert [index for index, mask in enumerate(sequence.masks) if mask is not None] == [0, 10, 20]


def test_jpeg_labels_are_thresholded_at_127(tmp_path: Path) -> None:
    make_youtube(tmp_path)
    (sequence,) = load_benchmark(YOUTUBE, tmp_path)
    expected = np.zeros((24, 40), np.uint8)
    expected[8:16, 4:12] = 1
    assert (sequence.mask(10) == expected).all()
    assert check_sequences([sequence]) == []


def test_a_shot_with_one_label_is_skipped(tmp_path: Path) -> None:
    make_youtube(tmp_path)
    make_youtube(tmp_path, "bird/data/0002/shots/001", labels=(5,))
    assert [one.name for one in load_benchmark(YOUTUBE, tmp_path)] == ["aeroplane-0001-001"]


def test_a_label_without_a_frame_is_named(tmp_path: Path) -> None:
    (make_youtube(tmp_path) / SHOT / "images/frame00013.png").unlink()
    with pytest.raises(DataError, match=r"00013\.jpg: no frame of this number"):
        load_benchmark(YOUTUBE, tmp_path)


def test_a_frame_without_a_number_is_named(tmp_path: Path) -> None:
    save_frame(make_youtube(tmp_path) / SHOT / "images/cover.png")
    with pytest.raises(DataError, match=r"cover\.png: no number"):
        load_benchmark(YOUTUBE, tmp_path)


def test_a_tree_without_labels_is_named(tmp_path: Path) -> None:
    make_youtube(tmp_path, labels=())
    with pytest.raises(DataError, match="no labeled shot"):
        load_benchmark(YOUTUBE, tmp_path)


def test_segtrack_reads_stars_folder_lines_and_mixed_endings(tmp_path: Path) -> None:
    make_segtrack(tmp_path / "SegTrackv2")
    birdfall, cheetah = load_benchmark(SEGTRACK, tmp_path)
    assert (birdfall.name, birdfall.object_ids, len(birdfall), birdfall.scored) == ("birdfall", (1,), 3, (1, 2))
    assert (cheetah.name, cheetah.object_ids) == ("cheetah", (1, 2))
    assert check_sequences([birdfall, cheetah]) == []


def test_segtrack_merges_one_folder_per_object_into_ids(tmp_path: Path) -> None:
    make_segtrack(tmp_path)
    cheetah = load_benchmark(SEGTRACK, tmp_path)[1]
    values, counts = np.unique(cheetah.mask(1), return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([0, 1, 2], [24 * 40 - 112, 48, 64])


def test_segtrack_layers_of_different_size_are_named(tmp_path: Path) -> None:
    folder = make_segtrack(tmp_path)
    cv2.imwrite(str(folder / "GroundTruth/cheetah/2/cheetah_00019.bmp"), np.zeros((24, 41), np.uint8))
    cheetah = load_benchmark(SEGTRACK, tmp_path)[1]
    with pytest.raises(DataError, match=r"cheetah/2/cheetah_00019\.bmp"):
        cheetah.mask(1)
    assert "cheetah_00019.bmp" in check_sequences([cheetah])[0].message


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("ImageSets/all.txt", "*../birdfall\n", "plain name expected"),
        ("ImageSets/all.txt", "birdfall\n*birdfall\n", "listed twice"),
        ("ImageSets/birdfall.txt", "../../outside/\nbirdfall_00018\n", "inside the dataset"),
        ("ImageSets/birdfall.txt", "birdfall/\n../birdfall_00018\n", "plain name expected"),
        ("ImageSets/birdfall.txt", "birdfall/\n", "one line found"),
        ("ImageSets/birdfall.txt", "", "empty"),
        ("GroundTruth/birdfall/7/x.png", "", r"1, 2, … expected"),
    ],
)
def test_a_damaged_segtrack_list_or_tree_is_named(tmp_path: Path, path: str, text: str, message: str) -> None:
    file = make_segtrack(tmp_path) / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        load_benchmark(SEGTRACK, tmp_path)


def test_a_missing_segtrack_mask_is_found_by_the_checks(tmp_path: Path) -> None:
    (make_segtrack(tmp_path) / "GroundTruth/cheetah/1/cheetah_00020.bmp").unlink()
    (problem,) = check_sequences(load_benchmark(SEGTRACK, tmp_path))
    assert "1/cheetah_00020.bmp: mask missing" in problem.message


def test_a_segtrack_object_missing_in_the_first_frame_is_skipped(tmp_path: Path) -> None:
    folder = make_segtrack(tmp_path)
    cv2.imwrite(str(folder / "GroundTruth/cheetah/1/cheetah_00018.bmp"), np.zeros((24, 40), np.uint8))
    cheetah = load_benchmark(SEGTRACK, tmp_path)[1]
    assert cheetah.object_ids == (1,)
    assert np.unique(cheetah.mask(1)).tolist() == [0, 1]
    assert cheetah.mask(1)[10, 8]


def test_test_dev_has_first_masks_and_nothing_to_score(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path / "DAVIS-2017-test-dev", "test-dev")
    for path in sorted((folder / "Annotations/480p/dogs-jump").iterdir())[1:]:
        path.unlink()
    (sequence,) = load_benchmark(load_protocols()["davis17-test-dev"], tmp_path)
    assert (sequence.object_ids, sequence.scored, sequence.masks[1:]) == ((1, 2), (), (None, None, None))
    assert check_sequences([sequence]) == []
