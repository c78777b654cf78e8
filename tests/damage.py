"""Damage of every kind, in every layout, with the error that it must cause, or that it is tolerated."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.test_datasets_check import replace_by_folder, save_header, save_mode, save_wide, truncate
from tests.test_datasets_layouts import make_davis16, make_davis17, make_voc, save_frame, save_gray, save_palette
from tests.test_datasets_sbd import make_sbd
from tests.test_datasets_sparse_layouts import SHOT, make_segtrack, make_youtube, save_square

Damage = Callable[[Path], object]
"""Damages the dataset in a folder; next to the data root is a folder `outside`, which must not be read."""

LAYOUTS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "davis16": ("DAVIS2016", lambda folder: make_davis16(folder, frames=5)),
    "davis17": ("DAVIS2017", lambda folder: make_davis17(folder, frames=5)),
    "youtube": ("YouTube-Objects", make_youtube),
    "segtrack": ("SegTrackv2", make_segtrack),
    "voc": ("VOCdevkit/VOC2012", make_voc),
    "sbd": ("SBD", make_sbd),
}
LIST16, LIST17, VOC_LIST = "ImageSets/480p/val.txt", "ImageSets/2017/val.txt", "ImageSets/Segmentation/trainval.txt"
FRAME16, MASK16 = "JPEGImages/480p/bear/00002.jpg", "Annotations/480p/bear/00002.png"
FRAME17, MASK17 = "JPEGImages/480p/dogs-jump/00002.jpg", "Annotations/480p/dogs-jump/00002.png"
SBD = "benchmark_RELEASE/dataset"


def write(place: str, content: str | bytes) -> Damage:
    def damage(folder: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)

    return damage


def edit(place: str, change: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: (folder / place).write_bytes(change((folder / place).read_bytes()))


def add(place: str, text: str | bytes) -> Damage:
    return edit(place, lambda content: content + (text.encode() if isinstance(text, str) else text))


def at(place: str, damage: Damage) -> Damage:
    return lambda folder: damage(folder / place)


def remove(place: str) -> Damage:
    return lambda folder: (folder / place).unlink() if (folder / place).is_file() else shutil.rmtree(folder / place)


def link(place: str, target: str) -> Damage:
    """Replace a file or folder by a link to `target`, relative to the dataset's folder."""

    def damage(folder: Path) -> None:
        if (folder / place).exists():
            remove(place)(folder)
        (folder / place).symlink_to(folder / target)

    return damage


def list_link(folder: Path) -> None:
    """List a link out of the dataset whose name has no ending of a frame."""
    (folder / "JPEGImages/480p/bear/secret").symlink_to(folder / "../../outside/00000.jpg")
    add(LIST16, "/JPEGImages/480p/bear/secret /Annotations/480p/bear/00001.png\n")(folder)


def pipe(place: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / place).unlink()
        os.mkfifo(folder / place)

    return damage


