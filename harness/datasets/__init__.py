"""Datasets: layouts as distributed, benchmarks as data, digests, checks, and generated data."""

from harness.datasets.catalog import DESCRIPTION, find_protocol, load_protocols, load_training_sets
from harness.datasets.check import Problem, check_sequences, require_sound
from harness.datasets.composition import compose
from harness.datasets.digest import content_digests
from harness.datasets.extent import Extent, extent_of
from harness.datasets.files import describe, require_name
from harness.datasets.generated import data_kind
from harness.datasets.inventory import Part, check_part, find_parts, list_entries
from harness.datasets.layouts import LAYOUTS
from harness.datasets.locate import Located, load_benchmark, load_training, locate, locate_around, read_sequences
from harness.datasets.miniature import embedded_data, write_miniature, write_today
from harness.datasets.mixture import require_own_masks
from harness.datasets.order import in_order
from harness.datasets.palette import VOID, davis_palette
from harness.datasets.pixels import read_frame, read_mask, write_mask
from harness.datasets.predictions import MaskFile, predicted_masks, read_predicted
from harness.datasets.prepare import prepare
from harness.datasets.protocol import TRAINING_ROLES, Protocol, TrainingSet
from harness.datasets.sequence import Sequence, Values
from harness.datasets.suggest import suggest

__all__ = [
    "DESCRIPTION", "LAYOUTS", "TRAINING_ROLES", "VOID", "Extent", "Located", "MaskFile", "Part", "Problem",
    "Protocol", "Sequence", "TrainingSet", "Values", "check_part", "check_sequences", "compose", "content_digests",
    "data_kind", "davis_palette", "describe", "embedded_data", "extent_of", "find_parts",
    "find_protocol", "in_order", "list_entries", "load_benchmark", "load_protocols", "load_training",
    "load_training_sets", "locate", "locate_around", "predicted_masks", "prepare", "read_frame", "read_mask",
    "read_predicted", "read_sequences", "require_name", "require_own_masks", "require_sound", "suggest", "write_mask",
    "write_miniature", "write_today",
]  # fmt: skip
