"""The score verb: its numbers and files; bad data never ends with status 0 and never hangs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from harness.cli.main import main
from harness.datasets.pixels import write_mask

FRAMES = 6


def square(y, x, index=1, shape=(30, 40)):
    mask = np.zeros(shape, np.uint8)
    mask[y : y + 10, x : x + 10] = index
    return mask


@pytest.fixture
def data(tmp_path):
    """Two sequences of two objects, the prediction two pixels off."""
    for name in ("cat", "dog"):
        for frame in range(FRAMES):
            for side, shift in (("truth", 0), ("pred", 2)):
                path = tmp_path / side / name / f"{frame:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_mask(path, square(3 + shift, 2 + frame) + square(18, 20 + shift, 2))
    return tmp_path


def run(data, *more, protocol="davis17-val"):
    options = ["--truth", data / "truth", "--pred", data / "pred", "--protocol", protocol, "--out", data / "out", *more]
    return main(["score", *(str(option) for option in options)])


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_module_runs_and_writes_its_files(data):
    options = ["--truth", data / "truth", "--pred", data / "pred", "--protocol", "davis17-val", "--out", data / "out"]
    command = [sys.executable, "-m", "harness.score", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (data / "out").iterdir()} == {
        "frames.csv",
        "objects.csv",
        "sequences.csv",
        "total.json",
        "total_over_sequences.json",  # the second mean of DAVIS17
    }
    expected = (80 / 120 + 80 / 120) / 2
    assert json.loads((data / "out/total.json").read_text())["J_mean"] == pytest.approx(expected)
    assert f"{expected:.3f}" in done.stdout


def test_first_and_last_frame_are_not_scored_and_may_be_missing(data):
    (data / "pred/cat/00000.png").unlink()
    (data / "pred/dog/00005.png").unlink()
    assert run(data) == 0
    frames = {row["frame"] for row in read_rows(data / "out/frames.csv")}
    assert frames == {f"{frame:05d}" for frame in range(1, FRAMES - 1)}


def test_the_merged_benchmark_scores_all_objects_as_one(data):
    assert run(data, protocol="davis17-foreground") == 0
    assert {row["object"] for row in read_rows(data / "out/objects.csv")} == {"1"}


def test_files_are_the_same_whatever_the_number_of_processes(data):
    files = {}
    for jobs in ("1", "2"):
        assert run(data, "--jobs", jobs) == 0
        files[jobs] = {path.name: path.read_bytes() for path in (data / "out").iterdir()}
    assert files["1"] == files["2"]


def break_missing_frame(data):
    (data / "pred/dog/00002.png").unlink()
    return "dog/00002.png"


def break_size(data):
    write_mask(data / "pred/dog/00002.png", square(3, 3, shape=(31, 40)))
    return "dog/00002.png"


def break_file(data):
    path = data / "pred/dog/00002.png"
    path.write_bytes(path.read_bytes()[:-40])
    return "dog/00002.png"


def break_truth(data):
    (data / "truth/dog/00002.png").write_bytes(b"")
    return "truth/dog/00002.png"


def break_lost_truth(data):
    (data / "truth/dog/00002.png").unlink()
    return "truth/dog/00002.png"


def break_id(data):
    write_mask(data / "pred/dog/00002.png", square(3, 3, 3))
    return "dog/00002.png"


def break_missing_sequence(data):
    (data / "pred/dog").rename(data / "elsewhere")
    return "pred/dog"


def break_extra_sequence(data):
    (data / "truth/dog").rename(data / "elsewhere")
    return "pred/dog"


def break_no_object(data):
    write_mask(data / "truth/dog/00000.png", np.zeros((30, 40), np.uint8))
    return "truth/dog/00000.png"


def break_too_short(data):
    for frame in range(2, FRAMES):
        (data / f"truth/dog/{frame:05d}.png").unlink()
    return "truth/dog"


BREAKS = [
    break_missing_frame,
    break_size,
    break_file,
    break_truth,
    break_lost_truth,
    break_id,
    break_missing_sequence,
    break_extra_sequence,
    break_no_object,
    break_too_short,
]


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("damage", BREAKS)
def test_bad_data_ends_with_status_2_and_names_the_file(data, capsys, damage, jobs):
    named = damage(data)
    assert run(data, "--jobs", jobs) == 2
    assert named in capsys.readouterr().err
    assert not (data / "out").exists()


@pytest.mark.parametrize("damage", BREAKS)
def test_keep_going_scores_the_rest_and_ends_with_status_1(data, capsys, damage):
    named = damage(data)
    assert run(data, "--keep-going") == 1
    rows = {row["sequence"]: row for row in read_rows(data / "out/sequences.csv")}
    assert named in rows["dog"]["problem"]
    assert float(rows["cat"]["J_mean"]) > 0.5
    assert json.loads((data / "out/total.json").read_text())["J_mean"] is None
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "davis18-val"], "davis16-val"),
        (["--truth", "/nowhere"], "/nowhere"),
        (["--pred", "/nowhere"], "/nowhere"),
        (["--out", "/proc/none/out"], "/proc/none/out"),
    ],
)
def test_a_wrong_option_is_named_and_ends_with_status_2(data, capsys, options, message):
    assert run(data, *options) == 2
    assert message in capsys.readouterr().err


def test_the_official_layout_is_scored_on_its_split_only(data):
    root = data / "DAVIS"
    (root / "Annotations").mkdir(parents=True)
    (data / "truth").rename(root / "Annotations/480p")
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("dog\n")
    (data / "pred/cat").rename(data / "elsewhere")
    assert run(data, "--truth", root / "Annotations/480p") == 0
    assert [row["sequence"] for row in read_rows(data / "out/sequences.csv")] == ["dog"]
