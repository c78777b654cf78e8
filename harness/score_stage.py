"""The stage that scores a cell: masks of its sequences in; frames.csv, objects.csv, sequences.csv, total.json out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import Config
from harness.datasets import Protocol
from harness.datasets.pixels import read_mask
from harness.errors import DataError
from harness.score import Averaging, SequenceScores, Values, rules_of, score_sequence, write_scores
from harness.stage import Data, Stage

if TYPE_CHECKING:
    from harness.datasets import Sequence
    from harness.stage import Task


class ScoreConfig(Config):
    """How a benchmark is scored. Which frames count is in the sequences."""

    values: Values
    averaging: Averaging


def score_stage(protocol: Protocol, segments: Mapping[str, Stage], sequences: Mapping[str, Data]) -> Stage:
    """The score stage over these segment stages; both mappings by sequence name."""
    rules = rules_of(protocol)
    return Stage(
        name="score",
        label=f"score {protocol.title}",
        run="harness.score_stage:score",
        config=ScoreConfig(values=rules.values, averaging=rules.averaging),
        needs=segments,
        data=sequences,
    )


def score(task: Task) -> None:
    """Raises DataError if a mask is missing or does not fit its frame."""
    config: ScoreConfig = task.config
    scores = []
    for done, (name, video) in enumerate(task.data.items(), start=1):
        scores.append(_score_video(video, task.needs[name] / "masks", config.values))
        task.progress(done / len(task.data), name)
    write_scores(task.folder, scores, config.averaging)


def _score_video(video: Sequence, masks: Path, values: Values) -> SequenceScores:
    names = [video.frame_name(index) for index in video.scored]
    missing = [name for name in names if not (masks / f"{name}.png").is_file()]
    if missing:
        raise DataError(
            f"{masks}: no mask for frame {missing[0]} and {len(missing) - 1} more; the method wrote too few"
        )
    return score_sequence(
        (video.mask(index) for index in video.scored),
        (read_mask(masks / f"{name}.png") for name in names),
        video.object_ids,
        name=video.name,
        frames=names,
        values=values,
    )
