"""J and F exactly as the official DAVIS evaluator counts them (docs/scoring.md lists the conventions).

For masks in memory, one sequence at a time, only the frames that count:

    rules = rules_of(protocol)
    scores = score_sequence(
        (sequence.mask(i) for i in sequence.scored),
        (read_mask(folder / f"{sequence.frame_name(i)}.png") for i in sequence.scored),
        sequence.object_ids,
        name=sequence.name,
        frames=[sequence.frame_name(i) for i in sequence.scored],
        values=rules.values,
    )
    write_scores(out, all_scores, rules.averaging)  # frames.csv, objects.csv, sequences.csv, total.json
"""

from harness.score.measures import Statistics, boundary_measure, region_similarity, statistics
from harness.score.rules import Averaging, ScoringRules, Values, rules_of
from harness.score.sequence import SequenceScores, score_sequence
from harness.score.tables import object_rows, sequence_row, total, write_scores

__all__ = [
    "Averaging",
    "ScoringRules",
    "SequenceScores",
    "Statistics",
    "Values",
    "boundary_measure",
    "object_rows",
    "region_similarity",
    "rules_of",
    "score_sequence",
    "sequence_row",
    "statistics",
    "total",
    "write_scores",
]
