"""Benchmarks and training sets as data: the entries of `studies/protocols.yaml`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from harness.config import Config
from harness.datasets.digest import annotation_digest
from harness.datasets.extent import Extent
from harness.datasets.layouts import LAYOUTS, Reader
from harness.datasets.layouts.described import Description, described
from harness.datasets.sequence import Sequence
from harness.fingerprint import digest_of

_NOT_A_RULE = {"name", "title", "dataset", "extent", "offline", "pretraining", "sparse", "measures", "held_out"}
"""Fields that change no score; the truth itself shows which videos count."""

Averaging = Literal["sequences", "objects", "classes"]

Counting = Literal["first-frame", "all-frames", "after-first-mask", "since-shown"]
"""Which objects are scored in which of the scored frames (docs/scoring.md says which evaluator does what).
`first-frame`: the ids 1 to the highest of the first mask, in all frames; an id that is missing counts as an empty
object. The others score exactly the objects of the truth. `all-frames`: in all frames. `after-first-mask`: in the
frames after the one that first shows the object. `since-shown`: from the first scored frame in which truth or
prediction shows the object."""

DAVIS = ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay", "JF_mean")
"""The measures of the DAVIS evaluator."""

TRAINING_ROLES = ("pretraining", "offline")
"""Trainings for which a benchmark names a training set."""


class Dataset(Description):
    """A dataset below the data root: the folders to look in, and the layout or the description that reads it."""

    name: str
    title: str
    layout: str = ""
    """A key of LAYOUTS; empty if the patterns `frames` and `masks` are given."""

    marker: str = ""
    """File or folder that identifies the dataset's folder; `{split}` stands for the split, `*` for any name. Empty: the
    list of sequences of a described dataset, or the folder of its masks."""

    folders: tuple[str, ...] = (".",)
    """Candidates in this order, relative to the data root, or to the folder of the description; or absolute."""

    source: str = "its owner"

    zip_folder: str = ""
    """Folder at the top of the zip that its server takes: `Annotations` for YouTube-VOS (public code of XMem, eval.py).
    Empty: the sequences are at the top, as for DAVIS and MOSE."""


class Split(Config):
    """A part of a dataset."""

    name: str
    title: str
    dataset: Dataset
    split: str = "all"
    held_out: bool | None = None
    """Only the sequences that are held out for a local split (True), or only the others (False); `meta.is_held_out`."""

    extent: Extent = Extent()
    """What the published split holds. Real data that differs is never compared with published numbers."""

    @property
    def marker(self) -> str:
        """File or folder, relative to the dataset's folder, that shows that the split is there."""
        return self.dataset.marker.replace("{split}", self.split) or self.dataset.place(self.split)

    def readers(self, folder: Path) -> Mapping[str, Reader]:
        """Map sequence name to reader, for the dataset in `folder`. Raises DataError for a damaged split."""
        if self.dataset.layout:
            return LAYOUTS[self.dataset.layout](folder, self.split)
        return described(self.dataset, folder, self.split, self.held_out)


class TrainingSet(Split):
    """A split to train on."""

    enlarged_by: TrainingSet | None = None
    """A set with more of the same images (SBD has most of PASCAL VOC's). If it is available, its images are used, with
    the truth of this set for those in both. In the file, its name."""


class Protocol(Split):
    """A benchmark: a split, and how it is scored."""

    multi_object: bool = False
    """Whether objects are distinguished."""

    merge_objects: bool = False
    """Whether all objects of a video count as one."""

    skip_first: int = 0
    skip_last: int = 0
    """Numbers of annotated frames at the start and at the end that are not scored."""

    averaging: Averaging = "sequences"
    alternative: Averaging | None = None
    """A second mean to report, if scorers differ."""

    counting: Counting = "first-frame"

    measures: tuple[str, ...] = DAVIS
    """Names of the measures that it reports (`harness.score.MEASURES`), the most important one first: tables are sorted
    by it, and details are shown in it."""

    boundary_tolerance: float = 0.008
    """Tolerance of F as a share of the frame's diagonal (official evaluator)."""

    sparse: bool = False
    """Whether a video with too few annotations to be scored is skipped rather than an error."""

    scored: bool = True
    """False if the truth is not public (test-dev): such a benchmark is segmented and exported only."""

    offline: str | None = None
    pretraining: str | None = None
    """Names of the training sets of off-line training and of pre-training."""

    def fingerprint(self, sequences: Collection[Sequence], cache: Path | None = None) -> str:
        """Return a SHA-256, 64 hex digits, over all that scores must have in common to be compared.

        That is dataset, split, scored frames, boundary tolerance, averaging and the truth itself, but not titles,
        folders and training sets. Raises DataError naming a mask that cannot be read."""
        rules = self.model_dump(mode="json", exclude=_NOT_A_RULE)
        if self.counting == "first-frame":  # the only rule there was; old fingerprints stay valid
            del rules["counting"]
        identity = {"rules": rules, "dataset": self.dataset.name, "truth": annotation_digest(sequences, cache)}
        return digest_of(identity)
