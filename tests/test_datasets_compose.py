"""The derived multi-object benchmark, from a small DAVIS 2016 made by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.datasets import Sequence, check_sequences, data_kind, load_benchmark, load_protocols, load_training
from harness.datasets.compose import Composition, compose, render
from harness.datasets.compose import _tracks as read_tracks
from harness.datasets.compose import plan as plan_composition
from harness.datasets.protocol import load_training_sets
from harness.errors import DataError
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import make_plan
from harness.planning.study import load_study
from harness.results import collect_results
from harness.store.local import Store
from reports.inputs import describe
from reports.inputs import split as split_cells

SPLITS = {"train": ("bear", "boat", "bus", "cat"), "val": ("cow", "dog", "duck", "goat")}
SIZE = (96, 160)


def make_source(folder: Path) -> Path:
    """Each sequence a disk of one colour over noise of its own, 10 frames or fewer, lossless frames."""
    for split, names in SPLITS.items():
        lines = []
        for number, name in enumerate(names):
            for index in range(10 - number):
                frame, mask = f"/JPEGImages/480p/{name}/{index:05d}.png", f"/Annotations/480p/{name}/{index:05d}.png"
                ids = np.zeros(SIZE, np.uint8)
                cv2.circle(ids, (40 + 8 * index, 40 + 4 * number), 17 + number, 255, -1)
                image = np.random.default_rng([len(split), number]).integers(0, 60, (*SIZE, 3), np.uint8)
                image[ids > 0] = (60 + 40 * number, 200 - 30 * number, 255 if split == "val" else 100)
                for path, array in ((frame, image), (mask, ids)):
                    (folder / path[1:]).parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(array).save(folder / path[1:])
                lines.append(f"{frame} {mask} \n")
        (folder / "ImageSets/480p").mkdir(parents=True, exist_ok=True)
        (folder / f"ImageSets/480p/{split}.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "DAVIS")


@pytest.fixture(scope="module")
def derived(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compose(source, tmp_path_factory.mktemp("out") / "derived", 0)


@pytest.fixture(scope="module")
def planned(source: Path) -> list[Composition]:
    tracks = read_tracks(load_training_sets()["davis16-train"].dataset, "val", source)
    return [plan_composition(track, tracks, f"0/{track.sequence.name}") for track in tracks]


def sequences(root: Path) -> tuple[Sequence, ...]:
    return (*load_benchmark(load_protocols()["davis17-val"], root), *load_training("davis17-train", root))


def test_it_has_the_sequences_of_its_source_with_two_to_four_objects(derived: Path) -> None:
    found = sequences(derived)
    assert [one.name for one in found] == [*SPLITS["val"], *SPLITS["train"]]
    assert [len(one) for one in found] == [10, 9, 8, 7] * 2
    assert {len(one.object_ids) for one in found} <= {2, 3, 4}


def test_it_passes_the_checks(derived: Path) -> None:
    assert [problem for problem in check_sequences(sequences(derived)) if problem.severity == "error"] == []


def test_it_is_called_derived(derived: Path) -> None:
    assert data_kind(derived) == "derived"


def test_its_rows_and_captions_call_it_derived(derived: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: a\nmethod: first-mask\nbenchmarks: [davis17-val]\nvariants: {b: {}}\n")
    protocols, store = load_protocols(), Store(tmp_path / "home")
    study = load_study(tmp_path / "study.yaml", protocols)
    plan = make_plan(study, gather([protocols["davis17-val"]], derived, tmp_path / "facts.sqlite"), store)
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "none"))
    (result,) = collect_results(plan, store)
    assert (result.status, result.data_kind) == ("done", "derived")
    (part,) = split_cells([result])
    assert "Data: derived from real sequences, not a benchmark result." in describe(part)


def test_every_split_is_made_from_its_own_sequences_alone(derived: Path) -> None:
    """Objects of val are full of blue, those of train are not."""
    for one in sequences(derived):
        blue = np.median(one.frame(0)[one.mask(0) > 0][:, 2])
        assert (blue > 180) == (one.name in SPLITS["val"])


def test_the_pixels_outside_of_pasted_objects_are_those_of_the_source(planned: list[Composition]) -> None:
    for one in planned:
        image, ids = render(one, 3)
        kernel = np.ones((3, 3), np.uint8)
        untouched = cv2.dilate((ids > 1).astype(np.uint8), kernel) == 0
        assert (image[untouched] == one.base.sequence.frame(3)[untouched]).all()


def test_the_pixels_of_a_mask_have_the_colour_of_its_object(planned: list[Composition]) -> None:
    for one in planned:
        image, ids = render(one, 3)
        for object_id, pasted in enumerate(one.pasted, start=2):
            core = cv2.erode((ids == object_id).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            colour = pasted.track.sequence.frame(0)[pasted.track.sequence.mask(0) > 0][0]
            assert (np.abs(image[core].astype(int) - colour) <= 1).all()


def test_the_own_object_keeps_its_exact_mask_where_nothing_is_in_front(planned: list[Composition]) -> None:
    for one in planned:
        _, ids = render(one, 3)
        own = one.base.sequence.mask(3) == 1
        assert not (ids == 1)[~own].any()
        assert ((ids == 1) | (ids > 1))[own].all()


def test_objects_meet(planned: list[Composition]) -> None:
    def hidden(one: Composition) -> int:
        own = [one.base.sequence.mask(index).sum() for index in range(len(one.base.boxes))]
        seen = [(render(one, index)[1] == 1).sum() for index in range(len(one.base.boxes))]
        return max(a - b for a, b in zip(own, seen, strict=True))

    assert any(hidden(one) > 50 for one in planned)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(source: Path, derived: Path) -> None:
    def content(root: Path) -> dict[Path, bytes]:
        return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.*"))}

    again, other = (compose(source, derived.parent / f"again-{seed}", seed) for seed in (0, 1))
    assert content(again) == content(derived)
    assert content(other) != content(derived)


def test_a_damaged_source_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "DAVIS")
    (folder / "Annotations/480p/cow/00004.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cow/00004\.png"):
        compose(folder, tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()