def save_short(path: Path) -> None:
    """Write a PNG whose pixels end early and that is sound otherwise."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 24, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(41 * 12)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))


def save_bitmap_header(path: Path) -> None:
    """Write a BMP whose header says 50,000 × 50,000."""
    content = bytearray(cv2.imencode(".bmp", np.zeros((24, 40, 3), np.uint8))[1].tobytes())
    content[18:26] = struct.pack("<ii", 50_000, 50_000)
    path.write_bytes(content)


def save_jpeg_header(path: Path) -> None:
    """Write a JPEG whose header says 50,000 × 50,000."""
    content = bytearray(cv2.imencode(".jpg", np.zeros((24, 40, 3), np.uint8))[1].tobytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 50_000, 50_000)
    path.write_bytes(content)


def rename_bytes(place: str, name: bytes) -> Damage:
    def damage(folder: Path) -> None:
        source = folder / place
        try:
            source.rename(os.fsdecode(os.fsencode(source.parent) + b"/" + name))
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")

    return damage


ERRORS: dict[str, tuple[str, Damage, str]] = {
    # Lists.
    "empty list": ("davis16", write(LIST16, ""), r"val\.txt: the list is empty"),
    "list of blank lines": ("davis17", write(LIST17, "\n \r\n\t\n"), r"val\.txt: the list is empty"),
    "list in UTF-16": (
        "davis17",
        edit(LIST17, lambda text: text.decode().encode("utf-16")),
        "is not UTF-8, a text file expected",
    ),
    "list in Latin-1": ("davis17", add(LIST17, b"caf\xe9\n"), "is not UTF-8, a text file expected"),
    "list is a folder": ("davis17", at(LIST17, replace_by_folder), r"val\.txt: the list cannot be read"),
    "list is a pipe": ("davis17", pipe(LIST17), "not a regular file"),
    "list is a link out": ("davis17", link(LIST17, "../../outside/list.txt"), "a link out of the dataset"),
    "absolute path in a list": ("davis16", add(LIST16, "//etc/hostname /Annotations/480p/bear/00001.png\n"), "inside"),
    "absolute path to a file": ("davis16", add(LIST16, "/etc/hostname /etc/hostname\n"), "cannot be listed"),
    "parent folder in a list": ("davis16", add(LIST16, "/../../outside/00000.jpg /a/b.png\n"), "inside the dataset"),
    "drive in a list": ("davis16", add(LIST16, "C:\\a\\0.jpg C:\\a\\0.png\n"), "inside the dataset"),
    "one path in a line": ("davis16", add(LIST16, "/JPEGImages/480p/bear/00001.jpg\n"), "expected; download the list"),
    "three paths in a line": ("davis16", add(LIST16, "/a/b.jpg /a/b.png /a/c.png\n"), "expected; download the list"),
    "a line twice": ("davis16", edit(LIST16, lambda text: text * 2), "listed twice"),
    "a name twice": ("davis17", add(LIST17, "dogs-jump\n"), "'dogs-jump' is listed twice"),
    "a name that is a path": ("davis17", add(LIST17, "../../outside\n"), "a plain name expected"),
    "a name that is absolute": ("davis17", add(LIST17, "/etc\n"), "a plain name expected"),
    "a name with a zero byte": ("davis17", add(LIST17, "dogs\0jump\n"), "a plain name expected"),
    "a name too long": ("davis17", add(LIST17, "x" * 300 + "\n"), "cannot be followed"),
    "a name without a folder": ("davis17", add(LIST17, "cows\n"), "480p/cows: cannot be listed"),
    "a listed frame that is not there": ("davis16", at(FRAME16, Path.unlink), r"00002\.jpg: frame missing"),
    "a path too long in a list": ("davis16", add(LIST16, f"/{'x' * 300}/0.jpg /{'x' * 300}/0.png\n"), "cannot be fo"),
    "a listed link out": ("davis16", list_link, "a link out of the dataset"),
    # Folders and links.
    "no folder of frames": ("davis16", remove("JPEGImages/480p/bear"), "bear: cannot be listed"),
    "no folder of masks": ("davis17", remove("Annotations/480p/dogs-jump"), "dogs-jump: cannot be listed"),
    "a file instead of a folder": (
        "davis17",
        lambda folder: (remove("JPEGImages/480p/dogs-jump")(folder), write("JPEGImages/480p/dogs-jump", "")(folder)),
        "cannot be listed",
    ),
    "an empty folder": (
        "davis17",
        lambda folder: [path.unlink() for path in (folder / "JPEGImages/480p/dogs-jump").iterdir()],
        "no frames found",
    ),
    "a frame that is a link out": ("davis17", link(FRAME17, "../../outside/00000.jpg"), "a link out of the dataset"),
    "a mask that is a link out": ("davis16", link(MASK16, "../../outside/00000.png"), "a link out of the dataset"),
    "a folder that is a link out": ("davis17", link("JPEGImages/480p/dogs-jump", "../../outside"), "a link out of"),
    "a loop of links": ("davis16", link(FRAME16, FRAME16), "cannot be followed"),
    "a loop of folders": ("davis17", link("Annotations/480p/dogs-jump", "Annotations/480p/dogs-jump"), "cannot be"),
    "a link to nothing": ("davis16", link(MASK16, "Annotations/480p/bear/x.png"), r"00002\.png: mask missing"),
    "a folder instead of a frame": ("davis16", at(FRAME16, replace_by_folder), r"00002\.jpg: not a readable image"),
    "a folder instead of a mask": ("davis17", at(MASK17, replace_by_folder), r"00002\.png: not a readable mask"),
    "a pipe instead of a frame": ("davis17", pipe(FRAME17), "not a regular file"),
    "a pipe instead of the first mask": ("davis17", pipe(MASK17.replace("2.", "0.")), "not a regular file"),
    "a name that is not UTF-8": ("davis17", rename_bytes(FRAME17, b"\xff\xfe.jpg"), "is not UTF-8"),
    "a frame lost in between": ("davis17", at(FRAME17, Path.unlink), r"00002\.jpg: frame missing"),
    "a frame twice": ("davis17", at("JPEGImages/480p/dogs-jump/00002.png", save_frame), "exists too"),
    # Frames.
    "cut JPEG": ("davis16", at(FRAME16, truncate), "not a readable image"),
    "empty JPEG": ("davis17", write(FRAME17, ""), "not a readable image"),
    "web page instead of a JPEG": ("davis17", write(FRAME17, "<html>"), "not a readable image"),
    "frame of another size": ("davis16", at(FRAME16, lambda path: save_frame(path, (41, 24))), "a frame of 41×24"),
    "huge header of a JPEG": ("davis16", at(FRAME16, save_jpeg_header), "not a readable image"),
    "frame cut short inside": ("youtube", at(f"{SHOT}/images/frame00008.png", save_short), "its pixels end early"),
    "huge header of a BMP": (
        "segtrack",
        at("JPEGImages/cheetah/cheetah_00019.bmp", save_bitmap_header),
        "not a readable image|in its header",
    ),
    # Masks.
    "cut PNG": ("davis16", at(MASK16, truncate), "not a readable mask"),
    "PNG cut short inside": ("davis16", at(MASK16, save_short), "its pixels end early"),
    "PNG with a changed byte": (
        "davis17",
        edit(MASK17, lambda c: c[:45] + b"\x00\xff" + c[47:]),
        "not a readable mask",
    ),
    "empty PNG": ("davis17", write(MASK17, ""), "not a readable mask"),
    "GIF named PNG": (
        "davis17",
        at(MASK17, lambda path: Image.fromarray(np.zeros((24, 41), np.uint8)).save(path, "GIF")),
        "not a readable mask",
    ),
    "mask of another size": ("davis16", at(MASK16, lambda path: save_gray(path, size=(40, 25))), "a mask of 40×25"),
    "mask with colors": ("davis16", at(MASK16, save_mode("RGB")), "a mask with colors"),
    "mask of 16 bits": ("davis17", at(MASK17, save_wide), "16-bit values up to 1000"),
    "an id too many": ("davis17", at(MASK17, lambda path: save_palette(path, [1, 2, 9], (41, 24))), "object ids 9"),
    "huge header of a PNG": ("davis17", at(MASK17, lambda path: save_header(path, 50_000, 50_000)), "not a readable"),
    "no first mask": ("davis17", at(MASK17.replace("2.", "0."), Path.unlink), r"00000\.png: mask missing"),
    "empty first mask": (
        "davis17",
        at(MASK17.replace("2.", "0."), lambda p: save_palette(p, [], (41, 24))),
        "no object",
    ),
    # YouTube-Objects.
    "a label without its frame": ("youtube", remove(f"{SHOT}/images/frame00013.png"), "no frame of this number"),
    "a frame without a number": ("youtube", at(f"{SHOT}/images/cover.png", save_frame), "no number in its name"),
    "a number twice": ("youtube", at(f"{SHOT}/images/x00013.png", save_frame), "has the same number"),
    "cut label": ("youtube", at(f"{SHOT}/labels/00013.jpg", truncate), "not a readable mask"),
    "label of another size": (
        "youtube",
        at(f"{SHOT}/labels/00013.jpg", lambda path: cv2.imwrite(str(path), np.zeros((24, 41), np.uint8))),
        "a mask of 41×24",
    ),
    "a class that is a link out": ("youtube", link("bird", "../../outside/bird"), "a link out of the dataset"),
    "labels that may be either": ("youtube", at(f"{SHOT}/labels/00013.png", save_square), "exists too"),
    "no frames of a labeled shot": ("youtube", remove(f"{SHOT}/images"), "images: cannot be listed"),
    # SegTrack v2.
    "parent folder in a first line": ("segtrack", write("ImageSets/birdfall.txt", "../../outside/\n00000\n"), "inside"),
    "parent folder in a frame's name": ("segtrack", add("ImageSets/birdfall.txt", "../x\n"), "a plain name expected"),
    "a list with a first line only": ("segtrack", write("ImageSets/birdfall.txt", "birdfall/\n"), "one line found"),
    "a video without its list": (
        "segtrack",
        add("ImageSets/all.txt", "*worm\n"),
        r"worm\.txt: the list cannot be read",
    ),
    "a folder too many": ("segtrack", write("GroundTruth/birdfall/7/x.png", ""), "1, 2, … expected"),
    "a mask of an object missing": ("segtrack", remove("GroundTruth/cheetah/1/cheetah_00020.bmp"), "mask missing"),
    "layers of two sizes": (
        "segtrack",
        at("GroundTruth/cheetah/2/cheetah_00019.bmp", lambda p: cv2.imwrite(str(p), np.zeros((24, 41), np.uint8))),
        "a mask of 41×24",
    ),
    "a hidden link out": (
        "segtrack",
        lambda folder: (
            add("ImageSets/birdfall.txt", ".x\n")(folder),
            link("JPEGImages/birdfall/.x.png", "../../outside/00000.png")(folder),
        ),
        "a link out of the dataset",
    ),
    # PASCAL VOC and SBD.
    "a still without its mask": ("voc", remove("SegmentationObject/2007_000032.png"), "mask missing"),
    "a still that is not there": ("voc", remove("JPEGImages/2007_000032.jpg"), "frame missing"),
    "a still that is a path": ("voc", add(VOC_LIST, "../../../../outside/00000\n"), "a plain name expected"),
    "a mask of a still that is a link out": (
        "voc",
        link("SegmentationObject/2007_000032.png", "../../../outside/00000.png"),
        "a link out of the dataset",
    ),
    "cut MATLAB file": ("sbd", at(f"{SBD}/inst/2008_000002.mat", truncate), "not a readable mask"),
    "web page instead of a MATLAB file": ("sbd", write(f"{SBD}/inst/2008_000002.mat", "<html>"), "not a readable mask"),
    "neither MATLAB file nor PNG": ("sbd", remove(f"{SBD}/inst/2008_000002.mat"), "mask missing"),
    "an image in both lists": ("sbd", add(f"{SBD}/val.txt", "2008_000002\n"), "listed twice"),
    "instances of another size": (
        "sbd",
        at(f"{SBD}/img/2008_000002.jpg", lambda path: save_frame(path, (41, 24))),
        "a mask of 40×24",
    ),
}

TOLERATED: dict[str, tuple[str, Damage]] = {
    "CRLF in a list of pairs": ("davis16", edit(LIST16, lambda text: text.replace(b"\n", b"\r\n"))),
    "CRLF in a list of names": ("davis17", edit(LIST17, lambda text: text.replace(b"\n", b"\r\n"))),
    "trailing spaces": ("davis17", edit(LIST17, lambda text: text.replace(b"\n", b" \t \n"))),
    "blank lines": ("davis16", edit(LIST16, lambda text: b"\n\n" + text.replace(b"\n", b"\n\n"))),
    "byte-order mark": ("davis17", edit(LIST17, lambda text: b"\xef\xbb\xbf" + text)),
    "no line end at the end": ("davis17", edit(LIST17, bytes.rstrip)),
    "no leading slash": ("davis16", edit(LIST16, lambda text: text.replace(b"/JPEG", b"JPEG").replace(b" /A", b" A"))),
    "hidden files of other systems": ("davis17", write("JPEGImages/480p/dogs-jump/._00000.jpg", "x")),
    "other files among the frames": ("davis17", write("JPEGImages/480p/dogs-jump/Thumbs.db", "x")),
    "endings in capitals": (
        "davis17",
        lambda folder: [path.rename(path.with_suffix(".JPG")) for path in (folder / FRAME17).parent.iterdir()],
    ),
    "a link inside": ("davis17", link(FRAME17, FRAME17.replace("2.", "1."))),
    "mask with alpha": ("davis17", at(MASK17, lambda path: save_gray(path, "LA", (41, 24)))),
    "mask of one bit": ("davis16", at(MASK16, lambda path: save_gray(path, "1"))),
    "gray stored as colors": ("davis16", at(MASK16, lambda path: save_gray(path, "RGB"))),
    "an empty mask in between": ("davis16", at(MASK16, lambda path: Image.new("L", (40, 24)).save(path))),
    "an object that leaves": ("davis17", at(MASK17, lambda path: save_palette(path, [2], (41, 24)))),
    "void in a mask": ("davis17", at(MASK17, lambda path: save_palette(path, [1, 255], (41, 24)))),
    "a shot without labels": ("youtube", at("cat/data/0001/shots/001/images/1.png", save_frame)),
    "a shot with one label": (
        "youtube",
        lambda folder: (
            save_frame(folder / "cat/data/0001/shots/001/images/1.png"),
            save_square(folder / "cat/data/0001/shots/001/labels/1.jpg"),
        ),
    ),
    "a file among the classes": ("youtube", write("README.txt", "x")),
    "spaces in a list of SBD": ("sbd", edit(f"{SBD}/train.txt", lambda text: text.replace(b"\n", b"  \n"))),
}
