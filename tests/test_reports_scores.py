"""Score files as reports read them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.score import SequenceScores, write_scores
from reports.figures.scores import frame_scores
from reports.inputs import read_frames
from tests.report_cells import cell


def test_names_of_digits_stay_text(tmp_path: Path) -> None:
    names = ("0001", "1", "10")
    ones = np.ones((1, 3))
    write_scores(
        tmp_path,
        [
            SequenceScores(
                name=name, object_ids=(1,), frames=("0", "1", "2"), counts=np.zeros((1, 3, 6), np.int64), J=ones, F=ones
            )
            for name in names
        ],
        "sequences",
    )
    made = replace(cell("full", 1.0), score_folder=str(tmp_path))
    assert sorted(set(read_frames(made)["sequence"])) == sorted(names)
    assert sorted(one.name for one in frame_scores(made)) == sorted(names)
