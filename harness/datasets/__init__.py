"""Datasets: layouts as distributed, benchmarks as data, digests, checks, the embedded miniature."""

from harness.datasets.check import Problem, check_sequences, require_sound
from harness.datasets.digest import annotation_digest, digest, digests
from harness.datasets.embedded import embedded_data
from harness.datasets.miniature import embed
from harness.datasets.protocol import (
    Dataset,
    Protocol,
    TrainingSet,
    data_kind,
    find_root,
    load_benchmark,
    load_protocols,
    load_training,
    load_training_sets,
)
from harness.datasets.sequence import Sequence

__all__ = [
    "Dataset",
    "Problem",
    "Protocol",
    "Sequence",
    "TrainingSet",
    "annotation_digest",
    "check_sequences",
    "data_kind",
    "digest",
    "digests",
    "embed",
    "embedded_data",
    "find_root",
    "load_benchmark",
    "load_protocols",
    "load_training",
    "load_training_sets",
    "require_sound",
]
