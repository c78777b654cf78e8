"""A random small benchmark in a random dress: the score of the plain masks, or a named error, and never another number.

The dress is how files are handed over: names and numbers of frames, encodings, endings, additional files and folders,
lists. A dress that only an error can answer says so; every other one must be scored. The long form:

    DRESSES=2000 pytest tests/test_dress.py --hypothesis-show-statistics"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from harness.cli.main import main
from harness.datasets import Protocol, Values, davis_palette, load_protocols
from harness.score import score_sequence, total

DRESSES = int(os.environ.get("DRESSES", "100"))
HEIGHT, WIDTH = 24, 32
VOID = 255
PROTOCOLS = load_protocols()
CLASSES = ("aeroplane", "bird", "boat")
Mask = NDArray[np.uint8]
Dress = Mapping[str, Any]


@dataclass(frozen=True)
class Video:
    """The plain form: masks of all frames, ids as values."""

    truth: list[Mask]
    prediction: list[Mask]
    ids: tuple[int, ...]
    group: str = ""


def draw_videos(look: Mapping[str, Any], seed: int) -> dict[str, Video]:
    """Objects in bands of their own that move to the side, and predictions that fall behind them."""
    random = np.random.default_rng(seed)
    videos = {}
    for number in range(look["sequences"]):
        ids = ((1,), (1, 2), (1, 2, 3), (1, 3))[random.integers(3 + look["gap"])]
        left, step, frames = random.integers(0, 12, len(ids)), random.integers(0, 3, len(ids)), random.integers(5, 9)
        truth, prediction = [], []
        for frame in range(frames):
            masks = np.zeros((2, HEIGHT, WIDTH), np.uint8)
            for band, value in enumerate(ids):
                rows = slice(1 + 7 * band, 7 + 7 * band)
                for mask, lag in zip(masks, (0, frame // 2), strict=True):
                    start = int(left[band] + step[band] * frame - lag)
                    if frame == 0 or random.random() > 0.1:  # out of sight in some frames, not in the first
                        mask[rows, max(start, 0) : max(start, 0) + 10] = value
            if look["void"]:
                masks[0, 22:, : 4 + frame] = VOID
            truth.append(masks[0])
            prediction.append(masks[1])
        videos[f"v{number}"] = Video(truth, prediction, ids, CLASSES[number])
    return videos


def plain_scores(protocol: Protocol, videos: Mapping[str, Video], sparse: int) -> dict[str, float]:
    """Return the score of the masks in memory."""
    values: Values = "ids" if protocol.multi_object else "foreground"
    scores = []
    for name, video in videos.items():
        indices = [index for index in range(len(video.truth)) if index % sparse == 0]
        indices = indices[protocol.skip_first : len(indices) - protocol.skip_last]
        masks = ([side[index] for index in indices] for side in (video.truth, video.prediction))
        one = score_sequence(*masks, video.ids if protocol.multi_object else (1,), name=name, values=values)
        scores.append(replace(one, group=video.group))
    return total(scores, protocol.averaging)


def save(path: Path, mask: Mask, mode: str) -> None:
    """Write ids so that they can be read back without doubt, except as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = davis_palette()
    image = Image.fromarray(mask)
    if mode == "sorted":  # as a program that counts colors writes it
        used, places = np.unique(mask, return_inverse=True)
        image = Image.fromarray((len(used) - 1 - places.reshape(mask.shape)).astype(np.uint8))
        image.putpalette(b"".join(palette[3 * value : 3 * value + 3] for value in used[::-1].tolist()))
    elif mode == "16 bit":
        image = Image.fromarray(mask.astype(np.uint16))
    elif mode == "1 bit":
        image = Image.fromarray(mask != 0)
    elif mode in {"0/255", "JPEG"}:
        image = Image.fromarray(np.where(mask != 0, 255, 0).astype(np.uint8))
    elif mode != "gray":
        image.putpalette(palette)
        image = image if mode == "palette" else image.convert(mode)
    image.save(path, "JPEG" if mode == "JPEG" else "BMP" if path.suffix == ".bmp" else "PNG")


def write_predictions(folder: Path, video: Video, dress: Dress) -> None:
    names = names_of(video, {**dress, "offset": dress["offset"] + dress["shift"]})
    for index in range(dress["cut"], len(names) - dress["cut"]):
        name, mask = names[index], video.prediction[index]
        if dress["layers"]:
            for value in video.ids:
                layer = np.where(mask == value, np.uint8(255), np.uint8(0))
                save(folder / f"{value:0{dress['layers']}d}" / f"{name}.png", layer, "gray")
        else:
            save(folder / f"{name}{dress['ending']}", mask, dress["mode"])
    if dress["twice"]:
        save(folder / f"0{names[2]}.png", video.prediction[2], "palette")


