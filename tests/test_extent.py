"""A split says how much of it was published, and data that differs says so wherever its numbers appear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.datasets import Extent, load_benchmark, load_protocols, load_training_sets, locate
from harness.datasets.locate import Located
from tests.engine import make_davis16
from tests.test_datasets_layouts import make_voc, save_gray
from tests.test_datasets_sparse_layouts import make_youtube

DAVIS16, YOUTUBE = load_protocols()["davis16-val"], load_protocols()["youtube-objects"]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Extent(sequences=20, objects=40, frames=200), ""),
        (Extent(sequences=2, objects=3, frames=20), "2 of 20 sequences"),
        (Extent(sequences=22, objects=44, frames=220), "22 sequences instead of 20"),
        (Extent(sequences=20, objects=39, frames=199), "39 of 40 objects, 199 of 200 frames"),
        (Extent(classes=3, sequences=3), "3 of 10 classes, 3 of 20 sequences"),
        (Extent(classes=10), ""),
    ],
)
def test_a_difference_names_what_is_missing_or_too_much(found: Extent, text: str) -> None:
    assert Extent(classes=10, sequences=20, objects=40, frames=200).difference(found) == text


def test_every_shipped_split_says_how_many_sequences_it_has() -> None:
    entries = {**load_protocols(), **load_training_sets()}
    assert [name for name, entry in entries.items() if entry.extent.sequences is None and entry.held_out is None] == []


def test_a_mean_over_classes_says_how_many_there_are() -> None:
    over_classes = [one for one in load_protocols().values() if one.averaging == "classes"]
    assert [one.extent.classes for one in over_classes] == [10]


def difference(located: Located) -> str:
    return located.difference([read() for read in located.readers().values()])


def test_a_shortened_list_is_a_part_of_the_benchmark(tmp_path: Path) -> None:
    located = locate(make_davis16(tmp_path), DAVIS16)
    assert difference(located) == "2 of 20 sequences"


def test_generated_data_has_an_extent_of_its_own(tmp_path: Path) -> None:
    located = locate(make_davis16(tmp_path), DAVIS16)
    (tmp_path / "EMBEDDED.txt").touch()
    assert difference(located) == ""


def test_a_training_set_that_another_enlarges_has_its_extent(tmp_path: Path) -> None:
    voc = load_training_sets()["voc"]
    located = locate(make_voc(tmp_path / "VOC2012").parent, voc)
    assert located.expected.sequences == 2913
    assert voc.enlarged_by
    larger = Located(entry=voc.enlarged_by, root=tmp_path, folder=tmp_path / "SBD")
    assert Located(entry=voc, root=tmp_path, folder=located.folder, enlarged_by=larger).expected.sequences == 11355


def test_youtube_objects_without_aeroplane_is_found(tmp_path: Path) -> None:
    make_youtube(tmp_path / "YouTube-Objects", "bird/data/0001/shots/001")
    (tmp_path / "YouTube-Objects/aeroplane").rename(tmp_path / "elsewhere")
    (sequence,) = load_benchmark(YOUTUBE, tmp_path)
    assert sequence.group == "bird"
    assert difference(locate(tmp_path, YOUTUBE)) == "1 of 10 classes, 1 of 126 sequences"


def test_a_skipped_video_belongs_to_the_extent(tmp_path: Path) -> None:
    make_youtube(make_youtube(tmp_path), "bird/data/0002/shots/001", labels=(5,))
    located = locate(tmp_path, YOUTUBE)
    assert located.difference(load_benchmark(YOUTUBE, tmp_path)) == "1 of 10 classes, 2 of 126 sequences"


def test_the_check_of_the_data_notes_a_partial_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(make_davis16(tmp_path)), "--home", str(tmp_path / "home")]) == 0
    out = capsys.readouterr().out
    assert "note: DAVIS16 val: 2 of 20 sequences, not the published whole" in out
    assert "note: DAVIS16 train: 2 of 30 sequences, not the published whole" in out


def score(data: Path, out: Path) -> int:
    masks = str(data / "DAVIS2016/Annotations/480p")
    return main(["score", "--truth", masks, "--pred", masks, "--protocol", "davis16-val", "--out", str(out)])


def test_a_partial_score_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(make_davis16(tmp_path), tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "mean over sequences (2 of 20 sequences)" in out
    assert "2 of 20 sequences: not the result of DAVIS16 val" in out
    assert json.loads((tmp_path / "out/total.json").read_text())["extent"] == "2 of 20 sequences"


def test_a_whole_score_says_nothing_about_its_extent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = str(tmp_path / "masks")
    for number in range(30):
        for index in range(3):
            save_gray(Path(masks) / f"s{number}/{index:05d}.png")
    options = ["--truth", masks, "--pred", masks, "--protocol", "davis17-foreground", "--out", str(tmp_path / "out")]
    assert main(["score", *options]) == 0
    assert "mean over sequences " in capsys.readouterr().out
    assert "extent" not in json.loads((tmp_path / "out/total.json").read_text())
