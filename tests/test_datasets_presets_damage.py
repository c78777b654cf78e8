from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.datasets import check_part, find_parts, load_protocols, write_mask
from harness.errors import DataError
from tests.trees import SA_V, TREES, ids, meta, save_video, write_meta

YOUTUBE, MOSE, LVOS, VOST, SA = "youtube-vos-2019-local", "mose-v1-local", "lvos-v2-val", "vost-val", "sa-v-val"
TRAIN, D = "YouTube-VOS-2019/train", "YouTube-VOS-2019/train/Annotations/d"
LIST, OBJECTS = "VOST/ImageSets/val.txt", "sav_val/Annotations_6fps/sav_000001"

Damage = Callable[[Path], object]


def text(path: str, content: str | bytes) -> Damage:
    """Replace a file by this content."""
    return lambda root: (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def without(*paths: str) -> Damage:
    """Remove files."""

    def damage(root: Path) -> None:
        for path in paths:
            (root / path).unlink()

    return damage


def moved(path: str, name: str) -> Damage:
    return lambda root: (root / path).rename((root / path).with_name(name))


def copied(path: str, name: str) -> Damage:
    return lambda root: (root / path).with_name(name).write_bytes((root / path).read_bytes())


def cut(path: str) -> Damage:
    return lambda root: (root / path).write_bytes((root / path).read_bytes()[:-40])


def image(path: str, array: Any, **options: Any) -> Damage:
    """Replace a file by an image of these pixels."""
    return lambda root: Image.fromarray(array).save(root / path, **options)


def objects(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the videos of YouTube-VOS's meta.json."""

    def damage(root: Path) -> None:
        path = root / TRAIN / "meta.json"
        content = json.loads(path.read_text())
        change(content["videos"])
        path.write_text(json.dumps(content))

    return damage


def linked(path: str) -> Damage:
    """Replace a file or folder by a link to it, out of the dataset."""

    def damage(root: Path) -> None:
        away = root / "elsewhere"
        (root / path).rename(away)
        (root / path).symlink_to(away)

    return damage


def taken_out(*names: str) -> Damage:
    """Move videos of MOSE's train out of the dataset."""

    def damage(root: Path) -> None:
        for part in ("JPEGImages", "Annotations"):
            for name in names:
                (root / "MOSE/train" / part / name).rename(root / f"{part}-{name}")

    return damage


def emptied(folder: str) -> Damage:
    """Remove all objects from the masks in a folder."""

    def damage(root: Path) -> None:
        for path in (root / folder).iterdir():
            write_mask(path, ids())

    return damage


def unpadded(root: Path) -> None:
    for name in ("x9.jpg", "x10.jpg"):
        copied("LVOS-v2/val/JPEGImages/seen/00000007.jpg", name)(root)


def description(old: str, new: str) -> Damage:
    return lambda root: (root / "sav_val/dataset.yaml").write_text(SA_V.replace(old, new))


def many_objects(root: Path) -> None:
    for number in range(2, 256):
        place = root / OBJECTS / f"{number:03d}"
        place.mkdir()
        write_mask(place / "00000.png", ids(1))


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

DAMAGES: dict[str, tuple[str, Damage, str]] = {
    # the file of the objects
    "no meta.json": (YOUTUBE, without(f"{TRAIN}/meta.json"), r"meta.json: cannot be read .*restore"),
    "a web page": (YOUTUBE, text(f"{TRAIN}/meta.json", "<html>"), r"meta.json: no JSON .*download it again"),
    "bytes": (YOUTUBE, text(f"{TRAIN}/meta.json", b"\xff\xfe{}"), r"meta.json: no JSON .*download it again"),
    "a list": (YOUTUBE, text(f"{TRAIN}/meta.json", "[]"), r"meta.json: the file: list found, a mapping expected"),
    "no videos": (YOUTUBE, text(f"{TRAIN}/meta.json", "{}"), r"meta.json: videos: NoneType found, a mapping expected"),
    "no objects": (YOUTUBE, objects(lambda all_: all_["d"].pop("objects")), r"videos\.d\.objects: NoneType found"),
    "video not named": (YOUTUBE, objects(lambda all_: all_.pop("d")), r"meta.json: no object of d in it"),
    "object by name": (
        YOUTUBE,
        objects(lambda all_: all_["d"]["objects"].update(x={})),
        r"object 'x', a number expected",
    ),
    "category 7": (
        YOUTUBE,
        objects(lambda all_: all_["d"]["objects"]["1"].update(category=7)),
        r"videos\.d: category 7, a text expected",
    ),
    "frames 7": (
        YOUTUBE,
        objects(lambda all_: all_["d"]["objects"]["1"].update(frames=7)),
        r"videos\.d: frames 7, a list of names expected",
    ),
    "object never seen": (
        YOUTUBE,
        objects(lambda all_: all_["d"]["objects"].update({"3": {"category": "dog", "frames": ["00010"]}})),
        r"Annotations/d: no mask shows object 3, which the file of the objects names; restore",
    ),
    "object not announced": (
        YOUTUBE,
        objects(lambda all_: all_["d"]["objects"].pop("2")),
        r"00010.png: object 2, which the file of the objects lacks \(it has 1\); download",
    ),
    "start without mask": (
        YOUTUBE,
        without(f"{D}/00010.png"),
        r"00010.png: the first mask of object 2 is missing, although meta.json says .*restore",
    ),
    "meta.json elsewhere": (YOUTUBE, linked(f"{TRAIN}/meta.json"), r"meta.json: a link out of the dataset's folder"),
    # frames and masks of one video
    "no frame": (YOUTUBE, without(f"{TRAIN}/JPEGImages/d/00010.jpg"), r"00010.png: no frame of this name; restore"),
    "frames of a video moved": (
        YOUTUBE,
        moved(f"{TRAIN}/JPEGImages/d", "e"),
        r"JPEGImages/d: cannot be listed .*restore",
    ),
    "masks of a video moved": (YOUTUBE, moved(D, "e"), r"Annotations/d: cannot be listed .*restore"),
    "a frame twice": (
        YOUTUBE,
        copied(f"{TRAIN}/JPEGImages/d/00005.jpg", "00005.JPG"),
        r"exists too, one file per frame",
    ),
    "a mask twice": (
        YOUTUBE,
        copied(f"{D}/00005.png", "5.png"),
        r"5.png exists too, one mask per frame expected; remove",
    ),
    "one number twice": (
        YOUTUBE,
        copied(f"{TRAIN}/JPEGImages/d/00005.jpg", "5.jpg"),
        r"'00005' and '5' have one number",
    ),
    "a mask cut off": (YOUTUBE, cut(f"{D}/00010.png"), r"00010.png: not a readable mask .*download"),
    "a frame cut off": (YOUTUBE, cut(f"{TRAIN}/JPEGImages/d/00010.jpg"), r"00010.jpg: not a readable image .*download"),
    "a Git LFS pointer": (LVOS, text("LVOS-v2/val/Annotations/seen/00000003.png", LFS), r"3.png: not a readable mask"),
    "an empty frame": (LVOS, text("LVOS-v2/val/JPEGImages/seen/00000003.jpg", b""), r"3.jpg: not a readable image"),
    "a small mask": (
        LVOS,
        image("LVOS-v2/val/Annotations/seen/00000003.png", ids(1)[:, :20]),
        r"00000003.png: a mask of 20×24, but the frame .* is 32×24; download",
    ),
    "a small frame": (
        LVOS,
        image("LVOS-v2/val/JPEGImages/seen/00000003.jpg", np.zeros((24, 20, 3), np.uint8)),
        r"00000003.jpg: a frame of 20×24, but 00000001.jpg is 32×24; all frames of a video have one size",
    ),
    "a mask as JPEG": (
        LVOS,
        image("LVOS-v2/val/Annotations/seen/00000003.png", ids(1), format="JPEG"),
        r"00000003.png: a mask as JPEG, .*write the masks again",
    ),
    "colors": (
        LVOS,
        image("LVOS-v2/val/Annotations/seen/00000003.png", np.full((24, 32, 3), (1, 2, 3), np.uint8)),
        r"00000003.png: a mask with colors other than DAVIS's",
    ),
    "16 bits": (
        LVOS,
        image("LVOS-v2/val/Annotations/seen/00000003.png", np.full((24, 32), 26001, np.uint16)),
        r"00000003.png: 16-bit values up to 26001, object ids up to 255 expected",
    ),
    "order not certain": (LVOS, unpadded, r"JPEGImages/seen: 'x10' or 'x9' may come first: .*pad the numbers"),
    "no object at all": (
        LVOS,
        emptied("LVOS-v2/val/Annotations/seen"),
        r"00000001.png: no object in this and 3 more masks; restore",
    ),
    "gray levels": (
        MOSE,
        lambda root: save_video(root / "MOSE/train", "d", {f"0000{index}": ids(38, 75) for index in range(4)}),
        r"00000.png: object ids 38, 75, but most .*write 1, 2",
    ),
    "only void": (
        "mose-v1-val",
        lambda root: save_video(root / "MOSE/valid", "v", {"00000": ids(255)}),
        r"00000.png: no object in this and 0 more masks",
    ),
    "no first mask": (
        "mose-v1-val",
        without("MOSE/valid/Annotations/v/00000.png"),
        r"v: no mask .* found, but nothing",
    ),
    "no masks at all": (
        MOSE,
        taken_out("a", "d"),
        r"MOSE: no file train/Annotations/\{sequence\}/\{frame\}.png, .* found; correct",
    ),
    "too few for a split": (MOSE, taken_out("d"), r"MOSE: no sequence of 'train' is held out; too few"),
    "a video elsewhere": (
        MOSE,
        linked("MOSE/train/Annotations/d"),
        r"Annotations/d: a link out of the dataset's folder",
    ),
    # lists
    "no list": (VOST, without(LIST), r"VOST not found .*ImageSets/val.txt expected"),
    "an empty list": (VOST, text(LIST, "\n"), r"val.txt: the list is empty, one entry per line expected"),
    "a video that is not there": (VOST, text(LIST, "b\nc\n"), r"JPEGImages/c: cannot be listed .*restore"),
    "a video listed twice": (VOST, text(LIST, "b\nb\n"), r"val.txt: 'b' is listed twice"),
    "a path in the list": (VOST, text(LIST, "../b\n"), r"val.txt: '../b' found, a plain name expected"),
    "not UTF-8": (VOST, text(LIST, b"b\xe9\n"), r"val.txt: byte 1 is not UTF-8"),
    "a late object": (
        VOST,
        lambda root: save_video(root / "VOST", "b", {"frame00003": ids(1, 2, 3)}),
        r"frame00003.png: object ids 3, which the first mask lacks",
    ),
    "an empty first mask": (
        VOST,
        lambda root: save_video(root / "VOST", "b", {"frame00000": ids()}),
        r"frame00000.png: no object in the first mask",
    ),
    "nothing to score": (
        VOST,
        without(*(f"VOST/Annotations/b/frame0000{index}.png" for index in (3, 4))),
        r"frame00000.png: 2 masks in it, none left to score in VOST val",
    ),
    # one folder per object
    "layers of two sizes": (
        SA,
        image(f"{OBJECTS}/001/00008.png", ids(1)[:, :20]),
        r"001/00008.png: a mask of 20×24, but the frame .* is 32×24",
    ),
    "255 objects": (SA, many_objects, r"256 objects found, 254 at most expected; split"),
    "an object's mask cut off": (SA, cut(f"{OBJECTS}/001/00012.png"), r"001/00012.png: not a readable mask"),
    "a mask between frames": (SA, copied(f"{OBJECTS}/001/00012.png", "00099.png"), r"00099.png: no frame of this name"),
    "late, but not allowed": (
        SA,
        description("late_objects: true", "late_objects: false"),
        r"the first mask lacks object 001; .*late_objects: true",
    ),
    "all, but not all there": (
        SA,
        description("late_objects: true", "late_objects: true\n    truth: all"),
        r"001/00000.png: mask missing; restore",
    ),
    "no list of frames": (
        SA,
        description("late_objects: true", "late_objects: true\n    truth: lists/{sequence}.txt"),
        r"lists/sav_000001.txt: the list cannot be read",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_of_a_preset_is_a_named_error(tmp_path: Path, name: str) -> None:
    benchmark, damage, message = DAMAGES[name]
    TREES[benchmark](tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        (part,) = (check_part(part, None) for part in find_parts(tmp_path, [load_protocols(root=tmp_path)[benchmark]]))
        raise DataError("\n".join(problem.message for problem in part.errors))


def test_there_are_at_least_forty_kinds_of_damage() -> None:
    assert len(DAMAGES) >= 40


def test_a_frame_in_the_list_of_truth_must_have_a_mask(tmp_path: Path) -> None:
    TREES[SA](tmp_path)
    description("late_objects: true", "late_objects: true\n    truth: '{sequence}.txt'")(tmp_path)
    (tmp_path / "sav_val/sav_000001.txt").write_text("00000\n00001\n")
    protocol = load_protocols(root=tmp_path)[SA]
    (part,) = find_parts(tmp_path, [protocol])
    assert "'1' is listed, but has no mask" in part.errors[0].message
    (tmp_path / "sav_val/sav_000001.txt").write_text("00000\n00008\n00016\n")
    (part,) = find_parts(tmp_path, [protocol])
    assert part.sequences[0].scored == (8,)


def test_an_object_of_another_file_is_not_announced_by_its_number(tmp_path: Path) -> None:
    TREES[YOUTUBE](tmp_path)
    dog = ("dog", "00005")
    write_meta(tmp_path / TRAIN / "meta.json", meta(a={"1": dog}, d={"7": dog}, hatted={"1": ("hat", "00005")}))
    (part,) = find_parts(tmp_path, [load_protocols()[YOUTUBE]])
    assert [problem.sequence for problem in part.errors] == ["d", "hatted"]
