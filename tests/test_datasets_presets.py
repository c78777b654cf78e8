from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import (
    Sequence,
    check_part,
    content_digests,
    find_parts,
    load_benchmark,
    load_protocols,
    load_training,
)
from tests.trees import TREES, ids, lvos, mose, sa_v, save_video, vost, youtube_vos


def read(root: Path, name: str) -> dict[str, Sequence]:
    protocols = load_protocols(root=root)
    return {sequence.name: sequence for sequence in load_benchmark(protocols[name], root)}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_in_its_distributed_form_has_no_defect(tmp_path: Path, name: str) -> None:
    TREES[name](tmp_path)
    (part,) = (check_part(part, None) for part in find_parts(tmp_path, [load_protocols(root=tmp_path)[name]]))
    assert part.errors == ()
    assert part.sequences


def test_youtube_vos_announces_late_objects_and_their_categories(tmp_path: Path) -> None:
    youtube_vos(tmp_path)
    found = read(tmp_path, "youtube-vos-2019-local")
    assert list(found) == ["d", "hatted"]
    late, hatted = found.values()
    assert [late.frame_name(index) for index in range(len(late))] == ["00005", "00010", "00015"]
    assert (late.object_ids, late.starts, late.prompts) == ((1, 2), (0, 1), {0: (1,), 1: (2,)})
    assert (late.categories, hatted.categories) == (("seen", "seen"), ("unseen", "seen"))
    assert (hatted.starts, hatted.scored) == ((), (1,))
    assert [one.name for one in load_training("youtube-vos-2019-rest", tmp_path)] == ["a"]
    assert len(load_training("youtube-vos-2019-train", tmp_path)) == 3


def test_youtube_vos_val_has_the_first_mask_of_each_object(tmp_path: Path) -> None:
    youtube_vos(tmp_path)
    (val,) = read(tmp_path, "youtube-vos-2019-val").values()
    assert (val.object_ids, val.starts, val.scored, len(val)) == ((1, 2), (0, 2), (), 4)
    assert val.categories == ("seen", "unseen")
    (tmp_path / "YouTube-VOS-2019/train/meta.json").unlink()
    assert read(tmp_path, "youtube-vos-2019-val")["v"].categories == ()


@pytest.mark.parametrize(("folder", "version"), [("MOSE", "v1"), ("MOSEv2", "v2")])
def test_mose_is_exported_from_valid_and_scored_on_a_part_of_train(tmp_path: Path, folder: str, version: str) -> None:
    mose(tmp_path, folder)
    val, local = (read(tmp_path, f"mose-{version}-{part}") for part in ("val", "local"))
    assert (val["v"].object_ids, val["v"].masks[1:], val["v"].scored) == ((1, 4), (None, None), ())
    assert list(local) == ["d"]
    assert local["d"].scored == (1, 2)


@pytest.mark.parametrize(("folder", "version"), [("LVOS/valid", "v1"), ("LVOS-v1/val", "v1"), ("LVOS-v2/val", "v2")])
def test_lvos_has_sparse_truth_and_unseen_videos(tmp_path: Path, folder: str, version: str) -> None:
    lvos(tmp_path, folder)
    found = read(tmp_path, f"lvos-{version}-val")
    assert {name: one.categories for name, one in found.items()} == {"R3UJGYwy": ("unseen",) * 2, "seen": ("seen",) * 2}
    assert (found["seen"].object_ids, found["seen"].starts, found["seen"].scored) == ((1, 3), (0, 4), (2, 4))


def test_vost_follows_its_lists(tmp_path: Path) -> None:
    vost(tmp_path)
    (val,) = read(tmp_path, "vost-val").values()
    assert (val.name, val.object_ids, val.scored, len(val)) == ("b", (1, 2), (1, 3), 5)
    assert [one.name for one in load_training("vost-train", tmp_path)] == ["a"]


def test_sa_v_has_a_folder_per_object_by_description_alone(tmp_path: Path) -> None:
    sa_v(tmp_path)
    (val,) = read(tmp_path, "sa-v-val").values()
    assert (val.object_ids, val.starts, val.scored, len(val)) == ((1, 2), (0, 8), (4, 8, 12), 17)
    assert set(np.unique(val.mask(0))) == {0, 1}
    assert set(np.unique(val.mask(8))) == {0, 1, 2}


def test_objects_that_count_as_one_have_no_later_starts(tmp_path: Path) -> None:
    youtube_vos(tmp_path)
    protocol = load_protocols()["youtube-vos-2019-local"].model_copy(update={"multi_object": False})
    late = load_benchmark(protocol, tmp_path)[0]
    assert (late.object_ids, late.starts, late.categories) == ((1,), (), ())


def _later(root: Path) -> None:
    save_video(root / "LVOS-v2/val", "seen", {"00000003": ids(1, 3)})


def _other_object(root: Path) -> None:
    masks = root / "sav_val/Annotations_6fps/sav_000001"
    for name in ("00008.png", "00012.png"):
        (masks / "000" / name).replace(masks / "000" / "moved")
        (masks / "001" / name).replace(masks / "000" / name)
        (masks / "000" / "moved").replace(masks / "001" / name)


@pytest.mark.parametrize(("tree", "name", "change"), [(lvos, "lvos-v2-val", _later), (sa_v, "sa-v-val", _other_object)])
def test_when_and_where_objects_appear_is_part_of_the_digest(
    tmp_path: Path, tree: Callable[[Path], None], name: str, change: Callable[[Path], None]
) -> None:
    tree(tmp_path)
    before = content_digests([*read(tmp_path, name).values()])
    change(tmp_path)
    assert content_digests([*read(tmp_path, name).values()]) != before
