from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from harness.datasets import Sequence, content_digests, load_benchmark, load_protocols
from harness.errors import DataError, StoreError
from tests.test_datasets_layouts import make_davis17, save_frame, save_palette


def read17(root: Path, name: str = "davis17-val") -> Sequence:
    return load_benchmark(load_protocols()[name], root)[0]


def digest(sequence: Sequence, cache: Path | None = None) -> str:
    return content_digests([sequence], cache)[0]


def digest_in_another_process(root: Path, cache: Path) -> str:
    return digest(read17(root), cache)


def test_a_digest_ignores_folders_and_time_stamps(tmp_path: Path) -> None:
    here = make_davis17(tmp_path / "here")
    shutil.copytree(here, tmp_path / "there/DAVIS")
    for path in here.rglob("*.*"):
        os.utime(path, (1, 1))
    assert digest(read17(here)) == digest(read17(tmp_path / "there"))


def test_a_digest_changes_with_frames_masks_names_and_merging(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path)
    found = {digest(read17(folder)), digest(read17(folder, "davis17-foreground"))}
    save_frame(folder / "JPEGImages/480p/dogs-jump/00001.jpg", (41, 25))
    found.add(digest(read17(folder)))
    save_palette(folder / "Annotations/480p/dogs-jump/00003.png", [2], (41, 24))
    found.add(digest(read17(folder)))
    for kind, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
        last = folder / f"{kind}/480p/dogs-jump/00003.{ending}"
        last.rename(last.with_name(f"00004.{ending}"))
        shutil.copy(last.with_name(f"00002.{ending}"), last)
    found.add(digest(read17(folder)))
    assert len(found) == 5


def test_a_cached_digest_follows_changes(tmp_path: Path) -> None:
    folder, cache = make_davis17(tmp_path / "data"), tmp_path / "home/cache.sqlite"
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    first = digest(read17(folder), cache)
    assert (first, first) == (digest(read17(folder)), digest(read17(folder), cache))
    save_frame(folder / "JPEGImages/480p/dogs-jump/00001.jpg", (41, 25))
    assert digest(read17(folder), cache) == digest(read17(folder)) != first


def test_a_recent_time_stamp_is_not_trusted(tmp_path: Path) -> None:
    folder, cache = make_davis17(tmp_path / "data"), tmp_path / "cache.sqlite"
    path = folder / "JPEGImages/480p/dogs-jump/00001.jpg"
    first = digest(read17(folder), cache)
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest(read17(folder), cache) != first


def test_many_processes_share_a_cache(tmp_path: Path) -> None:
    folder, cache = make_davis17(tmp_path / "data"), tmp_path / "cache.sqlite"
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.starmap(digest_in_another_process, [(folder, cache)] * 8)
    assert set(found) == {digest(read17(folder))}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = make_davis17(tmp_path) / "JPEGImages/480p/dogs-jump/00001.jpg"
    path.unlink()
    with pytest.raises(DataError, match=r"00001\.jpg"):
        digest(read17(tmp_path))


def test_a_cache_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    folder = make_davis17(tmp_path / "data")
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose another home"):
        digest(read17(folder), tmp_path / "file/cache.sqlite")
