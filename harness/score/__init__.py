"""J, F and what benchmarks make of them, as their official evaluators count (docs/scoring.md lists the conventions).

Masks that a method has written, `<folder>/<frame name>.png`, against a sequence of harness.datasets:

    scores = [score_video(sequence, folder / sequence.name, rules_of(protocol)) for sequence in sequences]
    write_scores(out, scores, protocol.averaging, protocol.measures)  # frames, objects, sequences .csv, total.json

Masks in memory, those of the scored frames only, without decoding:

    score_sequence(truth, prediction, sequence.object_ids, name=sequence.name, frames=names, values=sequence.values)"""

from harness.score.folders import score_video
from harness.score.further import over_length, read_attributes
from harness.score.measures import MEASURES, Measure, boundary_measure, headlines, region_similarity
from harness.score.sequence import Rules, SequenceScores, rules_of, score_sequence
from harness.score.tables import object_rows, sequence_row, total, write_scores

__all__ = [
    "MEASURES", "Measure", "Rules", "SequenceScores", "boundary_measure", "headlines", "object_rows", "over_length",
    "read_attributes", "region_similarity", "rules_of", "score_sequence", "score_video", "sequence_row", "total",
    "write_scores",
]  # fmt: skip
