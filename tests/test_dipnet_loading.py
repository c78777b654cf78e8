"""Trained networks loaded in Python, as the documentation shows it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dipnet
from dipnet.stages import METHOD
from harness.config import resolve
from harness.errors import StoreError, StudyError
from harness.method import CellRequest
from harness.stage import Data
from harness.store import MANIFEST
from tests.test_dipnet_stages import TINY, VIDEOS, run
from tests.videos import Squares
from vos import segment_video
from vos.segment import Segmenter

VIDEO = Squares(objects=2, length=3)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a trained and fine-tuned DIPNet, by the role of their stage; `masks` is what it segmented."""
    home, done = tmp_path_factory.mktemp("home"), {}
    request = CellRequest(
        config=resolve(dipnet.DIPNetConfig, TINY, "test"),
        sequences={"a": Data(name="a", digest="a", value=VIDEO)},
        multi_object=True,
        training={"pretraining": None, "offline": VIDEOS},
        missing={},
    )
    segment = METHOD.plan(request).segment["a"]
    folders = {"masks": run(segment, home, done)}
    for role, stage in segment.needs.items():
        folders[role] = done[stage.key]
        (folders[role] / MANIFEST).write_text(json.dumps({"identity": asdict(stage.identity)}))
    return folders


def masks(segmenter: Segmenter) -> np.ndarray:
    return np.stack(list(segment_video(VIDEO, segmenter)))


def test_loaded_networks_give_the_masks_of_their_study(stages: dict[str, Path]) -> None:
    parts = {role: str(stages[role]) for role in ("propagation", "segmentation", "objects")}
    written = [np.array(Image.open(file)) for file in sorted((stages["masks"] / "masks").iterdir())]
    assert np.array_equal(masks(dipnet.load(**parts)), np.stack(written))


def test_one_network_segments_by_itself(stages: dict[str, Path]) -> None:
    for role in ("propagation", "segmentation"):
        assert len(masks(dipnet.load(**{role: stages[role]}))) == 3


def test_options_change_how_a_video_is_segmented(stages: dict[str, Path]) -> None:
    both = {role: stages[role] for role in ("propagation", "segmentation")}
    scores = []
    for options in ({"crop": False}, {"crop": False, "test_flip": True}):
        segmenter = dipnet.load(**both, **options)
        segmenter.start(VIDEO.frame(0), np.stack([VIDEO.mask(0) == i for i in (1, 2)]))
        scores.append(segmenter.step(VIDEO.frame(1)))
    assert not np.array_equal(*scores)


def test_what_cannot_be_loaded_is_named(stages: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not the folder of a finished stage"):
        dipnet.load(propagation=tmp_path)
    with pytest.raises(StoreError, match="no propagation network"):
        dipnet.load(propagation=stages["segmentation"])
    for option in ("omga", "phases", "weights"):
        with pytest.raises(StudyError, match=option):
            dipnet.load(propagation=stages["propagation"], **{option: "both"})
    with pytest.raises(StudyError, match="omega"):
        dipnet.load(propagation=stages["propagation"], omega=2.0)
    with pytest.raises(StudyError, match="no network given"):
        dipnet.load()
    config = json.loads((stages["segmentation"] / MANIFEST).read_text())
    config["identity"]["config"]["coarse_size"] = 8
    (tmp_path / MANIFEST).write_text(json.dumps(config))
    with pytest.raises(StudyError, match="trained together"):
        dipnet.load(propagation=stages["propagation"], segmentation=tmp_path)
