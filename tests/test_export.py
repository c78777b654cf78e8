"""Masks as the DAVIS site takes them, and a benchmark whose truth is not public."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets import load_protocols
from harness.datasets.pixels import davis_palette, read_mask, write_mask
from harness.errors import DataError, StoreError
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.study import load_study
from harness.results import collect_results, export, require_usable
from harness.stage import Data
from harness.store.local import Store
from tests.late import late_sequence
from tests.test_datasets_layouts import make_davis17

STUDY = "name: try\nmethod: first-mask\nbenchmarks: [davis17-val, davis17-test-dev]\nvariants: {one: {}}\n"


def planned(place: Path, study: str = STUDY) -> tuple[Plan, Store]:
    """A study on a DAVIS17 val and a test-dev made by hand, one video each of 4 frames and 2 objects."""
    if not (place / "data").exists():
        make_davis17(place / "data/DAVIS2017")
        folder = make_davis17(place / "data/DAVIS-2017-test-dev", "test-dev")
        for path in sorted((folder / "Annotations/480p/dogs-jump").iterdir())[1:]:
            path.unlink()
    (place / "study.yaml").write_text(study)
    protocols, store = load_protocols(), Store(place / "home")
    loaded = load_study(place / "study.yaml", protocols)
    material = gather((protocols[name] for name in loaded.benchmarks), place / "data", place / "home/facts.sqlite")
    return make_plan(loaded, material, store, machine="here"), store


def segmented(place: Path, study: str = STUDY) -> tuple[Plan, Store]:
    plan, store = planned(place, study)
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "none"))
    return plan, store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export")
    segmented(place)
    return place


def test_no_score_is_planned_where_the_truth_is_not_public(place: Path) -> None:
    plan, _ = planned(place)
    assert [cell.score is None for cell in plan.cells] == [False, True]
    assert any("davis17-test-dev: segmented but not scored" in text for text in plan.omissions)


def test_a_cell_without_public_truth_is_not_scored(place: Path) -> None:
    result = collect_results(*planned(place))[1]
    assert (result.status, dict(result.values), result.planned) == ("not scored", {}, False)
    assert "its truth is not public" in result.reason
    assert result.seconds_per_frame is not None
    assert list(result.masks) == ["dogs-jump"]


def test_a_cell_without_public_truth_waits_until_it_is_segmented(tmp_path: Path) -> None:
    result = collect_results(*planned(tmp_path))[1]
    assert (result.status, result.planned, result.filled) == ("waiting", True, False)


def test_every_frame_is_exported_as_palette_png_under_its_name(place: Path, tmp_path: Path) -> None:
    assert [line.split(":")[0] for line in export(*planned(place), tmp_path)] == [
        "davis17-val/one",
        "davis17-test-dev/one",
    ]
    folder = tmp_path / "davis17-val/one"
    assert [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.*"))] == [
        f"dogs-jump/{index:05d}.png" for index in range(4)
    ]
    with Image.open(folder / "dogs-jump/00003.png") as image:
        assert (image.mode, bytes(image.getpalette() or [])[:12]) == ("P", davis_palette()[:12])
        assert np.unique(np.asarray(image)).tolist() == [0, 1, 2]


def test_test_dev_comes_as_a_zip_of_its_sequences(place: Path, tmp_path: Path) -> None:
    list(export(*planned(place), tmp_path))
    assert not (tmp_path / "davis17-val/one.zip").exists()
    with zipfile.ZipFile(tmp_path / "davis17-test-dev/one.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"dogs-jump/{index:05d}.png" for index in range(4)]
        content = archive.read("dogs-jump/00001.png")
    assert content == (tmp_path / "davis17-test-dev/one/dogs-jump/00001.png").read_bytes()


def test_objects_that_appear_later_are_exported_with_all_frames(tmp_path: Path) -> None:
    plan, store = planned(tmp_path)
    found = plan.inputs.benchmarks["davis17-test-dev"]
    video = late_sequence(tmp_path / "late", (0, 2), name="late")
    video = replace(video, masks=(video.masks[0], None, video.masks[2], None, None))  # as YouTube-VOS distributes them
    data = {"late": Data(name="davis17-test-dev/late", digest="late", value=video)}
    dataset = found.protocol.dataset.model_copy(update={"zip_folder": "Annotations"})
    found = replace(found, sequences=data, protocol=found.protocol.model_copy(update={"dataset": dataset}))
    inputs = replace(plan.inputs, benchmarks={**plan.inputs.benchmarks, "davis17-test-dev": found})
    plan = make_plan(plan.study, inputs, store, machine="here")
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "none"))
    list(export(plan, store, tmp_path / "out"))
    folder = tmp_path / "out/davis17-test-dev/one/late"
    ids = {path.stem: np.unique(read_mask(path)).tolist() for path in sorted(folder.iterdir())}
    assert ids == {f"{5 * index:05d}": [0, 1] if index < 2 else [0, 1, 2] for index in range(5)}
    with zipfile.ZipFile(tmp_path / "out/davis17-test-dev/one.zip") as archive:
        assert archive.namelist() == [f"Annotations/late/{5 * index:05d}.png" for index in range(5)]


def test_an_export_says_what_it_holds(place: Path, tmp_path: Path) -> None:
    list(export(*planned(place), tmp_path))
    cells = json.loads((tmp_path / "export.json").read_text())["cells"]
    assert {key: cells["davis17-val/one"][key] for key in ("variant", "scale", "data_kind", "seed")} == {
        "variant": "one",
        "scale": "mini",
        "data_kind": "real",
        "seed": 0,
    }


def test_equal_masks_make_an_equal_zip(place: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        list(export(*planned(place), tmp_path / name))
    first, second = ((tmp_path / name / "davis17-test-dev/one.zip").read_bytes() for name in ("a", "b"))
    assert first == second


def test_what_is_exported_already_is_kept(place: Path, tmp_path: Path) -> None:
    list(export(*planned(place), tmp_path))
    before = (tmp_path / "davis17-val/one/dogs-jump").stat().st_ino
    assert all("unchanged" in line for line in export(*planned(place), tmp_path))
    assert (tmp_path / "davis17-val/one/dogs-jump").stat().st_ino == before


def test_seeds_lie_side_by_side(tmp_path: Path) -> None:
    list(export(*segmented(tmp_path, STUDY + "seeds: [0, 1]\n"), tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out/davis17-val").iterdir()) == ["one-seed0", "one-seed1"]


def test_what_is_not_segmented_yet_is_named_and_left_out(tmp_path: Path) -> None:
    lines = list(export(*planned(tmp_path), tmp_path / "out"))
    assert lines[0] == "davis17-val/one: not exported, 1 of 1 sequences are not segmented yet"
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(StoreError, match="new or empty folder"):
        require_usable(tmp_path)


def test_a_place_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="another folder"):
        require_usable(tmp_path / "file/out")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: write_mask(path, np.zeros((3, 4), np.uint8)), "4×3, but the first frame is 41×24"),
        (lambda path: write_mask(path, np.full((24, 41), 7, np.uint8)), r"ids \[7\]"),
        (Path.unlink, "mask missing"),
    ],
)
def test_a_mask_that_the_site_would_refuse_is_named(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    plan, store = segmented(tmp_path)
    stage = plan.cells[1].segment["dogs-jump"]
    path = store.folder(stage.name, stage.key) / "masks/00002.png"
    damage(path)
    manifest = store.folder(stage.name, stage.key) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"] = {}  # as if the method had written it so
    manifest.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        list(export(plan, store, tmp_path / "out"))
    assert not (tmp_path / "out/davis17-test-dev/one").exists()


def test_a_written_mask_reads_back(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 5, (24, 41)).astype(np.uint8)
    write_mask(tmp_path / "mask.png", ids)
    assert (read_mask(tmp_path / "mask.png") == ids).all()