def write_truth(folder: Path, videos: Mapping[str, Video], dress: Dress) -> Path:
    for name, video in videos.items():
        for frame, mask in zip(names_of(video, dress), video.truth, strict=True):
            save(folder / name / f"{frame}{dress['truth ending']}", mask, dress["truth"])
    write_junk(folder, "v0", dress)
    return folder


def write_list(path: Path, lines: list[str], dress: Dress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = list(np.random.default_rng(dress["order"]).permutation(lines))
    lines += lines[:1] * dress["listed twice"]
    text = (" \t" * dress["spaces"] + dress["line end"] * (1 + dress["spaces"])).join(lines)
    text = ("\ufeff" if dress["mark"] else "") + text + dress["line end"] * dress["last line end"]
    path.write_bytes(text.encode())


def write_junk(folder: Path, sequence: str, dress: Dress) -> None:
    """Add what systems leave behind, to a folder of sequences."""
    if "system" in dress["junk"]:
        for place in ("__MACOSX", "@eaDir", ".ipynb_checkpoints"):
            (folder / place / sequence).mkdir(parents=True)
            (folder / place / sequence / "._00000.png").write_bytes(b"\0\5\26\7")
    if "files" in dress["junk"]:
        for place in ("Thumbs.db", f"{sequence}/Thumbs.db", f"{sequence}/._00001.png", f"{sequence}/@eaDir/x.png"):
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_bytes(b"\0\5\26\7")


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()  # a score reads no frame


def write_davis(root: Path, videos: Mapping[str, Video], dress: Dress, layout: str) -> Path:
    """Write DAVIS 2016 or 2017 without pixels in its frames; return the folder of the truth."""
    year = "480p" if layout == "davis16" else "2017"
    folder = root / layout.upper()
    lines = []
    for name, video in videos.items():
        for frame in names_of(video, dress):
            touch(folder / f"JPEGImages/480p/{name}/{frame}{dress['frame ending']}")
            lines.append(f"/JPEGImages/480p/{name}/{frame}.jpg /Annotations/480p/{name}/{frame}.png")
    write_list(folder / f"ImageSets/{year}/val.txt", lines if layout == "davis16" else [*videos], dress)
    return write_truth(folder / "Annotations/480p", videos, dress)


def write_segtrack(root: Path, videos: Mapping[str, Video], dress: Dress, layout: str) -> Path:
    folder = root / "SegTrackv2"
    for name, video in videos.items():
        frames = names_of(video, dress)
        for frame, mask in zip(frames, video.truth, strict=True):
            touch(folder / f"JPEGImages/{name}/{frame}{dress['frame ending']}")
            for value in video.ids:
                place = f"{name}/{value}" if len(video.ids) > 1 else name
                ending = ".bmp" if value % 2 else ".PNG"
                save(folder / f"GroundTruth/{place}/{frame}{ending}", np.uint8(255) * (mask == value), "gray")
        write_list(folder / f"ImageSets/{name}.txt", frames, {**dress, "listed twice": False})
        path = folder / f"ImageSets/{name}.txt"
        path.write_bytes(f"{name}/\n".encode() + path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    write_list(folder / "ImageSets/all.txt", [f"*{name}" for name in videos], dress)
    write_junk(folder / "GroundTruth", "v0", dress)
    return folder / "GroundTruth"


def write_youtube(root: Path, videos: Mapping[str, Video], dress: Dress, layout: str) -> Path:
    folder = root / "YouTube-Objects"
    for name, video in videos.items():
        shot = folder / f"{video.group}/data/{name}/shots/001"
        for index, frame in enumerate(names_of(video, dress)):
            touch(shot / f"images/{frame}{dress['frame ending']}")
            if index % 2 == 0:
                save(shot / f"labels/{frame}.png", video.truth[index], dress["truth"])
    write_junk(folder, "aeroplane", {**dress, "junk": dress["junk"] - {"files"}})
    return folder


WRITERS = {
    "davis16-val": write_davis,
    "davis17-val": write_davis,
    "davis17-foreground": write_davis,
    "segtrack-v2": write_segtrack,
    "youtube-objects": write_youtube,
}


def names_of(video: Video, dress: Dress) -> list[str]:
    return [dress["name"].format(index + dress["offset"]) for index in range(len(video.truth))]


def score(options: list[object]) -> tuple[int, str]:
    """Return the status of the command and what it says on stderr."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(["score", *map(str, options), "--jobs", "1"])
    return status, err.getvalue()


LOOKS = st.fixed_dictionaries(
    {"sequences": st.integers(1, 3), "gap": st.booleans(), "void": st.booleans(), "at": st.integers(0, 9999)}
)
DRESS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["{:05d}", "{}", "frame{}", "img_{:03d}", "{}_left", "take2_{}"]),
        "offset": st.sampled_from([0, 1, 7, 95, 998]),
        "truth": st.sampled_from(["palette", "gray", "RGB", "RGBA", "16 bit", "sorted", "1 bit", "0/255", "0/255"]),
        "mode": st.sampled_from(["palette", "gray", "RGB", "RGBA", "16 bit", "sorted", "1 bit", "0/255"]),
        "layers": st.sampled_from([0, 0, 0, 1, 3]),
        "frame ending": st.sampled_from([".jpg", ".JPG", ".jpeg", ".png", ".BMP"]),
        "truth ending": st.sampled_from([".png", ".PNG", ".jpg.png"]),
        "ending": st.sampled_from([".png", ".png", ".PNG", ".jpg.png"]),
        "cut": st.sampled_from([0, 0, 1]),
        "junk": st.frozensets(st.sampled_from(["system", "files", "sequence"])),
        "order": st.integers(0, 99),
        "line end": st.sampled_from(["\n", "\r\n"]),
        "last line end": st.booleans(),
        "spaces": st.booleans(),
        "mark": st.booleans(),
        "truth is": st.sampled_from(["masks", "dataset", "root"]),
    }
)
FAULTS = (*[""] * 18, "early", "late", "twice", "listed twice", "JPEG", "JPEG named PNG")
"""What has no score: masks named for the frame before or after, two names of one number, …; mostly nothing."""


def dressed(
    name: str, look: dict[str, Any], dress: dict[str, Any], fault: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the look and the dress without what a benchmark cannot have, and with the fault."""
    protocol = PROTOCOLS[name]
    look = {
        **look,
        "void": look["void"] and name.startswith("davis17"),
        "gap": look["gap"] and name.startswith("davis"),
    }
    dress = {**dress, "shift": {"early": -1, "late": 1}.get(fault, 0)}
    dress |= {one: one == fault for one in ("twice", "listed twice")}
    for side, plain in (("truth", protocol.multi_object or look["void"]), ("mode", protocol.multi_object)):
        if plain and dress[side] in {"1 bit", "0/255"}:
            dress[side] = "palette"
    if name == "davis16-val" and dress["truth"] != "1 bit":
        dress["truth"] = "0/255"  # ids in its truth are an error: they are those of DAVIS 2017
    if dress["shift"]:
        dress |= {"cut": 0, "offset": max(dress["offset"], 1)}
    if not protocol.skip_last:
        dress["cut"] = 0
    if fault == "twice":
        dress |= {"layers": 0, "name": "{}"}
    if fault.startswith("JPEG"):
        dress |= {"layers": 0, "mode": "JPEG", "ending": ".png" if fault.endswith("PNG") else ".jpg"}
    return look, dress


@settings(max_examples=DRESSES, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from([*WRITERS, "davis17-foreground"]),
    look=LOOKS,
    dress=DRESS,
    fault=st.sampled_from(FAULTS),
    located=st.sampled_from([True, True, False]),
)
def test_a_dressed_benchmark_has_its_plain_score_or_a_named_error(
    name: str, look: dict[str, Any], dress: dict[str, Any], fault: str, located: bool
) -> None:
    youtube = name == "youtube-objects"
    located |= youtube  # it has classes, which folders do not name
    if fault == "listed twice" and (youtube or not located):
        fault = ""  # there is no list
    if youtube and fault in {"early", "late"}:
        fault = ""  # nobody can tell: its shots go on before and after the labels
    look, dress = dressed(name, look, dress, fault)
    videos = draw_videos(look, look["at"])
    with tempfile.TemporaryDirectory() as place:
        root, data = Path(place), Path(place) / "data"
        truth = WRITERS[name](data, videos, dress, PROTOCOLS[name].dataset.layout)
        if not located:
            truth = write_truth(root / "truth", videos, dress)
        elif dress["truth is"] != "masks":
            truth = data if dress["truth is"] == "root" else next(data.iterdir())
        for video_name, video in videos.items():
            folder = f"{video.group}-{video_name}-001" if youtube else video_name
            write_predictions(root / "pred" / folder, video, dress)
        write_junk(root / "pred", folder, dress)
        if "sequence" in dress["junk"]:
            save(root / "pred/zebra/00000.png", videos["v0"].prediction[0], "palette")
            fault = fault or ("no truth" if not located else "")
        status, error = score(["--truth", truth, "--pred", root / "pred", "--protocol", name, "--out", root / "out"])
        event(f"{name}, {'dataset' if located else 'folders'}: {'error' if status else 'score'}")
        assert status == (2 if fault else 0), error
        if status:
            assert "error: " in error
        else:
            found = json.loads((root / "out/total.json").read_text())
            assert found.pop("extent")  # a few sequences are never the whole benchmark
            assert found == plain_scores(PROTOCOLS[name], videos, 2 if youtube else 1)
