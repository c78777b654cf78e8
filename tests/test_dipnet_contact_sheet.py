"""The contact sheet of training samples, and its command."""

from pathlib import Path

import pytest

from dipnet.config import DIPNetConfig, PropagationConfig, SegmentationConfig
from dipnet.contact_sheet import TILE, contact_sheet, main
from tests.engine import make_davis16
from tests.videos import Squares


def test_the_contact_sheet_shows_every_kind_of_sample() -> None:
    small = DIPNetConfig(
        propagation=PropagationConfig(backbone="mini", size=64, output_stride=16),
        segmentation=SegmentationConfig(backbone="mini", size=64),
    )
    for videos in ([Squares(void=True)], [Squares(length=1), Squares(length=1, seed=1)]):
        sheet = contact_sheet(videos, small, rows=2)
        assert sheet.shape == (20 + 2 * TILE, 3 * (3 * TILE + 8), 3)
        lefts = [block * (3 * TILE + 8) + column * TILE for block in range(3) for column in range(3)]
        assert all(sheet[20 : 20 + TILE, left : left + TILE].std() > 5 for left in lefts)


def test_the_command_of_the_contact_sheet_draws_a_training_set(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = make_davis16(tmp_path)
    assert main([str(root), "davis16-train", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert main([str(root), "voc", str(tmp_path / "sheet.png")]) == 2
    assert "PASCAL VOC" in capsys.readouterr().err
