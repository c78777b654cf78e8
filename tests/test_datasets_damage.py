"""Damage of every kind is checked by the command: a named error or tolerated, never a traceback.

Nothing outside of the data root is opened."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.cli.main import main
from harness.datasets import check_part, find_parts, list_entries, load_protocols, read_mask
from harness.errors import DataError
from harness.planning.inputs import gather
from tests.damage import ERRORS, FRAME16, LAYOUTS, LIST16, MASK16, MASK17, SBD, TOLERATED, Damage, at, save_short
from tests.test_datasets_check import truncate
from tests.test_datasets_layouts import make_davis16, make_davis17, make_voc, save_frame, save_gray

_opened: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event in {"open", "os.scandir", "os.listdir"}:
        _opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else "")


sys.addaudithook(_listen)  # for good: hooks cannot be taken back


@contextmanager
def listening() -> Iterator[list[str]]:
    """Yield a list that collects what this process opens and lists."""
    global _opened  # noqa: PLW0603
    _opened = opened = []
    try:
        yield opened
    finally:
        _opened = None


def make(place: Path, layout: str, damage: Damage) -> Path:
    """Create a data root with a damaged dataset, and next to it the folder `outside`; return the data root."""
    folder, maker = LAYOUTS[layout]
    maker(place / "data" / folder)
    save_frame(place / "outside/00000.jpg")
    save_gray(place / "outside/00000.png")
    (place / "outside/list.txt").write_text("dogs-jump\n")
    (place / "outside/bird/data/0001/shots/001/labels").mkdir(parents=True)
    damage(place / "data" / folder)
    return place / "data"


def check(place: Path, root: Path) -> int:
    """Return the status of the command; fail if it opens something outside."""
    with listening() as opened:
        status = main(["data", "check", str(root), "--home", str(place / "home")])
    assert opened
    assert not [path for path in opened if "outside" in os.path.realpath(path).removeprefix(str(place))]
    assert not [path for path in opened if path.startswith("/etc/")]
    return status


def test_at_least_40_kinds_of_damage_are_covered() -> None:
    assert len(ERRORS) + len(TOLERATED) >= 40


@pytest.mark.parametrize("name", ERRORS)
def test_damage_is_a_named_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    layout, damage, message = ERRORS[name]
    status = check(tmp_path, make(tmp_path, layout, damage))
    out = capsys.readouterr().out
    errors = [line for line in out.splitlines() if line.startswith("error: ")]
    assert status == 1, out
    assert errors
    assert all(str(tmp_path) in line for line in errors)  # the file
    assert any(re.search(message, line) for line in errors), out


@pytest.mark.parametrize("name", TOLERATED)
def test_an_oddity_is_tolerated(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    layout, damage = TOLERATED[name]
    status = check(tmp_path, make(tmp_path, layout, damage))
    assert (status, "no defects" in (out := capsys.readouterr().out)) == (0, True), out


@contextmanager
def without_rights() -> Iterator[None]:
    """Drop root's permission to read every file."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("layout", "place", "message"),
    [
        ("davis16", FRAME16, r"00002\.jpg: not a readable image .*Permission denied"),
        ("davis16", MASK16, r"00002\.png: not a readable mask .*Permission denied"),
        ("davis16", LIST16, r"val\.txt: the list cannot be read \(Permission denied\)"),
        ("davis17", "Annotations/480p/dogs-jump", "Permission denied"),
        ("youtube", "aeroplane/data/0001", "Permission denied"),
        ("segtrack", "GroundTruth/cheetah/1", "Permission denied"),
        ("sbd", f"{SBD}/inst", "Permission denied|cannot be followed"),
    ],
)
def test_a_missing_permission_is_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, layout: str, place: str, message: str
) -> None:
    home = tmp_path_factory.mktemp("rights")
    root = make(home, layout, lambda folder: None)
    path = root / LAYOUTS[layout][0] / place
    above = [folder for folder in path.parents if folder.stat().st_uid == os.geteuid() and folder != Path("/")]
    modes = {folder: folder.stat().st_mode for folder in [*above, path]}
    try:
        for folder in above:
            folder.chmod(modes[folder] | 0o055)
        path.chmod(0)
        with without_rights():
            parts = [check_part(part, None) for part in find_parts(root, list_entries())]
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
    errors = [problem.message for part in parts for problem in part.errors]
    assert errors
    assert any(re.search(message, error) for error in errors), errors


def test_a_root_that_is_not_utf8_is_a_named_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        Path(root).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert main(["data", "check", root, "--home", str(tmp_path / "home")]) == 2
    assert "not a UTF-8 name" in capsys.readouterr().err


def test_a_study_reports_the_defects_of_all_benchmarks_at_once(tmp_path: Path) -> None:
    make(tmp_path, "davis16", at(FRAME16, truncate))
    make_davis16(tmp_path / "data/DAVIS2016", "train", ("boat",))
    truncate(tmp_path / "data/DAVIS2016/JPEGImages/480p/boat/00001.jpg")
    damage17 = make_davis17(tmp_path / "data/DAVIS2017")
    truncate(damage17 / MASK17)
    truncate(damage17 / MASK17.replace("2.", "0."))
    truncate(make_voc(tmp_path / "data/VOC2012") / "JPEGImages/2007_000032.jpg")
    protocols = load_protocols()
    with pytest.raises(DataError) as caught:
        gather([protocols["davis16-val"], protocols["davis17-val"]], tmp_path / "data", tmp_path / "facts.sqlite")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].removeprefix(f"{tmp_path}/data/") for line in lines] == [
        "VOC2012/JPEGImages/2007_000032.jpg",
        "DAVIS2016/JPEGImages/480p/boat/00001.jpg",
        f"DAVIS2016/{FRAME16}",
        f"DAVIS2017/{MASK17.replace('2.', '0.')}",
    ]


def test_a_mask_with_missing_pixels_cannot_be_read(tmp_path: Path) -> None:
    save_short(tmp_path / "mask.png")
    with pytest.raises(DataError, match="its pixels end early"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(40, 24), (1, 1), (7, 3)])
def test_a_mask_of_any_mode_is_read(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    image = Image.new("L", size, 255).convert(mode)
    image.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").shape == size[::-1]
