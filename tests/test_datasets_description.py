"""Descriptions of datasets: the file, its patterns, and the first version that is written for a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.main import main
from harness.datasets import (
    check_part,
    find_parts,
    list_entries,
    load_benchmark,
    load_protocols,
    load_training_sets,
    suggest,
)
from harness.datasets.files import JUNK
from harness.datasets.patterns import check_pattern, fill, find, fixed_part, names_of
from harness.errors import DataError, StudyError
from tests.trees import SA_V, TREES, ids, sa_v, save_video

MINE = """\
datasets:
  mine:
    frames: JPEGImages/{sequence}/{frame}.jpg
    masks: Annotations/{sequence}/{frame}.png
benchmarks:
  mine-all: {dataset: mine, multi_object: true, skip_first: 1, averaging: objects, offline: davis17-train}
"""


def write(root: Path, text: str) -> Path:
    (root / "dataset.yaml").write_text(text)
    return root


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("frames:", "frame:", r"dataset.yaml: datasets.mine: unknown key 'frame'.*allowed here: .*frames"),
        ("/{frame}.jpg", "/0.jpg", r"datasets.mine: frames: .*\{frame\} is missing"),
        (
            "{sequence}/{frame}.jpg",
            "{video}/{frame}.jpg",
            r"\{video\} in it; allowed: \{sequence\}, \{frame\}, \{split\}",
        ),
        ("JPEGImages/", "../JPEGImages/", r"frames: .*a path inside the dataset's folder expected"),
        ("JPEGImages/", "/JPEGImages/", r"frames: .*a path inside the dataset's folder expected"),
        ("{frame}.jpg", "{frame.jpg", r"frames: .*a brace without its counterpart"),
        ("{frame}.jpg", "{frame}{split}.jpg", r"frames: .*two placeholders in a row"),
        ("{frame}.jpg", "{frame}.mp4", r"frames: .*ending in .jpg, .jpeg, .png, .bmp expected"),
        ("{frame}.png", "{frame}.jpg", r"masks: .*ending in .png, .bmp expected"),
        ("    masks: Annotations/{sequence}/{frame}.png\n", "", r"frames and masks go together"),
        ("    frames:", "    layout: davis17\n    frames:", r"layout and frames found, one of them expected"),
        ("    frames:", "    values: gray\n    frames:", r"values: .*'ids' or 'binary'"),
        ("    frames:", "    values: binary\n    late_objects: true\n    frames:", r"masks of one object"),
        ("    frames:", "    seen: meta.json\n    frames:", r"seen needs objects"),
        ("  mine-all:", "  davis16-val:", r"benchmarks.davis16-val: there is one of this name already"),
        ("  mine-all:", "  my videos:", r"benchmarks: name 'my videos' found; 1 to 100 letters"),
        ("dataset: mine,", "dataset: yours,", r"benchmarks.mine-all.dataset: 'yours' found; allowed: .*mine"),
        ("davis17-train", "nothing", r"benchmarks.mine-all.offline: 'nothing' found; allowed: .*davis17-train"),
        ("datasets:", "dataset:", r"keys dataset, benchmarks found; datasets, training, benchmarks expected"),
        ("  mine:\n", "  mine: 7\n  other:\n", r"datasets: a mapping of names to entries expected"),
        ("mine-all: {", "mine-all: {held_out: true, dataset: davis17, split: val, title: x}\n  other: {", r"held_out"),
    ],
)
def test_a_bad_description_is_an_error_with_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MINE
    with pytest.raises(StudyError, match=message) as caught:
        load_protocols(root=write(tmp_path, MINE.replace(old, new, 1)))
    assert str(tmp_path / "dataset.yaml") in str(caught.value)


def test_descriptions_lie_in_the_data_root_or_directly_below_it(tmp_path: Path) -> None:
    for folder, name in ((tmp_path, "mine"), (tmp_path / "sub", "other"), (tmp_path / "sub/sub", "deep")):
        save_video(folder, "a", {"0": ids(1), "1": ids(1)})
        write(folder, MINE.replace("mine", name))
    found = {
        name: one
        for name, one in load_protocols(root=tmp_path).items()
        if one.dataset.name in {"mine", "other", "deep"}
    }
    assert {name: one.dataset.folders for name, one in found.items()} == {"mine-all": (".",), "other-all": ("sub",)}
    assert all(len(load_benchmark(one, tmp_path)) == 1 for one in found.values())
    assert not load_protocols().keys() & found.keys()


def test_a_file_of_another_program_is_no_description(tmp_path: Path) -> None:
    assert load_protocols(root=write(tmp_path, "path: coco\ntrain: images\nnames: {0: cat}\n")) == load_protocols()


def test_a_description_may_name_a_folder_elsewhere_and_training_sets(tmp_path: Path) -> None:
    save_video(tmp_path / "read-only", "a", {"0": ids(1), "1": ids(1)})
    training = "training:\n  mine-train: {dataset: mine}\nbenchmarks:"
    text = MINE.replace("    frames:", f"    folders: [{tmp_path / 'read-only'}]\n    frames:").replace(
        "benchmarks:", training
    )
    (tmp_path / "root").mkdir()
    write(tmp_path / "root", text.replace("offline: davis17-train", "offline: mine-train"))
    (part, train) = (check_part(part, None) for part in find_parts(tmp_path / "root", list_entries(tmp_path / "root")))
    assert part.located.folder == train.located.folder == tmp_path / "read-only"
    assert part.errors == ()
    assert "mine-train" in load_training_sets(root=tmp_path / "root")


def test_names_of_frames_and_masks_may_differ_around_their_numbers(tmp_path: Path) -> None:
    save_video(tmp_path, "a", {"img_01": ids(1), "img_02": ids(1), "img_10": ids(1)})
    for path in (tmp_path / "Annotations/a").iterdir():
        path.rename(path.with_name(f"{int(path.stem[4:])}_gt.png"))
    write(tmp_path, MINE.replace("{frame}.jpg", "img_{frame}.jpg").replace("{frame}.png", "{frame}_gt.png"))
    (sequence,) = load_benchmark(load_protocols(root=tmp_path)["mine-all"], tmp_path)
    assert [(frame.name, mask.name) for frame, mask in zip(sequence.frames, sequence.mask_files, strict=True)] == [
        ("img_01.jpg", "1_gt.png"),
        ("img_02.jpg", "2_gt.png"),
        ("img_10.jpg", "10_gt.png"),
    ]


CHARACTERS = st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=("Cs", "Cc"))
PLAIN = st.text(CHARACTERS, min_size=1, max_size=8).filter(lambda name: not name.startswith(".") and name not in JUNK)
"""Names that are read: those that systems add are skipped everywhere."""

PATTERNS = st.sampled_from(
    [
        "{sequence}/{frame}.png",
        "a/{sequence}/b/{frame}.png",
        "{split}/x{sequence}/{object}/{frame}.png",
        "{sequence}/{sequence}/{frame}.png",
        "{object}/{sequence}/{frame}_gt.png",
        "{frame}/{sequence}.png",
    ]
)


@given(pattern=PATTERNS, sequence=PLAIN, frame=PLAIN, number=PLAIN)
def test_what_a_pattern_makes_is_what_it_finds(
    tmp_path_factory: pytest.TempPathFactory, pattern: str, sequence: str, frame: str, number: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    split = {"split": "{frame}"}  # a value is never read as a pattern
    values = {**split, "sequence": sequence, "frame": frame, "object": number}
    path = root / fill(pattern, values)
    path.parent.mkdir(parents=True)
    path.touch()
    (found,) = find(root, pattern, split, root)
    assert found[1] == path
    assert {name: values[name] for name in found[0]} == dict(found[0])
    assert names_of(root, pattern, "sequence", split, root) == [sequence]
    assert path.is_relative_to(root / fixed_part(pattern, {**split, "sequence": sequence}))


@given(pattern=st.text("{}abcdefmqrsu/.\\_", max_size=30))
def test_a_pattern_that_is_accepted_stays_in_its_folder(pattern: str) -> None:
    try:
        check_pattern(pattern, ("frame",), ("frame", "sequence"), (".png",))
    except ValueError:
        return
    assert "{frame}" in pattern
    assert not {"", ".", ".."} & {*pattern.split("/")}


@pytest.mark.parametrize("name", [*TREES])
def test_a_first_description_of_a_sound_folder_has_no_defect(tmp_path: Path, name: str) -> None:
    TREES[name](tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "dataset.yaml").unlink(missing_ok=True)
    (folder / "dataset.yaml").write_text(suggest(folder))
    own = load_protocols(root=folder).keys() - load_protocols().keys()
    parts = [check_part(part, None) for part in find_parts(folder, list_entries(folder)) if part.entry.name in own]
    assert parts
    assert [part.errors for part in parts] == [()] * len(parts)


def test_a_first_description_says_what_it_saw(tmp_path: Path) -> None:
    sa_v(tmp_path)
    (tmp_path / "sav_val/dataset.yaml").unlink()
    text = suggest(tmp_path / "sav_val")
    assert "{object}" in text
    assert "late_objects: true  # sav_000001: an object that the first mask lacks" in text
    assert 'sequences: "{split}.txt"' in text
    assert "truth: some" in text
    assert SA_V.split("\n")[3].split()[1] in text


def test_a_folder_without_masks_is_an_error_with_what_it_holds(tmp_path: Path) -> None:
    save_video(tmp_path, "a", {"0": None})
    with pytest.raises(DataError, match=r"no folders of frames and masks .*found, but folders Annotations, JPEGImages"):
        suggest(tmp_path)


def test_describe_writes_a_new_file_that_check_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_video(tmp_path / "clips", "a", {"0": ids(1), "1": ids(1, 2)})
    out = str(tmp_path / "clips/dataset.yaml")
    assert main(["data", "describe", str(tmp_path / "clips"), "--output", out]) == 0
    assert main(["data", "check", str(tmp_path), "--home", str(tmp_path / "home")]) == 0
    assert "no defects" in capsys.readouterr().out
    assert main(["data", "describe", str(tmp_path / "clips"), "--output", out]) == 2


def test_described_masks_elsewhere_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_video(tmp_path / "read-only", "a", {"0": ids(1), "1": ids(1), "2": ids(1)})
    (tmp_path / "root").mkdir()
    write(tmp_path / "root", MINE.replace("    frames:", f"    folders: [{tmp_path / 'read-only'}]\n    frames:"))
    asked = ["score", "--pred", str(tmp_path / "read-only/Annotations"), "--protocol", "mine-all", "--truth"]
    assert main([*asked, str(tmp_path / "root")]) == 0
    assert "mean over objects" in capsys.readouterr().out
    asked[asked.index("mine-all")] = "mine-val"
    assert main([*asked, str(tmp_path / "root")]) == 2
    assert "of a dataset.yaml in --truth" in capsys.readouterr().err
