"""Figures of the stages behind a cell: training losses, identity vectors before and after training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.store.manifest import read_manifest
from reports.figures.identities import (
    Identities,
    find_identities,
    identity_figure,
    load,
    matches_own_object,
    matching_text,
    spread,
)
from reports.figures.training import read_curves, smoothed, training_figures
from reports.inputs import Lineage, Part, ReportError, lineage, split
from reports.report import write_report
from tests.report_cells import cell


def publish(store: Path, name: str, key: str, label: str, **identity: Any) -> Path:
    """Write a stage's manifest and return its folder."""
    folder = store / name / key
    folder.mkdir(parents=True)
    whole = {"name": name, **identity}
    (folder / "manifest.json").write_text(json.dumps({"key": key, "label": label, "identity": whole, "files": {}}))
    return folder


def vectors(folder: Path, objects: int = 2, frames: int = 6) -> None:
    """Write identity vectors, close together for each object."""
    ids = np.repeat(np.arange(1, objects + 1), frames)
    noise = np.random.default_rng(0).normal(size=(objects * frames, 8)).astype(np.float32)
    order = np.tile(np.arange(frames), objects)
    np.savez(folder / "identities.npz", vectors=noise + 9 * ids[:, None], objects=ids, frames=order)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A cell of two videos, its network trained twice; vectors of both videos, and those of another network."""
    place = tmp_path / "store"
    for key, needs in (("pre", {}), ("off", {"before": "pre"})):
        folder = publish(place, "train", key, f"train propagation, {key}", needs=needs)
        lines = [f"{step},loss,{1 / step:.4f}" for step in range(1, 41)]
        (folder / "curves.csv").write_text("\n".join(["step,name,value", *lines, "40,validation,0.5"]) + "\n")
    publish(place, "train", "other", "train propagation, other")
    for video in ("alpha", "beta"):
        needs = {"propagation": "off"}
        publish(
            place, "segment", f"seg-{video}", video, needs=needs, data={"video": video}, config={"propagation": "a"}
        )
        for network, key, config, of in (
            ("before", "1", "a", {}),
            ("after", "2", "a", {"propagation": "off"}),
            ("after", "3", "b", {"propagation": "other"}),
        ):
            settings = {"network": network, "propagation": config}
            data = {"video": video, "weights": "w"}
            vectors(publish(place, "identities", key + video, "", needs=of, data=data, config=settings))
    folder = publish(place, "score", "sc", "score", needs={"alpha": "seg-alpha", "beta": "seg-beta"})
    (folder / "sequences.csv").write_text("sequence,objects,J_mean\nalpha,2,0.5\nbeta,2,0.6\n")
    return place


def part_of(store: Path) -> Part:
    return split([cell("no-crop", 0.5, score_folder=str(store / "score" / "sc"))])[0]


def test_exactly_the_trainings_behind_a_cell_are_found(store: Path) -> None:
    curves = read_curves(part_of(store), Lineage())
    assert [(curve.training, curve.name) for curve in curves] == [
        ("train propagation, off", "loss"),
        ("train propagation, off", "validation"),
        ("train propagation, pre", "loss"),
        ("train propagation, pre", "validation"),
    ]
    assert [figure.name for figure in training_figures(part_of(store), curves)] == [
        "training-loss",
        "training-validation",
    ]


def test_vectors_are_those_of_the_network_that_segmented(store: Path) -> None:
    found = find_identities(part_of(store), "davis16-val", Lineage())
    assert {name: {phase: path.parent.name for phase, path in given.items()} for name, given in found.items()} == {
        "alpha": {"before": "1alpha", "after": "2alpha"},
        "beta": {"before": "1beta", "after": "2beta"},
    }


def test_every_manifest_is_read_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(lineage, "read_manifest", lambda path: read.append(path) or read_manifest(path))
    known = Lineage()
    for _ in range(3):
        find_identities(part_of(store), "davis16-val", known)
        read_curves(part_of(store), known)
    assert len(read) == len(set(read)) > 5


def test_the_identity_figure_is_drawn_reproducibly(store: Path) -> None:
    figure, why = identity_figure(part_of(store), "davis16-val", Lineage())
    assert figure is not None
    assert not why
    assert "before and after training" in figure.title
    found = load(store / "identities" / "2alpha" / "identities.npz")
    assert (spread(found.vectors) == spread(found.vectors)).all()


def test_separate_objects_stay_separate_in_the_figure(store: Path) -> None:
    found = load(store / "identities" / "2alpha" / "identities.npz")
    points = spread(found.vectors)
    first, second = (points[found.objects == one] for one in (1, 2))
    within = np.linalg.norm(first - first.mean(axis=0), axis=1).max()
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > within


def test_vectors_closest_to_their_own_object_are_counted() -> None:
    # Objects 1 and 4 begin at 0 and 10; later 1 is at 2 and 7, 4 at 6 and 4.
    vectors = np.array([[0], [10], [2], [6], [7], [4]], np.float32)
    found = Identities(vectors=vectors, objects=np.array([1, 4] * 3), frames=np.array([0, 0, 1, 1, 2, 2]))
    assert matches_own_object(found).tolist() == [True, True, False, False]
    alone = Identities(vectors=vectors, objects=np.ones(6, int), frames=np.arange(6))
    better = Identities(vectors=vectors[[0, 1, 0, 1, 0, 1]], objects=found.objects, frames=found.frames)
    text = matching_text([{"before": found, "after": better}, {"before": alone, "after": alone}])
    assert "Over 1 video with several objects, 50 % of the later vectors before training and 100 % after" in text
    assert "(50 % by chance)" in text
    assert matching_text([{"before": alone, "after": alone}]) == ""


def test_without_vectors_the_report_says_so(tmp_path: Path) -> None:
    write_report([cell("no-crop", 0.5)], "s", tmp_path / "r")
    page = (tmp_path / "r" / "index.md").read_text()
    assert "no identity vectors of a network before and after training were recorded" in page
    assert "no training curves were found in the store" in page


@pytest.mark.parametrize("content", [{"vectors": np.zeros(3)}, {"vectors": np.zeros((3, 2)), "objects": np.zeros(2)}])
def test_a_file_without_identity_vectors_is_named(tmp_path: Path, content: dict[str, Any]) -> None:
    np.savez(tmp_path / "identities.npz", **({"objects": np.zeros(3), "frames": np.zeros(3)} | content))
    with pytest.raises(ReportError, match=r"identities\.npz"):
        load(tmp_path / "identities.npz")


def test_many_values_are_smoothed_and_few_are_not() -> None:
    few, many = np.arange(5.0), np.tile([0.0, 1.0], 50)
    assert (smoothed(few) == few).all()
    assert smoothed(many)[20:].std() < 0.1
    assert smoothed(many)[0] == many[0]
