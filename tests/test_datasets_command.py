from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.main import main
from tests.test_datasets_layouts import make_davis16, make_davis17, make_voc


def test_check_counts_available_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_davis16(tmp_path / "data/DAVIS", names=("bear", "camel"))
    make_voc(tmp_path / "data/VOC2012")
    assert main(["data", "check", str(tmp_path / "data"), "--home", str(tmp_path / "home")]) == 0
    out = capsys.readouterr().out
    assert "DAVIS 2016" in out
    assert "PASCAL VOC 2012" in out
    assert "no defects" in out
    assert "not found: DAVIS 2017, DAVIS 2017 test-dev, YouTube-Objects, SegTrack v2, YouTube-VOS 2018," in out


def test_check_lists_every_defect_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_davis17(tmp_path / "data")
    (folder / "ImageSets/2017/val.txt").write_text("dogs-jump\ncows\n")
    (folder / "JPEGImages/480p/dogs-jump/00002.jpg").write_bytes(b"")
    assert main(["data", "check", str(tmp_path / "data"), "--home", str(tmp_path / "home")]) == 1
    out = capsys.readouterr().out
    assert "480p/cows: cannot be listed" in out
    assert "00002.jpg: not a readable image" in out


def test_check_of_a_folder_without_datasets_fails_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "DAVIS 2016 not found" in capsys.readouterr().err


def test_embed_refuses_a_folder_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "something").touch()
    assert main(["data", "embed", str(tmp_path), "--seed", "3"]) == 2
    assert "give a new or empty folder" in capsys.readouterr().err
