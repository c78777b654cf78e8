from __future__ import annotations

from pathlib import Path

import pytest

from harness.datasets import Extent, load_benchmark, load_protocols, load_training, load_training_sets, locate
from harness.datasets.catalog import protocols_file
from harness.errors import StudyError
from tests.test_datasets_layouts import make_davis17, save_palette


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = protocols_file().read_text()
    assert old in text
    path = tmp_path / "protocols.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_every_benchmark_names_training_sets_that_exist() -> None:
    named = {value for p in load_protocols().values() for value in (p.offline, p.pretraining) if value}
    assert named
    assert named <= set(load_training_sets())


def test_the_shipped_benchmarks_follow_the_official_rules() -> None:
    rules = {
        name: (p.multi_object, p.merge_objects, p.skip_first, p.skip_last, p.averaging, p.offline, p.pretraining)
        for name, p in load_protocols().items()
        if name.startswith("davis") and name.endswith(("-val", "-foreground"))
    }
    assert rules == {
        "davis16-val": (False, False, 1, 1, "sequences", "davis16-train", "voc"),
        "davis17-val": (True, False, 1, 1, "objects", "davis17-train", "voc"),
        "davis17-foreground": (False, True, 1, 1, "sequences", "davis17-train", "voc"),
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("skip_last: 1", "skip_lost: 1", r"skip_lost.*allowed.*skip_last"),
        ("averaging: objects", "averaging: pixels", r"averaging.*pixels"),
        ("dataset: davis17", "dataset: davis18", r"davis18.*allowed.*davis17"),
        ("layout: voc", "layout: coco", r"coco.*allowed.*voc"),
        ("extent: {sequences: 20,", "extent: {sequences: 0,", r"extent\.sequences.*greater than 0.*found 0"),
        ("extent: {sequences: 20,", "extent: {videos: 20,", r"extent\.videos.*allowed.*sequences"),
        ("offline: davis16-train", "offline: nothing", r"nothing.*allowed.*davis16-train"),
        ("training:", "teaching:", "datasets, training, benchmarks"),
        ("datasets:", "datasets: [", "while parsing a flow sequence"),
    ],
)
def test_a_bad_entry_is_an_error_with_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(StudyError, match=message) as caught:
        load_protocols(path)
    assert str(path) in str(caught.value)


def test_the_error_for_an_unknown_training_set_lists_the_known_ones() -> None:
    with pytest.raises(StudyError, match="davis16-train"):
        load_training("imagenet", Path())


def test_a_fingerprint_changes_with_rules_and_truth(tmp_path: Path) -> None:
    make_davis17(tmp_path)
    protocol = load_protocols()["davis17-val"]
    sequences = load_benchmark(protocol, tmp_path)
    prints = {protocol.fingerprint(sequences)}
    prints.add(protocol.model_copy(update={"skip_last": 0}).fingerprint(sequences))
    prints.add(protocol.model_copy(update={"boundary_tolerance": 0.01}).fingerprint(sequences))
    prints.add(protocol.model_copy(update={"averaging": "sequences"}).fingerprint(sequences))
    save_palette(tmp_path / "Annotations/480p/dogs-jump/00001.png", [1], (41, 24))
    prints.add(protocol.fingerprint(sequences))
    assert len(prints) == 5


def test_a_fingerprint_ignores_titles_folders_and_extent(tmp_path: Path) -> None:
    protocol = load_protocols()["davis17-val"]
    other = protocol.model_copy(update={"title": "another", "offline": None, "extent": Extent(sequences=1)})
    first = load_benchmark(protocol, make_davis17(tmp_path / "here"))
    second = load_benchmark(protocol, make_davis17(tmp_path / "there/DAVIS").parent)
    assert protocol.fingerprint(first) == other.fingerprint(second)


def test_markers_decide_the_kind_of_data(tmp_path: Path) -> None:
    make_davis17(tmp_path / "DAVIS2017")
    entry = load_protocols()["davis17-val"]
    kinds = [locate(tmp_path, entry).kind]
    (tmp_path / "DAVIS2017/DERIVED.txt").touch()
    kinds.append(locate(tmp_path, entry).kind)
    (tmp_path / "EMBEDDED.txt").touch()
    kinds.append(locate(tmp_path, entry).kind)
    assert kinds == ["real", "derived", "embedded"]
