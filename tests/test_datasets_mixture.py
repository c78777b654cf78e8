"""DAVIS 2016 and DAVIS 2017 unpacked into one folder are noticed before anything is scored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.datasets import Protocol, check_sequences, load_benchmark, load_protocols, load_training
from harness.errors import DataError
from tests.test_datasets_layouts import make_davis16, make_davis17, save_gray, save_palette

MIXED = r"DAVIS 2016 and DAVIS 2017 name folders and files alike.*unpack each into a folder of its own"
DAVIS16, DAVIS17, FOREGROUND = (load_protocols()[f"davis{name}"] for name in ("16-val", "17-val", "17-foreground"))
BEAR = "Annotations/480p/bear"


def overwrite(folder: Path, ids: list[int], frames: int = 4) -> None:
    """Put palette masks with these ids in place of all masks of a folder."""
    for index in range(frames):
        save_palette(folder / f"{index:05d}.png", ids)


def test_masks_of_davis17_under_the_list_of_davis16_are_an_error(tmp_path: Path) -> None:
    overwrite(make_davis16(tmp_path / "DAVIS") / BEAR, [1, 2])
    with pytest.raises(DataError, match=rf"bear/00000\.png: values 1, 2 found, 0 and 255 expected; {MIXED}"):
        load_benchmark(DAVIS16, tmp_path)


def test_the_check_sees_ids_in_any_binary_mask(tmp_path: Path) -> None:
    make_davis16(tmp_path)
    save_palette(tmp_path / BEAR / "00002.png", [1, 2])
    (problem,) = [one for one in check_sequences(load_benchmark(DAVIS16, tmp_path)) if one.severity == "error"]
    assert "00002.png: values 1, 2 found, 0 and 255 expected" in problem.message


@pytest.mark.parametrize("value", [1, 255])
def test_binary_masks_of_one_value_are_read(tmp_path: Path, value: int) -> None:
    overwrite(make_davis16(tmp_path) / BEAR, [value])
    assert load_benchmark(DAVIS16, tmp_path)[0].mask(1).max() == 1


def test_masks_of_davis16_under_the_list_of_davis17_are_an_error(tmp_path: Path) -> None:
    overwrite(make_davis17(tmp_path / "DAVIS") / "Annotations/480p/dogs-jump", [255])
    with pytest.raises(DataError, match=rf"00000\.png: no object in the first mask; 255 is void.*{MIXED}"):
        load_benchmark(DAVIS17, tmp_path)


def test_training_masks_of_davis16_under_davis17_are_an_error(tmp_path: Path) -> None:
    overwrite(make_davis17(tmp_path / "DAVIS", "train") / "Annotations/480p/dogs-jump", [255])
    messages = [one.message for one in check_sequences(load_training("davis17-train", tmp_path))]
    assert any(re.search(f"255 is the only value.*{MIXED}", message) for message in messages)


def mix(folder: Path) -> Path:
    """Make a DAVIS 2017 of two sequences, one of which has the masks of DAVIS 2016."""
    make_davis16(make_davis17(folder))
    (folder / "ImageSets/2017/val.txt").write_text("dogs-jump\nbear\n")
    for index in range(4):
        save_gray(folder / BEAR / f"{index:05d}.png")
    return folder


@pytest.mark.parametrize("protocol", [DAVIS17, FOREGROUND], ids=lambda protocol: protocol.name)
def test_a_list_of_davis17_with_both_kinds_of_masks_is_an_error(tmp_path: Path, protocol: Protocol) -> None:
    mix(tmp_path / "DAVIS")
    with pytest.raises(DataError, match=rf"bear/00000\.png: 0 and 255 found, object ids expected, as in .*{MIXED}"):
        load_benchmark(protocol, tmp_path)


@pytest.mark.parametrize("protocol", ["davis17-val", "davis17-foreground"])
def test_scoring_against_mixed_truth_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    masks = str(mix(tmp_path / "DAVIS") / "Annotations/480p")
    assert main(["score", "--truth", masks, "--pred", masks, "--protocol", protocol]) == 2
    assert "name folders and files alike" in capsys.readouterr().err


def test_scoring_davis16_against_ids_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overwrite(make_davis16(tmp_path) / BEAR, [1, 2])
    masks = str(tmp_path / "Annotations/480p")
    assert main(["score", "--truth", masks, "--pred", masks, "--protocol", "davis16-val"]) == 2
    assert "bear/00000.png: values 1, 2 found, 0 and 255 expected" in capsys.readouterr().err
