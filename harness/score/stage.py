"""The stage that scores the masks of a cell and writes frames.csv, objects.csv, sequences.csv and total.json."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from harness.config import Config
from harness.datasets import Protocol
from harness.datasets.protocol import Averaging, Counting
from harness.score import Rules, rules_of, score_video, write_scores
from harness.stage import Data, Stage, Task


class ScoreConfig(Config):
    """How a benchmark is scored; the sequences say which frames count."""

    averaging: Averaging
    alternative: Averaging | None = None
    """A second mean, if published scorers differ."""

    counting: Counting
    measures: tuple[str, ...]


def score_stage(protocol: Protocol, segments: Mapping[str, Stage], sequences: Mapping[str, Data]) -> Stage:
    """Return the score stage over these segment stages; both mappings are by sequence name.

    Raises StudyError if the benchmark reports a measure that does not exist."""
    return Stage(
        name="score",
        label=f"score {protocol.title}",
        run="harness.score.stage:score",
        config=_config(protocol),
        needs=segments,
        data=sequences,
    )


@cache
def _config(protocol: Protocol) -> ScoreConfig:
    rules = rules_of(protocol)
    return ScoreConfig(
        averaging=protocol.averaging, alternative=protocol.alternative, counting=rules.counting, measures=rules.measures
    )


def score(task: Task) -> None:
    """Score all sequences. Raises DataError if a mask is missing or does not fit its frame."""
    config: ScoreConfig = task.config
    rules = Rules(counting=config.counting, measures=config.measures)
    scores = []
    for done, (name, video) in enumerate(task.data.items(), start=1):
        scores.append(score_video(video, task.needs[name] / "masks", rules))
        task.progress(done / len(task.data), name)
    write_scores(task.folder, scores, config.averaging, config.measures, alternative=config.alternative)
